"""The configuration file as typed models; every problem names its key, what was wrong and what was expected.

``load`` reads a file. The models can also be built in code, where durations are seconds and sizes are bytes.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from exporter.config import document
from exporter.config.globs import any_of
from exporter.config.kill import Kill
from exporter.config.kill import read as read_kill
from exporter.config.problems import ConfigError, Problem, empty_values, found_in, in_file_order
from exporter.config.profiles import BUILTIN, Profile, resolve
from exporter.config.section import Section
from exporter.config.target import Target
from exporter.config.units import format_duration
from exporter.config.values import (
    SECRET,
    Duration,
    FilePath,
    Reading,
    Text,
)

#: Which command reads the file: it opens only the secret files that it needs.
Purpose = Literal["serve", "sidecar", "all"]


def _usual_timeout(valid: Mapping[str, Any]) -> float:
    return min(10.0, float(valid["interval"]))


def _usual_stale_after(valid: Mapping[str, Any]) -> float:
    return max(60.0, 4 * float(valid["interval"]))


class Global(Section):
    """How often everything is read; durations in seconds.

    An unset ``timeout`` is 10 s or the interval if that is shorter; an unset ``stale_after`` is one minute or four
    intervals if that is longer.
    """

    interval: Duration = 15.0
    timeout: Duration = Field(default_factory=_usual_timeout)
    stale_after: Duration = Field(default_factory=_usual_stale_after)

    @field_validator("timeout")
    @classmethod
    def _within_interval(cls, timeout: float, info: ValidationInfo) -> float:
        if timeout > info.data.get("interval", timeout):
            interval = format_duration(info.data["interval"])
            raise ValueError(f"{format_duration(timeout)} is longer than the interval, expected at most {interval}")
        return timeout

    @field_validator("stale_after")
    @classmethod
    def _beyond_interval(cls, stale_after: float, info: ValidationInfo) -> float:
        if stale_after < info.data.get("interval", stale_after):
            interval = format_duration(info.data["interval"])
            raise ValueError(
                f"{format_duration(stale_after)} is shorter than the interval, expected {interval} or more"
            )
        return stale_after


class Expectation(Section):
    """What an operator expects of the jobs that match; durations in seconds."""

    target: Text = "*"
    application: Text = "*"
    job: Text = "*"
    max_runtime: Duration | None = None
    success_every: Duration | None = Field(default=None, validate_default=True)

    @field_validator("success_every")
    @classmethod
    def _expects_something(cls, success_every: float | None, info: ValidationInfo) -> float | None:
        if success_every is None and info.data.get("max_runtime", 0) is None:
            raise ValueError("is missing like max_runtime, expected at least one of the two")
        return success_every


class _Kill(dict[str, Any]):
    """The sidecar's section as it stands in the file; its repr shows nothing of it."""

    def __repr__(self) -> str:
        return f"{{{SECRET}}}" if self else "{}"


class Config(Section):
    """The whole file."""

    model_config = ConfigDict(validate_by_name=True)

    global_: Global = Field(default_factory=Global, alias="global")
    targets: tuple[Target, ...] = ()
    profiles: dict[Text, Profile] = Field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    state_file: FilePath | None = None
    kill: Annotated[dict[str, Any], AfterValidator(_Kill)] = _Kill()

    _path: Path = PrivateAttr(default=Path("configuration"))
    _sidecar: Kill | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path:
        """Where it was read from."""
        return self._path

    @property
    def sidecar(self) -> Kill:
        """The section ``kill`` as a model, where it was read for the sidecar.

        Raises:
            LookupError: it was not, or there is none.
        """
        if self._sidecar is None:
            raise LookupError("the file was not read for the sidecar, or has no section kill")
        return self._sidecar

    def profile(self, target: Target) -> Profile:
        """Return the profile that ``target`` uses, with everything it extends folded in."""
        return resolve(target.profile, self.profiles)

    def expectation(self, target: str, application: str, job_name: str) -> Expectation | None:
        """Return the first expectation that matches a job, or ``None``.

        Args:
            target: the target's name.
            application: the application's code.
            job_name: the job's name without a trailing ``.zip``; upper and lower case differ.
        """
        return self._expectation(target, application, job_name)

    @functools.cached_property
    def _expectation(self) -> Callable[[str, str, str], Expectation | None]:
        @functools.cache
        def job_globs(target: str, application: str) -> tuple[re.Pattern[str], tuple[Expectation, ...]]:
            rules = tuple(
                rule
                for rule in self.expectations
                if fnmatch.fnmatchcase(target, rule.target) and fnmatch.fnmatchcase(application, rule.application)
            )
            return any_of(rule.job for rule in rules), rules

        # Larger than any installation that one exporter is meant for, small enough for names that come and go.
        @functools.lru_cache(maxsize=100_000)
        def first(target: str, application: str, job_name: str) -> Expectation | None:
            pattern, rules = job_globs(target, application)
            match = pattern.match(job_name)
            return None if match is None else rules[(match.lastindex or 0) - 1]

        return first

    def masked(self) -> str:
        """Return the effective configuration as YAML, defaults filled in and every secret masked."""
        values = self.model_dump(by_alias=True, exclude_none=True)
        if self.kill:
            values["kill"] = SECRET
        return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=120)

    @field_serializer("profiles")
    def _profiles_as_written(self, profiles: Mapping[str, Profile]) -> dict[str, Any]:
        # An absent key inherits while a null one says that the installation has no such endpoint: nothing is filled in.
        return {name: profile.model_dump(exclude_unset=True) for name, profile in profiles.items()}


class _Dumper(yaml.SafeDumper):
    """YAML of plain values, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's signature
        return True


_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)


def load(path: Path, *, purpose: Purpose = "all") -> Config:
    """Read the configuration file at ``path``.

    Args:
        path: the YAML file; relative paths in it start at its folder.
        purpose: the command that asks: the sidecar leaves a target's credential closed where it has its own, and needs
            a section ``kill``, which the exporter does not look into.

    Raises:
        ConfigError: the file cannot be used; it holds every problem.
    """
    try:
        content = document.read(path)
    except document.DocumentError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    profiles, profile_problems = _read_profiles(content.get("profiles"))
    reading = Reading(
        folder=path.absolute().parent,
        profiles=profiles,
        closed_credentials=_closed_to_sidecar(content) if purpose == "sidecar" else frozenset(),
    )
    problems: list[Problem] = []
    try:
        config = Config.model_validate(content, context=reading, by_name=False)
    except ValidationError as error:
        problems.extend(found_in(error, Config))
    kill = None
    if purpose == "sidecar" or (purpose == "all" and content.get("kill")):
        kill, kill_problems = _read_kill(content, reading)
        problems.extend(kill_problems)
    problems.extend(profile_problems)
    problems.extend(empty_values({key: value for key, value in content.items() if key not in {"kill", "profiles"}}))
    if not content.get("targets", False):
        problems.append(Problem(("targets",), "holds no target, expected a list of at least one"))
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in in_file_order(problems, content)])
    config._path = path
    config._sidecar = kill
    return config


def _read_kill(content: Mapping[Any, Any], reading: Reading) -> tuple[Kill | None, list[Problem]]:
    listed = content.get("targets")
    targets = [target for target in listed if isinstance(target, dict)] if isinstance(listed, list) else []
    profiles_of = {target.get("name"): target.get("profile", "cockpit") for target in targets}
    known = {
        name: profile for name, profile in profiles_of.items() if isinstance(name, str) and isinstance(profile, str)
    }
    return read_kill(content.get("kill", None), reading, known)


def _read_profiles(section: Any) -> tuple[dict[str, Profile | None], list[Problem]]:
    """Return every profile by name, ``None`` where it is broken, and what is wrong with what they extend."""
    profiles: dict[str, Profile | None] = dict(BUILTIN)
    custom: dict[str, Profile] = {}
    for name, content in section.items() if isinstance(section, dict) else ():
        profiles[name] = None
        with contextlib.suppress(ValidationError):
            custom[name] = Profile.model_validate(content)
    problems = []
    for name, profile in custom.items():
        if profile.extends in profiles and profile.extends not in {*BUILTIN, *custom}:
            continue
        try:
            profiles[name] = resolve(name, custom)
        except ValueError as error:
            place = ("profiles", name) if name in BUILTIN else ("profiles", name, "extends")
            problems.append(Problem(place, str(error).replace("; ", ", ")))
    return profiles, problems


# Keys of kill.targets.NAME that give the sidecar a credential of its own.
_CREDENTIALS = frozenset({"bearer_token_file", "cookie_file", "headers"})


def _closed_to_sidecar(content: Mapping[Any, Any]) -> frozenset[str]:
    """Return the names of targets whose read-only credential is none of the sidecar's business."""
    kill = content.get("kill")
    served = kill.get("targets") if isinstance(kill, dict) else None
    targets = content.get("targets")
    if not isinstance(served, dict) or not isinstance(targets, list):
        return frozenset()
    names = {target.get("name") for target in targets if isinstance(target, dict)}
    return frozenset(
        name
        for name in names
        if isinstance(name, str) and (name not in served or _CREDENTIALS & set(served[name] or ()))
    )
