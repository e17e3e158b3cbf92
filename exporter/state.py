"""The state file: what was observed survives a restart, and counters go on where they were.

It is written beside its place and renamed into it: a crash leaves the old file or the new one, never a torn one.
Whatever else may be found there, the exporter starts: it says in one line what was wrong and begins anew.
"""

from __future__ import annotations

import contextlib
import json
import logging
import operator
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from exporter.logs import fields
from exporter.observe import DURATION_BUCKETS, OUTCOMES, Durations, Ended, History, Run, State

log = logging.getLogger(__name__)

#: Raised whenever the form below changes in a way that older readers would misread.
VERSION = 1
#: A state of this size stands for more than 200,000 jobs; a larger file is neither written nor read.
MAX_BYTES = 64 * 1024 * 1024

Number = TypeVar("Number", int, float)

#: Per target and application.
States = Mapping[str, Mapping[str, State]]


@dataclass(frozen=True, slots=True)
class _Application:
    """A :class:`State` whose execution keys are spelled out, because JSON's keys are plain text."""

    since: float | None
    seen_at: float | None
    histories: Mapping[str, History]
    missing: Mapping[str, float]
    running: tuple[tuple[str, str, Run], ...]
    pending: tuple[tuple[str, str, Ended], ...]
    durations: Durations = field(default_factory=Durations)

    @classmethod
    def of(cls, state: State) -> _Application:
        return cls(
            since=state.since,
            seen_at=state.seen_at,
            histories=state.histories,
            missing=state.missing,
            running=tuple((*key, run) for key, run in state.running.items()),
            pending=tuple((*key, ended) for key, ended in state.pending.items()),
            durations=state.durations,
        )

    def fits(self) -> bool:
        """Tell whether the vectors in it are as long as this version's."""
        return (
            len(self.durations.counts) == len(DURATION_BUCKETS) + 1
            and len(self.durations.exemplars) == len(DURATION_BUCKETS) + 1
            and all(len(history.outcomes) == len(OUTCOMES) for history in self.histories.values())
        )

    def state(self) -> State:
        return State(
            since=self.since,
            seen_at=self.seen_at,
            histories=self.histories,
            missing=self.missing,
            running={(job_id, execution_id): run for job_id, execution_id, run in self.running},
            pending={(job_id, execution_id): ended for job_id, execution_id, ended in self.pending},
            durations=self.durations,
        )


@with_config(ConfigDict(allow_inf_nan=False, extra="ignore"))
@dataclass(frozen=True, slots=True)
class _Document:
    version: int
    written_at: float
    targets: Mapping[str, Mapping[str, _Application]]


_FORM = TypeAdapter(_Document)


class _UnusableError(Exception):
    """A state file that holds something else than this version's state; the message says what."""


def _parse(content: bytes) -> _Document:
    try:
        document = json.loads(content, parse_int=_integer, parse_float=_moment, parse_constant=_moment)
    except (ValueError, RecursionError):
        raise _UnusableError("it is torn, or no state file") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version != VERSION:
        raise _UnusableError(f"it has version {version!r}, expected {VERSION}")
    try:
        state = _FORM.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _UnusableError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if not all(application.fits() for applications in state.targets.values() for application in applications.values()):
        raise _UnusableError("it counts other outcomes or other durations than this version")
    return state


#: Counts, durations and moments are never negative, and none is larger than what a float holds exactly.
_LARGEST = 2**53


def _integer(text: str) -> int:
    return _sensible(int(text))


def _moment(text: str) -> float:
    return _sensible(float(text))


def _sensible(number: Number) -> Number:
    if not 0 <= number <= _LARGEST:
        raise ValueError("no count, duration or moment")
    return number


class StateFile:
    """The file at ``path``, of which one exporter at a time is the writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: list[State] = []
        self._writing = threading.Lock()
        self._failing = False

    def load(self) -> States:
        """Return what the file holds; nothing, and a line in the log, if it is absent or unusable."""
        try:
            document = _parse(self._content())
        except FileNotFoundError:
            log.info("no state file yet, counting starts from zero", extra=fields(state_file=self.path))
            return {}
        except (OSError, _UnusableError) as error:
            aside = self.path.with_name(f"{self.path.name}.unusable")
            with contextlib.suppress(OSError):
                self.path.replace(aside)
            log.warning(
                "state file not used, counting starts from zero",
                extra=fields(state_file=self.path, why=str(error), kept_as=aside if aside.exists() else None),
            )
            return {}
        log.info(
            "state restored",
            extra=fields(state_file=self.path, age_seconds=round(time.time() - document.written_at)),
        )
        return {
            target: {name: application.state() for name, application in applications.items()}
            for target, applications in document.targets.items()
        }

    def _content(self) -> bytes:
        with self.path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _UnusableError(f"it is larger than {MAX_BYTES} bytes")
        return content

    def save(self, states: States) -> None:
        """Write the states if they are not those written last; a failure is logged once until it is over.

        Calls may come from several threads; they write one after the other.
        """
        with self._writing:
            self._save(states)

    def _save(self, states: States) -> None:
        current = [state for applications in states.values() for state in applications.values()]
        if len(current) == len(self._written) and all(map(operator.is_, current, self._written)):
            return
        document = _Document(
            VERSION,
            time.time(),
            {
                target: {name: _Application.of(state) for name, state in applications.items()}
                for target, applications in states.items()
            },
        )
        content = _FORM.dump_json(document, exclude_defaults=True)
        try:
            if len(content) > MAX_BYTES:
                raise OSError(f"the state would be larger than {MAX_BYTES} bytes")
            _replace(self.path, content)
        except OSError as error:
            if not self._failing:
                log.warning(
                    "state file cannot be written, a restart would lose the counts",
                    extra=fields(state_file=self.path, why=str(error)),
                )
            self._failing = True
            return
        if self._failing:
            log.info("state file is written again", extra=fields(state_file=self.path))
        self._failing = False
        self._written = current


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that whatever happens there is the old content or the new, on disk and not only in a cache."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the descriptor is open already
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
