"""What is legal in the configuration file but unwise."""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from exporter.config.file import Config, Expectation
from exporter.config.killadvice import unwise_kill
from exporter.config.problems import Place, Problem, described
from exporter.config.target import Target
from exporter.config.values import is_exposed


def warnings(config: Config, today: dt.date | None = None) -> list[str]:
    """Return what is legal but unwise, each as ``FILE: KEY: what it means``, in the file's order.

    Args:
        config: a valid configuration; its section ``kill`` counts where it was read for the sidecar.
        today: the date in UTC, in place of the real one.
    """
    return [*(f"{config.path}: {problem}" for problem in _unwise(config)), *sidecar_warnings(config, today)]


def sidecar_warnings(config: Config, today: dt.date | None = None) -> list[str]:
    """Return the part of :func:`warnings` that is about the section ``kill``; nothing where it was not read."""
    try:
        kill = config.sidecar
    except LookupError:
        return []
    problems = [
        *unwise_kill(kill, config.targets, today or dt.datetime.now(dt.UTC).date()),
        *_unwritable(("audit", "file"), kill.audit.file),
    ]
    return [f"{config.path}: {Problem(('kill', *problem.place), problem.sentence)}" for problem in problems]


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
        yield from _unwritable(("state_file",), config.state_file)


def _unwritable(place: Place, path: Path) -> Iterator[Problem]:
    if path.is_dir():
        yield Problem(place, "is a folder, expected the path of a file")
    elif not path.parent.is_dir():
        yield Problem(place, f"is in {path.parent}, which is no folder, expected one that exists")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        yield Problem(place, f"is in {path.parent}, expected a folder that may be written to")


def _unwise_target(target: Target, place: Place) -> Iterator[Problem]:
    if target.auth.configured and is_exposed(target.url):
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
    elif not any(target.may_have((rule.application,)) for target in matched):
        meaning = f"{described(rule.application)} matches no application of these targets, expected a code or a glob"
        yield Problem((*place, "application"), meaning)
    blind = [target.name for target in matched if target.results is None]
    if rule.success_every is not None and blind:
        meaning = f"counts any end as a success on {', '.join(blind)}, expected results.url there to tell outcomes"
        yield Problem((*place, "success_every"), meaning)


def _used_profiles(config: Config) -> set[str]:
    used: set[str] = set()
    for target in config.targets:
        name: str | None = target.profile
        while name is not None and name not in used:
            used.add(name)
            name = config.profiles[name].extends if name in config.profiles else None
    return used
