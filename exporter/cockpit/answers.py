"""Answers that are no lists of rows: application codes, the release, the result of an execution."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exporter.cockpit.errors import SchemaMismatch
from exporter.cockpit.keys import MAP_KEY
from exporter.cockpit.scalars import read_flag_or_text, read_id, read_text

Outcome = Literal["done", "error", "killed", "running", "unresolved"]

_CODE_KEYS = (MAP_KEY, "id", "code", "application", "name")
#: What an application's code looks like: of an id, a code and a name, it is the one of this form.
_CODE = re.compile(r"[A-Z0-9]{7}")


@dataclass(frozen=True, slots=True)
class Result:
    """How an execution ended, as far as Dumbella tells.

    Attributes:
        outcome: ``running`` if it has not ended yet, ``unresolved`` if Dumbella does not know it or does not say.
        detail: what led to ``unresolved``, in one line.
    """

    outcome: Outcome
    detail: str = ""


def application_codes(rows: Sequence[Any]) -> tuple[str, ...]:
    """Return the codes in a list of applications, each once, in order.

    Args:
        rows: codes, or objects that have the code under ``id``, ``code``, ``application`` or ``name``.

    Raises:
        SchemaMismatch: a row has no code; leaving the application out would hide it.
    """
    codes = []
    for number, row in enumerate(rows, start=1):
        code = _code(row)
        if code is None:
            raise SchemaMismatch(f"application {number} of {len(rows)} has no readable id, code, application or name")
        codes.append(code)
    return tuple(dict.fromkeys(codes))


def _code(row: Any) -> str | None:
    candidates = [read_id(row.get(key)) for key in _CODE_KEYS] if isinstance(row, dict) else [read_text(row)]
    readable = [candidate for candidate in candidates if candidate is not None]
    typical = [candidate for candidate in readable if _CODE.fullmatch(candidate)]
    return next(iter(typical or readable), None)


def release(document: Any) -> dict[str, str]:
    """Return the facts about the release, as text.

    Args:
        document: an object such as ``{"version": "2024.1.3", "releasePhase": "GA"}``; nested values are left out.

    Raises:
        SchemaMismatch: it is no object.
    """
    if not isinstance(document, dict):
        raise SchemaMismatch("the answer is not an object with the version")
    facts = {read_text(key): read_text(value) for key, value in document.items()}
    return {key: value for key, value in facts.items() if key is not None and value is not None}


def execution_result(document: Any, execution_id: str, outcomes: Mapping[str, str]) -> Result:
    """Return how an execution ended.

    Args:
        document: ``{"executionId", "status", "result"}``, or ``{"exitCode", "exitMessage", …}`` without a status.
        execution_id: the execution that was asked for.
        outcomes: the profile's value map, keys in upper case.
    """
    if not isinstance(document, dict):
        return Result("unresolved", "the answer is not an object")
    answered = read_id(document.get("executionId"))
    if answered is not None and answered.lower() != execution_id.lower():
        return Result("unresolved", "the answer is about another execution")
    status = read_flag_or_text(document.get("status"))
    if status is not None:
        outcome = _OUTCOMES.get(outcomes.get(status.upper(), ""))
        return Result(outcome) if outcome else Result("unresolved", f"the status is {status[:80]!a}")
    exit_code = read_id(document.get("exitCode"))
    if exit_code is not None:
        return Result("done" if exit_code == "0" else "error")
    return Result("unresolved", "the answer has neither a status nor an exit code")


_OUTCOMES: Mapping[str | None, Outcome] = {
    "done": "done",
    "error": "error",
    "killed": "killed",
    "running": "running",
    "unresolved": "unresolved",
}
