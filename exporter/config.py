"""The configuration file as typed models; every problem names its key, what was wrong and what was expected.

``load`` reads a file. The models can also be built in code, where durations are seconds and sizes are bytes.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
)

from exporter import document
from exporter.cockpit.profiles import BUILTIN, Profile, resolve
from exporter.problems import Place, Problem, described, empty_values, found_in, in_file_order
from exporter.units import format_duration
from exporter.values import (
    SECRET,
    Code,
    Count,
    CredentialPath,
    Duration,
    FilePath,
    Flag,
    HeaderName,
    PemPath,
    ProxyUrl,
    Reading,
    Size,
    Text,
    Url,
    check_authorities,
    check_key_pair,
    header_text,
    is_loopback,
)

if TYPE_CHECKING:  # the sidecar's settings import this module
    from exporter.sidecar.settings import Kill

#: Which command reads the file: it opens only the secret files that it needs.
Purpose = Literal["serve", "sidecar", "all"]


class ConfigError(Exception):
    """A configuration file that cannot be used.

    Attributes:
        problems: every problem as one line, ``FILE: KEY: what was wrong, what was expected``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(functools.cached_property,))


def _usual_timeout(valid: Mapping[str, Any]) -> float:
    return min(10.0, float(valid["interval"]))


def _usual_stale_after(valid: Mapping[str, Any]) -> float:
    return max(60.0, 4 * float(valid["interval"]))


class Global(_Section):
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


class HeaderFile(_Section):
    """A request header's value that stands in a file."""

    file: CredentialPath


def _header_value(value: Any, info: ValidationInfo) -> SecretStr | HeaderFile:
    if isinstance(value, SecretStr | HeaderFile):
        return value
    if isinstance(value, str):
        return header_text(value)
    if isinstance(value, dict):
        return HeaderFile.model_validate(value, context=info.context)
    raise ValueError(f"is {document.kind(value)}, expected text in quotes or {{file: PATH}}")


def _header_shown(value: SecretStr | HeaderFile) -> str | dict[str, str]:
    return {"file": str(value.file)} if isinstance(value, HeaderFile) else SECRET


HeaderValue = Annotated[SecretStr | HeaderFile, PlainValidator(_header_value), PlainSerializer(_header_shown)]


class Auth(_Section):
    """How requests to a target are authenticated."""

    bearer_token_file: CredentialPath | None = None
    cookie_file: CredentialPath | None = None
    headers: dict[HeaderName, HeaderValue] = {}

    @field_validator("headers")
    @classmethod
    def _each_once(cls, headers: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        names = [name.lower() for name in headers]
        if len(set(names)) < len(names):
            raise ValueError("holds a header twice (upper and lower case are the same), expected each once")
        for name, key in (("authorization", "bearer_token_file"), ("cookie", "cookie_file")):
            if name in names and info.data.get(key) is not None:
                raise ValueError(f"holds {name.title()} although {key} is set, expected one of the two")
        return headers

    @property
    def configured(self) -> bool:
        """Whether requests carry any credential."""
        return bool(self.bearer_token_file or self.cookie_file or self.headers)


class Tls(_Section):
    """How a target's certificate is judged, and which one is shown to it."""

    ca_file: PemPath | None = None
    cert_file: PemPath | None = None
    key_file: PemPath | None = Field(default=None, validate_default=True)
    server_name: Text | None = None
    insecure_skip_verify: Flag = False

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, ca_file: Path, info: ValidationInfo) -> Path:
        if isinstance(info.context, Reading):
            check_authorities(ca_file)
        return ca_file

    @field_validator("key_file")
    @classmethod
    def _fits_certificate(cls, key_file: Path | None, info: ValidationInfo) -> Path | None:
        if "cert_file" not in info.data:
            return key_file
        cert_file = info.data["cert_file"]
        if cert_file is not None and key_file is None:
            raise ValueError("is missing although cert_file is set, expected the file of its private key")
        if cert_file is None and key_file is not None:
            raise ValueError("is set although cert_file is not, expected both or neither")
        if isinstance(info.context, Reading) and key_file is not None:
            check_key_pair(cert_file, key_file)
        return key_file


class Results(_Section):
    """Where Dumbella answers ``/execution/{id}/result``."""

    url: Url


def _globs(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f'is {document.kind(value)}, expected a list of globs such as ["etl_*"]')
    return _TEXTS.validate_python(value)


_TEXTS = TypeAdapter(tuple[Text, ...])
Globs = Annotated[tuple[str, ...], PlainValidator(_globs)]


class JobFilter(_Section):
    """Globs on job names: a job is shown when it matches one of ``include`` and none of ``exclude``."""

    include: Globs = ("*",)
    exclude: Globs = ()

    @field_validator("include")
    @classmethod
    def _includes_something(cls, include: tuple[str, ...]) -> tuple[str, ...]:
        if not include:
            raise ValueError('is empty, expected at least one glob ("*" is every job)')
        return include

    def admits(self, job_name: str) -> bool:
        """Tell whether a job is shown, by its name without a trailing ``.zip``; upper and lower case differ."""
        return bool(self._include.match(job_name)) and not self._exclude.match(job_name)

    @functools.cached_property
    def _include(self) -> re.Pattern[str]:
        return _any_of(self.include)

    @functools.cached_property
    def _exclude(self) -> re.Pattern[str]:
        return _any_of(self.exclude)


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    # One alternative per glob, each in a group of its own: lastindex tells the first that matches; none never matches.
    return re.compile("|".join(f"({fnmatch.translate(glob)})" for glob in globs) or r"(?!)")


class Limits(_Section):
    """Caps per target."""

    jobs: Count = 10_000
    executions: Count = 500
    response_bytes: Size = 64 * 1024 * 1024


def _applications(value: Any, info: ValidationInfo) -> tuple[str, ...] | Literal["discover"]:
    if value == "discover":
        return "discover"
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"is {document.kind(value)}, expected a list of application codes such as [K7SALES, M2STOCK], or discover"
        )
    if not value:
        raise ValueError("is empty, expected at least one application code, or discover")
    codes = _CODES.validate_python(value, context=info.context)
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ValueError(f"holds {', '.join(twice)} more than once, expected each application once")
    return codes


_CODES = TypeAdapter(tuple[Code, ...])
Applications = Annotated[tuple[str, ...] | Literal["discover"], PlainValidator(_applications)]


class Target(_Section):
    """One Cockpit (or Pages, or App Composer) installation."""

    name: Code
    url: Url
    profile: Text = "cockpit"
    applications: Applications
    auth: Auth = Auth()
    tls: Tls = Tls()
    proxy_url: ProxyUrl | None = None
    results: Results | None = None
    jobs: JobFilter = JobFilter()
    limits: Limits = Limits()
    error_detail: Flag = True

    @field_validator("name")
    @classmethod
    def _unique(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, Reading):
            if name in info.context.names:
                raise ValueError(f"{described(name)} is the name of an earlier target, expected each name once")
            info.context.names.add(name)
        return name

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, profile: str, info: ValidationInfo) -> str:
        reading = info.context
        if isinstance(reading, Reading) and profile not in reading.profiles:
            raise ValueError(f"{described(profile)} is no profile, expected one of {', '.join(reading.profiles)}")
        return profile

    @field_validator("applications")
    @classmethod
    def _discoverable(cls, applications: Any, info: ValidationInfo) -> Any:
        reading = info.context
        if applications == "discover" and isinstance(reading, Reading):
            profile = reading.profiles.get(info.data.get("profile", ""))
            if profile is not None and not profile.paths.applications:
                raise ValueError(
                    f"discover needs a path, and the profile {info.data['profile']} has none, expected a list of"
                    " application codes"
                )
        return applications

    @field_validator("auth", mode="wrap")
    @classmethod
    def _of_this_target(cls, auth: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        # Whether the files under auth are to be opened depends on the target that they belong to.
        if isinstance(info.context, Reading):
            info.context.target = info.data.get("name", "")
        return validate(auth)


class Expectation(_Section):
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


class Config(_Section):
    """The whole file."""

    model_config = ConfigDict(validate_by_name=True)

    global_: Global = Field(default_factory=Global, alias="global")
    targets: tuple[Target, ...] = ()
    profiles: dict[Text, Profile] = {}
    expectations: tuple[Expectation, ...] = ()
    state_file: FilePath | None = None
    kill: Annotated[dict[str, Any], AfterValidator(_Kill)] = _Kill()

    _path: Path = PrivateAttr(default=Path("configuration"))
    _sidecar: Kill | None = PrivateAttr(default=None)

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
            return _any_of(rule.job for rule in rules), rules

        # Larger than any installation that one exporter is meant for, small enough for names that come and go.
        @functools.lru_cache(maxsize=100_000)
        def first(target: str, application: str, job_name: str) -> Expectation | None:
            pattern, rules = job_globs(target, application)
            match = pattern.match(job_name)
            return None if match is None else rules[(match.lastindex or 0) - 1]

        return first

    def warnings(self) -> list[str]:
        """Return what is legal but unwise, each as ``FILE: KEY: what it means``, in the file's order."""
        return [f"{self._path}: {problem}" for problem in _unwise(self)]

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
    from exporter.sidecar import settings  # noqa: PLC0415 - the exporter itself must never import the sidecar

    listed = content.get("targets")
    targets = [target for target in listed if isinstance(target, dict)] if isinstance(listed, list) else []
    profiles_of = {target.get("name"): target.get("profile", "cockpit") for target in targets}
    known = {
        name: profile for name, profile in profiles_of.items() if isinstance(name, str) and isinstance(profile, str)
    }
    return settings.read(content.get("kill", None), reading, known)


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


def _unwise(config: Config) -> Iterator[Problem]:
    for position, target in enumerate(config.targets):
        yield from _unwise_target(target, ("targets", position))
    used = _used_profiles(config)
    for name in config.profiles:
        if name not in used:
            yield Problem(("profiles", name), "is used by no target, expected a target that names it")
    for position, rule in enumerate(config.expectations):
        yield from _unwise_expectation(config, rule, ("expectations", position))
    if config.state_file is not None:
        yield from _unwise_state_file(config.state_file)


def _unwise_state_file(path: Path) -> Iterator[Problem]:
    if path.is_dir():
        yield Problem(("state_file",), "is a folder, expected the path of a file")
    elif not path.parent.is_dir():
        yield Problem(("state_file",), f"is in {path.parent}, which is no folder, expected one that exists")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        yield Problem(("state_file",), f"is in {path.parent}, expected a folder that may be written to")


def _unwise_target(target: Target, place: Place) -> Iterator[Problem]:
    if target.auth.configured and target.url.startswith("http:") and not is_loopback(target.url):
        yield Problem((*place, "url"), "sends the credential over plain http, expected https off this machine")
    if target.tls.insecure_skip_verify:
        meaning = "lets anyone in between read the credential, expected tls.ca_file instead"
        yield Problem((*place, "tls", "insecure_skip_verify"), meaning)


def _unwise_expectation(config: Config, rule: Expectation, place: Place) -> Iterator[Problem]:
    matched = [target for target in config.targets if fnmatch.fnmatchcase(target.name, rule.target)]
    if not matched:
        yield Problem(
            (*place, "target"), f"{described(rule.target)} matches no target, expected the name of one or a glob"
        )
    elif not any(_has_application(target, rule.application) for target in matched):
        meaning = f"{described(rule.application)} matches no application of these targets, expected a code or a glob"
        yield Problem((*place, "application"), meaning)
    blind = [target.name for target in matched if target.results is None]
    if rule.success_every is not None and blind:
        meaning = f"counts any end as a success on {', '.join(blind)}, expected results.url there to tell outcomes"
        yield Problem((*place, "success_every"), meaning)


def _has_application(target: Target, glob: str) -> bool:
    return target.applications == "discover" or any(fnmatch.fnmatchcase(code, glob) for code in target.applications)


def _used_profiles(config: Config) -> set[str]:
    used: set[str] = set()
    for target in config.targets:
        name: str | None = target.profile
        while name is not None and name not in used:
            used.add(name)
            name = config.profiles[name].extends if name in config.profiles else None
    return used
