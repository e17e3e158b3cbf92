"""From jobs and executions to the JSON of a dialect."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.simulator.dialects import Absent, Dates, Dialect, Envelope, Mode, Zip
from exporter.simulator.world import Execution, Job

#: A job or an execution by canonical names, before a dialect gives it its form.
Row = dict[str, Any]

_DATES = frozenset({"last_update", "started_at"})
_CEST = dt.timezone(dt.timedelta(hours=2))


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that goes onto the wire as it is, whatever the dialect."""

    value: Any


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page was asked for; ``size`` is ``None`` where the client left it to the server."""

    page: int = 0
    size: int | None = None


def job_row(job: Job) -> Row:
    """Return a job by canonical names."""
    return {
        "id": job.id,
        "application": job.application,
        "name": job.name,
        "type": job.type,
        "status": job.status,
        "mode": job.mode,
        "current_version": job.current_version,
        "published_version": job.published_version,
        "last_update": job.last_update,
        "started_at": job.started_at,
        "error": job.error,
    }


def execution_row(execution: Execution) -> Row:
    """Return an execution by canonical names."""
    return {
        "id": execution.id,
        "job_id": execution.job.id,
        "name": execution.job.name,
        "started_at": execution.started_at,
    }


def write_jobs(dialect: Dialect, rows: Sequence[Row], paging: Paging, path: str) -> Any:
    """Return the list of jobs as JSON-ready values; ``path`` is where it was asked for."""
    return _list(_Form(dialect, dialect.job_keys, dialect.job_names, dialect.wrapper[0]), rows, paging, path)


def write_executions(dialect: Dialect, rows: Sequence[Row], paging: Paging, path: str) -> Any:
    """Return the list of executions as JSON-ready values; ``path`` is where it was asked for."""
    form = _Form(dialect, dialect.execution_keys, dialect.execution_names, dialect.wrapper[1])
    return _list(form, rows, paging, path)


def write_job(dialect: Dialect, row: Row) -> Any:
    """Return one job as JSON-ready values."""
    return _object(_Form(dialect, dialect.job_keys, dialect.job_names, dialect.wrapper[0]), row)


def write_applications(dialect: Dialect, titles: Mapping[str, str]) -> list[Any]:
    """Return the applications (code → title) as JSON-ready values."""
    if not dialect.application_key:
        return list(titles)
    return [{dialect.application_key: code, "name": title} for code, title in titles.items()]


def dumps(value: Any) -> bytes:
    """Return ``value`` as JSON in UTF-8; text that UTF-8 cannot hold (lone surrogates) is escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def write_date(dates: Dates, moment: float) -> Any:
    """Return a moment (seconds since the epoch) in the form that ``dates`` names."""
    if dates is Dates.EPOCH_MILLISECONDS:
        return round(moment * 1000)
    if dates is Dates.EPOCH_SECONDS:
        return round(moment, 6)
    date = dt.datetime.fromtimestamp(round(moment, 3), dt.UTC)
    if dates is Dates.ARRAY:
        return _jackson_array(date)
    if dates is Dates.ISO_NO_COLON:
        local = date.astimezone(_CEST)
        return local.isoformat(timespec="milliseconds")[:-6] + local.strftime("%z")
    text = date.isoformat(timespec="milliseconds")
    if dates is Dates.ISO_COLON:
        return text
    return text.replace("+00:00", "Z" if dates is Dates.ISO_Z else "")


def _jackson_array(date: dt.datetime) -> list[int]:
    """Jackson leaves out seconds and nanoseconds when they are zero."""
    parts = [date.year, date.month, date.day, date.hour, date.minute]
    if date.second or date.microsecond:
        parts.append(date.second)
    if date.microsecond:
        parts.append(date.microsecond * 1000)
    return parts


@dataclass(frozen=True, slots=True)
class _Form:
    """What a dialect says about one kind of list."""

    dialect: Dialect
    keys: Mapping[str, str]
    names: Zip
    wrapper: str


def _list(form: _Form, rows: Sequence[Row], paging: Paging, path: str) -> Any:
    envelope, page_size = form.dialect.envelope, form.dialect.page_size
    if envelope is Envelope.MAP:
        return {_plain(row.get("id", "")): _object(form, row) for row in rows}
    if not page_size:
        objects = [_object(form, row) for row in rows]
        return {form.wrapper: objects} if envelope is Envelope.WRAPPER else objects
    size = min(max(1, paging.size or page_size), form.dialect.max_page_size)
    first = paging.page * size
    objects = [_object(form, row) for row in rows[first : first + size]]
    return _page(form, objects, _Numbers(paging.page, size, len(rows)), path)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Where a page stands."""

    number: int
    size: int
    total: int

    @property
    def pages(self) -> int:
        return -(-self.total // self.size)

    @property
    def last(self) -> bool:
        return self.number + 1 >= self.pages


def _page(form: _Form, objects: list[Any], numbers: _Numbers, path: str) -> Any:
    if form.dialect.envelope is Envelope.PAGE:
        return {
            "content": objects,
            "pageable": {
                "pageNumber": numbers.number,
                "pageSize": numbers.size,
                "offset": numbers.number * numbers.size,
            },
            "last": numbers.last,
            "totalPages": numbers.pages,
            "totalElements": numbers.total,
            "first": numbers.number == 0,
            "size": numbers.size,
            "number": numbers.number,
            "numberOfElements": len(objects),
            "sort": {"sorted": False, "unsorted": True, "empty": True},
            "empty": not objects,
        }
    page = {
        "size": numbers.size,
        "number": numbers.number,
        "totalElements": numbers.total,
        "totalPages": numbers.pages,
    }
    if form.dialect.envelope is Envelope.PAGED_MODEL:
        return {"content": objects, "page": page}
    links = {"self": {"href": f"{path}?page={numbers.number}&size={numbers.size}"}}
    if not numbers.last:
        links["next"] = {"href": f"{path}?page={numbers.number + 1}&size={numbers.size}"}
    embedded = {"_embedded": {form.wrapper: objects}} if objects else {}
    return {**embedded, "_links": links, "page": page}


def _object(form: _Form, row: Row) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, key in form.keys.items():
        if name not in row or (row[name] is None and form.dialect.absent is Absent.LEFT_OUT):
            continue
        value = _value(form, name, row[name])
        outer, _, inner = key.partition(".")
        if inner:
            result.setdefault(outer, {})[inner] = value
        else:
            result[outer] = value
    return result


def _value(form: _Form, name: str, value: Any) -> Any:
    if isinstance(value, Literal):
        return value.value
    if value is None:
        # Only text and versions have an empty form; a date that is absent is null everywhere.
        return "" if form.dialect.absent is Absent.EMPTY_TEXT and name not in _DATES else None
    write = _WRITERS.get(name)
    return write(form, value) if write else value


_WRITERS: Mapping[str, Callable[[_Form, Any], Any]] = {
    "id": lambda form, value: str(value) if form.dialect.text_ids else value,
    "job_id": lambda form, value: str(value) if form.dialect.text_ids else value,
    "name": lambda form, value: _name(form.names, value),
    "type": lambda form, value: value.lower() if form.dialect.lower_case else value,
    "status": lambda form, value: value.lower() if form.dialect.lower_case else value,
    "mode": lambda form, value: _mode(form.dialect.mode, value),
    "current_version": lambda form, value: str(value) if form.dialect.text_versions else value,
    "published_version": lambda form, value: str(value) if form.dialect.text_versions else value,
    "last_update": lambda form, value: write_date(form.dialect.dates, value),
    "started_at": lambda form, value: write_date(form.dialect.dates, value),
}


def _name(names: Zip, name: str) -> str:
    if names is Zip.AS_STORED:
        return name
    plain = name.removesuffix(".zip")
    return f"{plain}.zip" if names is Zip.ALWAYS else plain


def _mode(mode: Mode, value: str) -> str | bool:
    if mode is Mode.PARALLEL_FLAG:
        return value.upper() == "PARALLEL"
    if mode is Mode.UPPER:
        return value.upper()
    return value.title() if mode is Mode.TITLE else value.lower()


def _plain(value: Any) -> str:
    return str(value.value if isinstance(value, Literal) else value)
