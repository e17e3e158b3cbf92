"""Rows of a list endpoint → ``Job`` and ``Execution`` facts, with everything that could not be read counted.

Most rows are the same from one read to the next. A mapper therefore remembers the rows of the latest answer: a row
that equals the remembered one costs a dictionary comparison and yields the same object again, so that whoever uses the
facts can tell by identity that nothing changed. Equality is Python's, in which ``true`` equals ``1`` and ``1`` equals
``1.0``: a value that merely changes its JSON type between two reads keeps its reading.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Generic

from exporter.cockpit.keys import MAP_KEY, FieldKeys, value_at
from exporter.cockpit.rows import RowReader, RowShape
from exporter.config.profiles import Profile
from exporter.logs import fields
from exporter.model import Execution, Job, Listing, Row

log = logging.getLogger(__name__)

#: Distinct unknown values logged per mapper, and characters shown of each: a broken installation must not fill a disk.
_MOST_VALUES_LOGGED = 50
_LONGEST_VALUE_LOGGED = 80
#: Types of an id that serve to find a remembered row again; equality of the whole row then decides.
_HANDLES = frozenset({str, int, float})


@dataclass(frozen=True, slots=True)
class Flaws:
    """What could not be read in one row.

    Attributes:
        unknown: enum values that the profile does not know, as (canonical field, value as reported).
        unreadable: canonical fields that could not be read.
        present: the id of an invalid row of an execution, where at least that could be read.
    """

    unknown: tuple[tuple[str, str], ...] = ()
    unreadable: tuple[str, ...] = ()
    present: str = ""

    def __bool__(self) -> bool:
        return bool(self.unknown or self.unreadable)

    def blames(self, field: str) -> bool:
        """Tell whether ``field`` is among what could not be read."""
        return field in self.unreadable or any(field == unknown for unknown, _ in self.unknown)


@dataclass(frozen=True, slots=True)
class Reading(Generic[Row]):
    """A row and what was read from it: no ``fact`` from an invalid row, no ``flaws`` in a flawless one."""

    row: Any
    fact: Row | None
    flaws: Flaws | None


#: The flaw of an element that is not even an object, which has no field to blame.
_NO_OBJECT = Flaws(unreadable=("row",))


class JobMapper:
    """Map the rows of one application's jobs.

    Args:
        application: the application's code.
        profile: which keys, values and dates to expect; a resolved one.
        target: the target's name, for the log.
    """

    def __init__(self, application: str, profile: Profile, *, target: str | None = None) -> None:
        self._application = application
        self._shape = RowShape(profile, "job")
        self._memory: _Memory[Job] = _Memory(self._shape.keys["id"])
        self._unknown_values = _UnknownValueLog(target, application)

    def map(self, rows: Sequence[Any]) -> Listing[Job]:
        """Return the jobs in ``rows``; those that did not change since the latest call are the same objects.

        Args:
            rows: the elements of the list, any JSON values.
        """
        return self._memory.map(rows, self.read, self._listing)

    def _listing(self, readings: Sequence[Reading[Job]]) -> Listing[Job]:
        self._unknown_values.note(readings)
        return _listing(readings, attrgetter("id"))

    def read(self, row: dict[str, Any]) -> Reading[Job]:
        """Read one row, an object, without regard to earlier ones."""
        reader = RowReader(row, self._shape)
        values = self._shape.values
        job = Job(
            application=self._application,
            id=reader.identity("id"),
            name=reader.job_name("name"),
            job_type=reader.enum("type", values.type, absent=""),
            status=reader.enum("status", values.status, absent="UNKNOWN"),
            execution_mode=reader.enum("execution_mode", values.execution_mode, absent=""),
            current_version=reader.version("current_version"),
            published_version=reader.version("published_version"),
            last_update=reader.moment("last_update"),
            started_at=reader.moment("started_at"),
            error=reader.detail("error"),
        )
        lacking = tuple(name for name in ("id", "name") if not getattr(job, name))
        if lacking:
            return Reading(row, None, Flaws(unreadable=lacking))
        return Reading(row, job, Flaws(tuple(reader.unknown), tuple(reader.unreadable)) or None)


class ExecutionMapper:
    """Map the rows of one application's running executions.

    Args:
        application: the application's code.
        profile: which keys and dates to expect; a resolved one.
    """

    def __init__(self, application: str, profile: Profile) -> None:
        self._application = application
        self._shape = RowShape(profile, "execution")
        self._memory: _Memory[Execution] = _Memory(self._shape.keys["id"])

    def map(self, rows: Sequence[Any]) -> Listing[Execution]:
        """Return the executions in ``rows``; those that did not change since the latest call are the same objects.

        Args:
            rows: the elements of the list, any JSON values.

        Returns:
            A listing. A row with an execution id but neither a job id nor a name is invalid, yet ``present``.
        """
        return self._memory.map(rows, self.read, _execution_listing)

    def read(self, row: dict[str, Any]) -> Reading[Execution]:
        """Read one row, an object, without regard to earlier ones."""
        reader = RowReader(row, self._shape)
        execution = Execution(
            application=self._application,
            id=reader.identity("id"),
            job_id=reader.identity("job_id"),
            job_name=reader.job_name("job_name"),
            started_at=reader.moment("started_at"),
        )
        lacking = () if execution.id else ("id",)
        if not execution.job_id and not execution.job_name:
            lacking = (*lacking, "job_id", "job_name")
        if lacking:
            return Reading(row, None, Flaws(unreadable=lacking, present=execution.id))
        # Unlike a job's dates, every execution has a start; one without is listed, but counted.
        flaws = Flaws(unreadable=("started_at",)) if execution.started_at is None else None
        return Reading(row, execution, flaws)


def _listing(readings: Sequence[Reading[Row]], identity: Callable[[Row], Hashable]) -> Listing[Row]:
    facts = [reading.fact for reading in readings if reading.fact is not None]
    flawed = [reading.flaws for reading in readings if reading.flaws is not None]
    unique = facts
    if len(set(map(identity, facts))) < len(facts):
        by_identity: dict[Hashable, Row] = {}
        for fact in facts:
            by_identity.setdefault(identity(fact), fact)
        unique = list(by_identity.values())
    return Listing(
        rows=tuple(unique),
        listed=len(readings),
        invalid=len(readings) - len(facts),
        duplicate=len(facts) - len(unique),
        unknown_values=Counter(field for flaws in flawed for field, _ in flaws.unknown),
        mapping_errors=Counter(field for flaws in flawed for field in flaws.unreadable),
    )


def _execution_listing(readings: Sequence[Reading[Execution]]) -> Listing[Execution]:
    invalid = [reading.flaws for reading in readings if reading.fact is None and reading.flaws is not None]
    return replace(
        _listing(readings, attrgetter("job_id", "id")),
        present=frozenset(flaws.present for flaws in invalid if flaws.present),
        unidentified=sum(not flaws.present for flaws in invalid),
    )


class _Memory(Generic[Row]):
    """The rows of the latest answer and what was read from them."""

    def __init__(self, id_keys: FieldKeys) -> None:
        # The key of a map by id comes last: hardly any answer has one, and the order does not matter here.
        paths: list[tuple[str, ...]] = [key.path for key in id_keys.keys if key.text != MAP_KEY]
        self._paths = (*paths, (MAP_KEY,))
        self._latest: tuple[Sequence[Any], Sequence[Reading[Row]]] = ((), ())
        self._listing: Listing[Row] | None = None

    def map(
        self,
        rows: Sequence[Any],
        read: Callable[[dict[str, Any]], Reading[Row]],
        make: Callable[[Sequence[Reading[Row]]], Listing[Row]],
    ) -> Listing[Row]:
        """Return what ``make`` makes of the readings of all rows; the previous listing if it would equal that."""
        # An answer of an earlier deadline may still be mapped in another thread: replace what is known at once.
        old_rows: Sequence[Any]
        old_readings: Sequence[Reading[Row]]
        old_rows, old_readings = self._latest
        # In a loop, since one call that compares everything would keep the interpreter from answering a scrape.
        changed = [i for i, (row, old_row) in enumerate(zip(rows, old_rows, strict=False)) if row != old_row]
        changed += range(len(old_rows), len(rows))
        if self._listing is not None and not changed and len(rows) == len(old_rows):
            return self._listing
        readings: list[Any] = [*old_readings[: len(rows)], *rows[len(old_rows) :]]
        for i, previous in self._previous(changed, rows, old_rows, old_readings):
            readings[i] = _reading(rows[i], previous, read)
        self._latest = rows, readings
        listing = make(readings)
        if listing != self._listing:
            self._listing = listing
            return listing
        return self._listing

    def _previous(
        self,
        changed: Iterable[int],
        rows: Sequence[Any],
        old_rows: Sequence[Any],
        old_readings: Sequence[Reading[Row]],
    ) -> Iterator[tuple[int, Reading[Row] | None]]:
        """Yield positions of changed rows, each with the earlier reading of the row with its id."""
        known: dict[Any, Reading[Row]] | None = None
        for i in changed:
            handle = self._handle(rows[i])
            if i < len(old_rows) and handle == self._handle(old_rows[i]):
                yield i, old_readings[i]
                continue
            if known is None:
                known = {self._handle(row): reading for row, reading in zip(old_rows, old_readings, strict=True)}
            yield i, known.get(handle)

    def _handle(self, row: Any) -> Any:
        """Return what finds a remembered row again: the value of the first id key that has a usable one."""
        if not isinstance(row, dict):
            return None
        for path in self._paths:
            value = value_at(row, path)
            if value.__class__ in _HANDLES:
                return value
        return None


def _reading(row: Any, previous: Reading[Row] | None, read: Callable[[dict[str, Any]], Reading[Row]]) -> Reading[Row]:
    if not isinstance(row, dict):
        return Reading(row, None, _NO_OBJECT)
    if previous is not None and previous.row == row:
        return previous
    return _keeping_fact(read(row), previous)


def _keeping_fact(reading: Reading[Row], previous: Reading[Row] | None) -> Reading[Row]:
    """Keep the previous object where a row changed in nothing that the fact is made of."""
    if previous is None or previous.fact is None or previous.fact != reading.fact:
        return reading
    return replace(reading, fact=previous.fact)


class _UnknownValueLog:
    """Logs every distinct unknown value once."""

    def __init__(self, target: str | None, application: str) -> None:
        self._target = target
        self._application = application
        self._logged: set[tuple[str, str]] = set()

    def note(self, readings: Iterable[Reading[Job]]) -> None:
        """Log the unknown values that were not logged before."""
        for reading in readings:
            if reading.flaws is not None:
                for field, reported in reading.flaws.unknown:
                    self._log(field, reported[:_LONGEST_VALUE_LOGGED])

    def _log(self, field: str, reported: str) -> None:
        if (field, reported) in self._logged or len(self._logged) >= _MOST_VALUES_LOGGED:
            return
        self._logged.add((field, reported))
        absent = not reported
        log.warning(
            "value absent, shown as UNKNOWN" if absent else "value unknown, shown as UNKNOWN",
            extra=fields(
                target=self._target,
                application=self._application,
                field=field,
                value=None if absent else reported,
                remedy=f"name its key in the profile's fields.job.{field}"
                if absent
                else f"say what it means in the profile's values.{field}",
            ),
        )
