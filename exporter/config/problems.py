"""What is wrong with a document, as sentences that name the key, what was wrong and what was expected."""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.document import kind

#: Where a value stands: keys and list positions from the top, as in ``("targets", 0, "url")``.
Place = tuple[Any, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
# What to write for a key that is missing.
_MISSING: Mapping[Any, str] = {
    "name": "a name such as production",
    "url": "an address such as https://apps.example.com/cockpit",
    "applications": "a list of application codes such as [K7SALES, M2STOCK]",
    "file": "the path of the file that holds the value",
    "cert_file": "the path of the certificate",
    "key_file": "the path of the certificate's private key",
}
_SENTENCES = {
    "invalid_key": "is no text, expected a known key",
    "string_too_short": "is empty, expected text",
    "too_short": "is empty, expected at least one entry",
}
_EXPECTED = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and a sentence of the form "what was wrong, what was expected"."""

    place: Place
    sentence: str

    def __str__(self) -> str:
        return f"{key_of(self.place)}: {self.sentence}" if self.place else self.sentence


class ConfigError(Exception):
    """A configuration file that cannot be used.

    Attributes:
        problems: every problem as one line, ``FILE: KEY: what was wrong, what was expected``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def key_of(place: Place) -> str:
    """Return a place as people write it: ``targets[0].auth.headers.X-Tenant``."""
    key = ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            text = str(part)
            plain = text if _PLAIN_KEY.fullmatch(text) else json.dumps(text[:60])
            key += f".{plain}" if key else plain
    return key


def described(value: Any) -> str:
    """Return a value for a message: text quoted, on one line and shortened, numbers and booleans as in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"  # noqa: PLR2004 - what fits a terminal's line


def found_in(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Yield what pydantic found wrong in a document that is to be a ``model``, in our words."""
    for detail in error.errors(include_url=False):
        if not _follows_from_another(detail):
            yield Problem(_place(detail), _sentence(detail, model))


def _follows_from_another(detail: ErrorDetails) -> bool:
    # A default that depends on a wrong value, and a list that is too short only because its entries are wrong.
    return detail["type"] == "default_factory_not_called" or (detail["type"] == "too_short" and bool(detail["input"]))


def _place(detail: ErrorDetails) -> Place:
    # A key that is wrong itself is placed by how it stands in the file, where pydantic says 1 for true.
    if detail["loc"][-1:] == ("[key]",):
        return (*detail["loc"][:-2], _yaml_key(detail["input"]))
    if detail["type"] == "invalid_key":
        return (*detail["loc"][:-1], _yaml_key(detail["input"]))
    return detail["loc"]


def _yaml_key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    place, value, context = detail["loc"], detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            # Profiles, whose sentences also stand alone, put a semicolon there.
            sentence = str(context["error"]).replace("; expected", ", expected")
        case "missing":
            sentence = f"is missing, expected {_MISSING.get(place[-1], 'a value')}"
        case "extra_forbidden":
            sentence = _unknown_key(place[-1], keys_of(section_at(model, place[:-1])))
        case "literal_error" if place[-1] == "[key]":
            sentence = _unknown_key(place[-2], re.findall(r"'([^']+)'", context["expected"]))
        case "literal_error":
            sentence = f"is {kind(value)}, expected {context['expected']}"
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            sentence = f"is {value}, expected {bound}"
        case "string_type" if isinstance(value, bool | int | float):
            sentence = f"is {kind(value)}, expected text in quotes"
        case other:
            sentence = _SENTENCES.get(other) or f"is {kind(value)}, expected {_EXPECTED.get(other, 'otherwise')}"
    return sentence


def _unknown_key(key: Any, known: list[str]) -> str:
    nearest = difflib.get_close_matches(str(key), known, n=1)
    if nearest:
        return f"is no known key, expected {nearest[0]} instead"
    return f"is no known key, expected {'one of ' if len(known) > 1 else ''}{', '.join(known)}"


def section_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """Return the model of the section at ``place``."""
    parts = iter(place)
    for part in parts:
        if isinstance(part, int):
            continue
        field = next(field for name, field in model.model_fields.items() if part == (field.alias or name))
        model = next(_models_in(field.annotation))
        if typing.get_origin(field.annotation) is dict:
            next(parts, None)
    return model


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys that a section has in the file, in their order."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def in_file_order(problems: Iterable[Problem], document: Mapping[Any, Any]) -> list[Problem]:
    """Return one problem for each place, in the order in which a reader meets the places in the file."""
    order = {place: position for position, (place, _) in enumerate(_places(document))}

    def position(problem: Problem) -> int:
        place = problem.place
        while place not in order:
            place = place[:-1]
        return order[place]

    first: dict[Place, Problem] = {}
    for problem in problems:
        first.setdefault(problem.place, problem)
    return sorted(first.values(), key=position)


def empty_values(content: Mapping[Any, Any]) -> Iterator[Problem]:
    """Yield the keys whose value was left out, which YAML allows and pydantic takes for an unset one."""
    for place, value in _places(content):
        if value is None and isinstance(place[-1], str):
            yield Problem(place, "is empty, expected a value, or the key left out")


def _places(value: Any, place: Place = (), met: set[int] | None = None) -> Iterator[tuple[Place, Any]]:
    yield place, value
    met = set() if met is None else met
    # A few lines of nested YAML aliases can stand for billions of places.
    if id(value) in met:
        return
    if isinstance(value, Mapping):
        met.add(id(value))
        for key, below in value.items():
            yield from _places(below, (*place, key), met)
    elif isinstance(value, list):
        met.add(id(value))
        for position, below in enumerate(value):
            yield from _places(below, (*place, position), met)
