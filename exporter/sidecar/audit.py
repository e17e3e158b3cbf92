"""The audit file: what was asked, decided, sent and answered, one JSON object a line, on the disk before anything acts.

One process writes it, under a lock. A file that was moved away is followed by a new one at the same path, which begins
with a checkpoint. A record is either written and on the disk, or the write fails and leaves no trace of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import errno
import fcntl
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from exporter.logs import fields
from exporter.sidecar import chain
from exporter.sidecar.identity import Principal
from exporter.sidecar.policy import Decision
from exporter.sidecar.subject import Subject

log = logging.getLogger(__name__)

Stage = Literal["intent", "result", "final", "denied", "auth_failure", "start", "stop", "checkpoint"]

#: Longer texts from outside are cut: a record has to stay a line that people can read.
_LONGEST_TEXT = 512
#: The end of the year 9999, the last that a date can name.
_LATEST = 253_402_300_799.0


class AuditUnusable(Exception):
    """The audit file cannot be used from the start on; the message is one line for the operator."""


class AuditFailed(Exception):
    """A record could not be written; nothing that depends on it may happen."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from.

    Attributes:
        peer_ip: the address of the TCP connection.
        forwarded_for: what a proxy said about the client; empty if nothing, and never trusted.
        user_agent: what the client says it is.
    """

    peer_ip: str = ""
    forwarded_for: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """What Cockpit answered to the kill, or why it did not."""

    status: int | None
    duration_ms: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to record; what does not apply is left out."""

    stage: Stage
    kill_id: str = ""
    request_id: str = ""
    actor: Principal | None = None
    source: Source | None = None
    target: Subject | None = None
    reason: str = ""
    mode: str = ""
    decision: Decision | None = None
    upstream: Upstream | None = None
    outcome: str = ""


@dataclass(slots=True)
class Unfinished:
    """A kill whose end is not on record.

    Attributes:
        kill_id: its id.
        intent: the record of its intent, as it stands in the file.
        outcome: the outcome of its result; empty if there is none.
    """

    kill_id: str
    intent: dict[str, Any]
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    position: chain.Position
    unfinished: tuple[Unfinished, ...] = ()
    size: int = 0
    torn: int = 0


@dataclass(slots=True)
class _File:
    descriptor: int
    identity: tuple[int, int]
    size: int = 0
    position: chain.Position = field(default_factory=chain.Position)


class AuditLog:
    """The audit file of one sidecar.

    Args:
        path: the file; it is made if it is not there.
        clock: the time in seconds since the epoch.
        copy: is given every line that was written, without its end.
        failed: is told of every record that could not be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        copy: Callable[[str], None] | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._failed = failed
        self._clock = clock
        self._copy = copy
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._doubtful = False

    @property
    def usable(self) -> bool:
        """Whether records can be written, as far as is known."""
        return self._file is not None and not self._doubtful

    def open(self) -> tuple[Unfinished, ...]:
        """Open, lock and check the file; return the kills whose end is not on record.

        A last line that was not written to its end is removed: its write never succeeded, so nothing followed from it.

        Raises:
            AuditUnusable: the file cannot be read, written or locked, or its chain is broken.
        """
        try:
            file = self._locked()
            try:
                found = _read(file.descriptor, self._path)
                if found.torn:
                    os.ftruncate(file.descriptor, found.size)
                    log.warning("torn audit record removed", extra=fields(file=str(self._path), bytes=found.torn))
                os.fsync(file.descriptor)
                self._sync_folder()
            except BaseException:
                os.close(file.descriptor)
                raise
        except OSError as error:
            raise AuditUnusable(f"{self._path}: {_why(error)}, expected a file that only this sidecar writes") from None
        file.size, file.position = found.size, found.position
        self._file = file
        return found.unfinished

    async def write(self, entry: Entry) -> None:
        """Record ``entry``; it is on the disk when this returns.

        Raises:
            AuditFailed: it is not.
        """
        await asyncio.to_thread(self.write_now, entry)

    def write_now(self, entry: Entry) -> None:
        """Do what ``write`` does, in the calling thread.

        Raises:
            AuditFailed: the record is not on the disk.
        """
        with self._lock:
            try:
                text = self._append(entry)
            except OSError as error:
                self._failed()
                log.error("audit record not written", extra=fields(file=str(self._path), error=_why(error)))
                raise AuditFailed(_why(error)) from error
            if self._copy is not None:
                # The copy is for whoever collects it; that nobody does must not stop anything.
                with contextlib.suppress(OSError, ValueError):
                    self._copy(text)

    def close(self) -> None:
        """Close the file and give up the lock."""
        with self._lock:
            if self._file is not None:
                os.close(self._file.descriptor)
                self._file = None

    def _append(self, entry: Entry) -> str:
        if self._file is None or self._doubtful:
            raise OSError(errno.EIO, "an earlier write left the file in doubt; restart the sidecar to check it")
        self._file = self._after_rotation(self._file)
        return self._write(self._file, entry)

    def _after_rotation(self, file: _File) -> _File:
        """Return ``file``, or a new one in its place, with a checkpoint, if it was moved away."""
        try:
            stat = self._path.stat()
            if (stat.st_dev, stat.st_ino) == file.identity:
                return file
        except FileNotFoundError:
            pass
        fresh = self._locked()
        try:
            if os.fstat(fresh.descriptor).st_size:
                raise OSError(errno.EEXIST, "the file was replaced by one that is not empty")
            fresh.position = file.position
            self._write(fresh, Entry("checkpoint"))
            self._sync_folder()
        except BaseException:
            os.close(fresh.descriptor)
            raise
        os.close(file.descriptor)
        return fresh

    def _write(self, file: _File, entry: Entry) -> str:
        record = _record(entry, file.position, self._clock())
        text = chain.line(record)
        data = text.encode() + b"\n"
        try:
            if os.write(file.descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, "the record was written in part only")
            os.fsync(file.descriptor)
        except BaseException:
            self._take_back(file)
            raise
        file.size += len(data)
        file.position = chain.Position(record["seq"], record["hash"])
        return text

    def _take_back(self, file: _File) -> None:
        try:
            os.ftruncate(file.descriptor, file.size)
            os.fsync(file.descriptor)
        except OSError:
            # What is on the disk now, nobody knows; only a look at the whole file can tell.
            self._doubtful = True

    def _sync_folder(self) -> None:
        """Bring the file's name onto the disk as well."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _locked(self) -> _File:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OSError(errno.EAGAIN, "another process holds its lock") from None
            stat = os.fstat(descriptor)
            if not os.path.samestat(stat, self._path.stat()):
                raise OSError(errno.EAGAIN, "it was replaced while it was opened")
            if stat.st_mode & 0o170000 != 0o100000:  # noqa: PLR2004 - S_IFMT and S_IFREG
                raise OSError(errno.EINVAL, "is no regular file")
            os.fchmod(descriptor, 0o600)
        except BaseException:
            os.close(descriptor)
            raise
        return _File(descriptor, (stat.st_dev, stat.st_ino))


def _why(error: OSError) -> str:
    return f"cannot be written ({error.strerror or type(error).__name__})"


def _read(descriptor: int, path: Path) -> _Found:
    """Follow the chain of an open file from its first line to its last."""
    position: chain.Position | None = None
    unfinished: dict[str, Unfinished] = {}
    size = 0
    number = 0
    with open(descriptor, "rb", closefd=False) as stream:
        for number, text in enumerate(stream, start=1):
            if not text.endswith(b"\n"):
                return _Found(position or chain.Position(), tuple(unfinished.values()), size, len(text))
            try:
                position, record = chain.follow(position, text[:-1])
            except chain.Broken as error:
                raise AuditUnusable(
                    f"{path}: line {number}: {error}, expected a whole chain: keep this file for whoever looks into it,"
                    " and start with a new one"
                ) from None
            _note(record, unfinished)
            size += len(text)
    return _Found(position or chain.Position(), tuple(unfinished.values()), size)


def _note(record: dict[str, Any], unfinished: dict[str, Unfinished]) -> None:
    kill_id = record["kill_id"]
    match record["stage"]:
        case "intent":
            unfinished[kill_id] = Unfinished(kill_id, record)
        case "result" if kill_id in unfinished and record["outcome"] in {"requested", "unknown"}:
            unfinished[kill_id].outcome = record["outcome"]
        case "result" | "final":
            unfinished.pop(kill_id, None)


def _record(entry: Entry, position: chain.Position, now: float) -> dict[str, Any]:
    record: dict[str, Any] = {
        "v": chain.VERSION,
        "ts": moment(now),
        "seq": position.seq + 1,
        "stage": entry.stage,
        "kill_id": entry.kill_id,
        "request_id": entry.request_id,
        "actor": _actor(entry.actor),
        "source": None if entry.source is None else _cut(dataclasses.asdict(entry.source)),
        "target": _target(entry.target),
        "reason": entry.reason,
        "mode": entry.mode,
        "decision": None if entry.decision is None else {"effect": entry.decision.effect, "rule": entry.decision.rule},
        "upstream": None if entry.upstream is None else _cut(dataclasses.asdict(entry.upstream)),
        "outcome": entry.outcome,
        "prev_hash": position.hash,
    }
    record["hash"] = chain.digest(record)
    return record


def _actor(actor: Principal | None) -> dict[str, Any] | None:
    if actor is None:
        return None
    return _cut(
        {
            "id": actor.id,
            "login": actor.login,
            "provider": actor.provider,
            "role": actor.role,
            "teams": [*actor.teams],
        }
    )


def _target(subject: Subject | None) -> dict[str, Any] | None:
    if subject is None:
        return None
    return _cut(
        {
            "name": subject.target,
            "application": subject.application,
            "execution_id": subject.execution_id,
            "job_id": subject.job_id,
            "job_name": subject.job_name,
            "started_at": None if subject.started_at is None else moment(subject.started_at),
        }
    )


def _cut(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value[:_LONGEST_TEXT] + "…" if isinstance(value, str) and len(value) > _LONGEST_TEXT else value
        for key, value in values.items()
    }


def moment(seconds: float) -> str:
    """Return a moment as RFC 3339 writes it, in UTC and to the millisecond."""
    return (
        dt.datetime.fromtimestamp(min(seconds, _LATEST), dt.UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def seconds_of(text: str) -> float:
    """Return the seconds since the epoch of a moment as RFC 3339 writes it.

    Raises:
        ValueError: it is none, or has no offset.
    """
    parsed = dt.datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return parsed.timestamp()
