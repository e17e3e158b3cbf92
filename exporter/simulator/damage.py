"""Faults that alter rows: from the rows of a list to rows that are not as expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

from exporter.simulator.faults import Fault
from exporter.simulator.stacktrace import stack_trace
from exporter.simulator.wire import Literal, Row

_DATES = ("last_update", "started_at")
_HOSTILE = (
    'quote " and backslash \\ end\\',
    "line one\nline two\r\nline three\ttab",
    "rocket \N{ROCKET} and \N{GREEK SMALL LETTER ALPHA}",
    "half \ud83d of a pair",
    '{a="b"} 1 # EOF\n# HELP x',
    "long " * 20_000,
)
_BAD_DATES: tuple[Any, ...] = ("yesterday", 0, 1_700_000, [2024, 13, 45, 99], "20/01/1970", {}, True)


def damage(rows: Sequence[Row], faults: Mapping[str, Fault]) -> list[Row]:
    """Return ``rows`` with every row-altering fault among ``faults`` applied, in a fixed order."""
    result = [dict(row) for row in rows]
    for name, alter in _ALTERATIONS.items():
        if name in faults:
            result = alter(result, faults[name])
    return result


def _duplicate_ids(rows: list[Row], _: Fault) -> list[Row]:
    result = []
    for index, row in enumerate(rows):
        result.append(row)
        if index % 3 == 0:
            result.append({**row, "name": f"again_{row['name']}"})
    return result


def _duplicate_names(rows: list[Row], _: Fault) -> list[Row]:
    return [{**row, "name": rows[0]["name"]} for row in rows]


def _unknown_values(rows: list[Row], _: Fault) -> list[Row]:
    strange = {"type": Literal("PIPELINE"), "status": Literal("PAUSED"), "mode": Literal("Round robin")}
    return [{**row, **strange} if index % 3 == 0 else row for index, row in enumerate(rows)]


def _null_fields(rows: list[Row], _: Fault) -> list[Row]:
    return [{**row, field: Literal(None)} for row, field in _one_field_each(rows)]


def _missing_fields(rows: list[Row], _: Fault) -> list[Row]:
    return [{key: value for key, value in row.items() if key != field} for row, field in _one_field_each(rows)]


def _one_field_each(rows: list[Row]) -> list[tuple[Row, str]]:
    names = cycle(rows[0]) if rows else iter(())
    return list(zip(rows, names, strict=False))


def _string_ids(rows: list[Row], _: Fault) -> list[Row]:
    return [
        {key: Literal(str(value)) if key in {"id", "job_id"} else value for key, value in row.items()} for row in rows
    ]


def _hostile_names(rows: list[Row], _: Fault) -> list[Row]:
    return [{**row, "name": name} for row, name in zip(rows, cycle(_HOSTILE), strict=False)]


def _no_current_version(rows: list[Row], _: Fault) -> list[Row]:
    return [{**row, "current_version": None} for row in rows]


def _clock_skew(rows: list[Row], fault: Fault) -> list[Row]:
    def ahead(key: str, value: Any) -> Any:
        return value + fault.number if key in _DATES and isinstance(value, float) else value

    return [{key: ahead(key, value) for key, value in row.items()} for row in rows]


def _bad_dates(rows: list[Row], _: Fault) -> list[Row]:
    return [
        {key: Literal(bad) if key in _DATES else value for key, value in row.items()}
        for row, bad in zip(rows, cycle(_BAD_DATES), strict=False)
    ]


def _long_errors(rows: list[Row], fault: Fault) -> list[Row]:
    text = stack_trace("long_errors", 0, round(fault.number * 1024))
    return [{**row, "status": "ERROR", "error": text} if index % 3 == 0 else row for index, row in enumerate(rows)]


_ALTERATIONS: Mapping[str, Callable[[list[Row], Fault], list[Row]]] = {
    "no_current_version": _no_current_version,
    "long_errors": _long_errors,
    "clock_skew": _clock_skew,
    "hostile_names": _hostile_names,
    "duplicate_names": _duplicate_names,
    "duplicate_ids": _duplicate_ids,
    "unknown_values": _unknown_values,
    "bad_dates": _bad_dates,
    "string_ids": _string_ids,
    "null_fields": _null_fields,
    "missing_fields": _missing_fields,
}

#: Names of the faults that alter rows.
ROW_FAULTS = frozenset(_ALTERATIONS)
