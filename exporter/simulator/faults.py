"""Everything that can be wrong with an installation, to be switched on one by one, also at run time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What a fault may be limited to; the exporter's names for the endpoints it knows, and some of our own.
ENDPOINTS = (
    "jobs",
    "executions",
    "results",
    "version",
    "applications",
    "kill",
    "publish",
    "service",
    "run",
    "openapi",
    "actuator",
)

_EVERYWHERE = tuple(name for name in ENDPOINTS if name != "actuator")
_LISTS = ("jobs", "executions")
_BOTH_LISTS = "jobs and executions"


class UnknownFault(ValueError):
    """A fault's text or JSON form cannot be understood; the message says why and what is accepted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault that can be switched on.

    Attributes:
        description: what happens, in one line.
        endpoints: where it happens unless it is limited further.
        default: the argument where none is given; empty where there is none.
        numeric: whether the argument is a number.
    """

    description: str
    endpoints: tuple[str, ...] = _EVERYWHERE
    default: str = ""
    numeric: bool = False


def _per_list(description: str, default: str = "") -> Kind:
    return Kind(description, _LISTS, default, numeric=bool(default))


KINDS: Mapping[str, Kind] = {
    # Another answer in place of the right one.
    "html_login": Kind("an HTML login page with status 200"),
    "redirect_login": Kind("a 302 to a login page"),
    "unauthorized": Kind("401, as for an expired key"),
    "forbidden": Kind("403, as for a key without the right"),
    "executions_not_found": Kind("404 on the running executions, as of an older release", ("executions",)),
    "server_error": Kind("500"),
    "unavailable": Kind("503"),
    "gateway_timeout": Kind("504 with a gateway's HTML page"),
    "legacy_701": Kind("status 701, as of releases before 2024.1"),
    "empty_body": Kind("200 with an empty body"),
    "null_body": Kind("200 with the JSON null"),
    "unknown_envelope": Kind("200 with a JSON object that holds no list", _LISTS),
    "truncated_json": Kind("JSON that stops half-way, in a complete HTTP answer"),
    "huge_json": Kind("valid JSON of ARG MiB", _LISTS, "128", numeric=True),
    "application_failure": Kind("500 for one application alone, ARG"),
    "vanished_application": Kind("404 for one application alone, ARG"),
    "csrf": Kind("403 for calls that change something without Spring's X-XSRF-TOKEN", ("kill", "publish", "service")),
    # Rows that are not as expected.
    "duplicate_ids": _per_list("every third row is listed twice, the second time altered"),
    "duplicate_names": _per_list("all rows of a list have the same name"),
    "unknown_values": Kind("every third job has a type, status and execution mode that nobody has heard of", ("jobs",)),
    "null_fields": _per_list("in turn one field of a row is null, its id included"),
    "missing_fields": _per_list("in turn one field of a row is missing, its id included"),
    "string_ids": _per_list("ids of jobs are strings"),
    "hostile_names": _per_list("names with quotes, backslashes, newlines, emoji, lone surrogates and 100 KB"),
    "no_current_version": Kind("no job has a current version, as of releases before 2024.1.2", ("jobs",)),
    "clock_skew": _per_list("every date is ARG seconds ahead", "3600"),
    "bad_dates": _per_list("dates that are no dates, and some of 1970"),
    "long_errors": Kind("every third job is in ERROR with an error text of ARG KiB", ("jobs",), "256", numeric=True),
    # Time and transport.
    "slow": Kind("every answer takes ARG seconds longer", _EVERYWHERE, "3", numeric=True),
    "slow_body": Kind("the body arrives in twenty pieces over ARG seconds", _EVERYWHERE, "5", numeric=True),
    "hang": Kind("never any answer"),
    "reset": Kind("the connection is reset before any byte of an answer"),
    "reset_mid_body": Kind("the connection is reset half-way through the body"),
    # Dumbella's own.
    "kill_ignored": Kind("a kill is accepted and nothing happens", ("kill",)),
    "kill_lost": Kind("a kill is carried out, but the connection is reset instead of an answer", ("kill",)),
    "slow_results": Kind("a result takes ARG seconds", ("results",), "3", numeric=True),
    "results_error": Kind("500 for every result", ("results",)),
    "results_not_found": Kind("404 for every result", ("results",)),
}

#: Name → one line, for people.
FAULTS: Mapping[str, str] = {name: kind.description for name, kind in KINDS.items()}

_NEEDS_APPLICATION = frozenset({"application_failure", "vanished_application"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is switched on; empty ``endpoint`` or ``application`` does not limit it."""

    name: str
    argument: str = ""
    endpoint: str = ""
    application: str = ""

    def __post_init__(self) -> None:
        kind = KINDS.get(self.name)
        if kind is None:
            raise UnknownFault(f"there is no fault {self.name!r}; there are {', '.join(KINDS)}")
        if self.endpoint and self.endpoint not in kind.endpoints:
            raise UnknownFault(f"{self.name} does not concern {self.endpoint!r}, but {', '.join(kind.endpoints)}")
        if self.name in _NEEDS_APPLICATION and not self.argument:
            raise UnknownFault(f"{self.name} needs an application, as in {self.name}=K7SALES")
        if kind.numeric and self.argument and not re.fullmatch(r"\d+(\.\d+)?", self.argument):
            raise UnknownFault(f"{self.name} takes a number, not {self.argument!r}")
        if self.argument and not kind.default and self.name not in _NEEDS_APPLICATION:
            raise UnknownFault(f"{self.name} takes no argument, but got {self.argument!r}")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``NAME[=ARG][@ENDPOINT][@APPLICATION]``.

        Raises:
            UnknownFault: with what was wrong and what is accepted.
        """
        head, *scopes = text.strip().split("@")
        name, _, argument = head.partition("=")
        endpoint = application = ""
        for scope in scopes:
            if scope in ENDPOINTS:
                endpoint = scope
            elif re.fullmatch(r"[A-Z0-9]+", scope):
                application = scope
            else:
                raise UnknownFault(
                    f"{text!r}: {scope!r} is neither an application's code nor one of {', '.join(ENDPOINTS)}"
                )
        return cls(name, argument, endpoint, application)

    @classmethod
    def from_json(cls, value: Any) -> Fault:
        """Read the text form, or an object with ``name`` and optionally ``argument``, ``endpoint``, ``application``.

        Raises:
            UnknownFault: with what was wrong and what is accepted.
        """
        if isinstance(value, str):
            return cls.parse(value)
        if not isinstance(value, dict) or "name" not in value:
            raise UnknownFault(f"{value!r} is neither NAME[=ARG][@ENDPOINT][@APPLICATION] nor an object with a name")
        unknown = sorted(set(value) - {"name", "argument", "endpoint", "application"})
        if unknown:
            raise UnknownFault(f"unknown keys {', '.join(unknown)}; a fault has name, argument, endpoint, application")
        return cls(**{key: str(part) for key, part in value.items()})

    def concerns(self, endpoint: str, application: str) -> bool:
        """Tell whether a request to ``endpoint`` for ``application`` (empty: none in its path) meets this fault."""
        if endpoint not in KINDS[self.name].endpoints:
            return False
        if self.endpoint and self.endpoint != endpoint:
            return False
        wanted = self.argument if self.name in _NEEDS_APPLICATION else self.application
        return not wanted or wanted == application

    @property
    def number(self) -> float:
        """The argument, or its default, as a number."""
        return float(self.argument or KINDS[self.name].default)

    def __str__(self) -> str:
        text = f"{self.name}={self.argument}" if self.argument else self.name
        return "".join([text, *(f"@{scope}" for scope in (self.endpoint, self.application) if scope)])


class Faults:
    """The faults that are switched on at the moment."""

    def __init__(self, active: Iterable[Fault] = ()) -> None:
        self._active: tuple[Fault, ...] = tuple(dict.fromkeys(active))

    @property
    def active(self) -> tuple[Fault, ...]:
        """What is switched on, in the order in which it was."""
        return self._active

    def replace(self, faults: Iterable[Fault]) -> None:
        """Switch exactly these on."""
        self._active = tuple(dict.fromkeys(faults))

    def add(self, faults: Iterable[Fault]) -> None:
        """Switch these on as well."""
        self._active = tuple(dict.fromkeys([*self._active, *faults]))

    def remove(self, name: str) -> bool:
        """Switch every fault with this name off; tell whether there was one."""
        kept = tuple(fault for fault in self._active if fault.name != name)
        removed = len(kept) < len(self._active)
        self._active = kept
        return removed

    def at(self, endpoint: str, application: str) -> dict[str, Fault]:
        """Return by name the faults that a request meets."""
        return {fault.name: fault for fault in self._active if fault.concerns(endpoint, application)}
