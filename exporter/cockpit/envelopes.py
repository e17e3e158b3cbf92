"""Decoded JSON → rows, whatever the list is wrapped in.

Accepted: a bare array, ``content`` (Spring's Page and PagedModel), HAL's ``_embedded``, one wrapper key around any of
these, and a map by id. An object with nothing but ``_links`` or ``page`` is an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.cockpit.errors import SchemaMismatch
from exporter.cockpit.keys import MAP_KEY, MISSING, value_at
from exporter.cockpit.scalars import is_digits, is_uuid
from exporter.config.profiles import ListEndpoint

_WRAPPERS = ("data", "items", "results")
_LINKS_AND_PAGE = frozenset({"_links", "page"})
_APPLICATION_CODE = re.compile(r"[A-Z0-9]{7}")
#: A wrapper around a wrapper around a page is odd but clear; beyond that a profile should say where the rows are.
_DEEPEST = 4
_MOST_KEYS_NAMED = 8


@dataclass(frozen=True, slots=True)
class Page:
    """Where a paged answer stands in the whole list; ``None`` where the answer does not say.

    Attributes:
        number: this page's number, from 0.
        total_pages: how many pages there are.
        total_rows: how many rows all pages have together.
        last: whether no page follows.
    """

    number: int | None
    total_pages: int | None
    total_rows: int | None
    last: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of one answer.

    Attributes:
        rows: the elements as decoded; those of a map by id carry their key under ``keys.MAP_KEY``.
        envelope: what they came in, for people: ``array``, ``data.content``, ``_embedded.jobs``, ``map by id``.
        page: where the answer stands in a paged list; ``None`` for one that is not paged.
    """

    rows: list[Any]
    envelope: str
    page: Page | None = None


def unwrap(document: Any, endpoint: ListEndpoint, items: str | None = None) -> Answer:
    """Find the rows in a decoded answer.

    Args:
        document: any JSON value.
        endpoint: whose answer it is; its own name is the preferred wrapper key.
        items: the profile's dotted path to the array (or map by id), for envelopes that are none of the usual ones.

    Raises:
        SchemaMismatch: there is no list in any known envelope.
    """
    if items is not None:
        return _at_path(document, endpoint, items)
    found = _find(document, endpoint, (), None)
    if found is None:
        raise SchemaMismatch(f"{_form(document)}, not a list of {endpoint} in a known envelope")
    return found


def _at_path(document: Any, endpoint: ListEndpoint, items: str) -> Answer:
    path = items.split(".")
    value = value_at(document, path)
    if value is MISSING:
        raise SchemaMismatch(f"{_form(document)}, without the list of {endpoint} at {items!r}")
    page = None
    for depth in range(len(path)):
        page = _page(value_at(document, path[:depth])) or page
    if isinstance(value, list):
        return Answer(value, items, page)
    if isinstance(value, dict) and (not value or _is_map_by_id(value, endpoint)):
        return Answer(_rows_of_map(value), f"{items}, map by id", page)
    raise SchemaMismatch(f"{_form(value)} at {items!r}, not a list of {endpoint}")


def _find(value: Any, endpoint: ListEndpoint, path: tuple[str, ...], page: Page | None) -> Answer | None:
    if isinstance(value, list):
        return Answer(value, ".".join(path) or "array", page)
    if not isinstance(value, dict) or len(path) > _DEEPEST:
        return None
    return _in_object(value, endpoint, path, _page(value) or page)


def _in_object(
    value: dict[str, Any], endpoint: ListEndpoint, path: tuple[str, ...], page: Page | None
) -> Answer | None:
    if _LINKS_AND_PAGE.issuperset(value):
        return Answer([], ".".join((*path, "empty object")), page)
    if isinstance(value.get("content"), list):
        return Answer(value["content"], ".".join((*path, "content")), page)
    if "_embedded" in value:
        return _embedded(value["_embedded"], endpoint, (*path, "_embedded"), page)
    for key in (endpoint, *_WRAPPERS):
        if key in value:
            return _find(value[key], endpoint, (*path, key), page)
    if _is_map_by_id(value, endpoint):
        return Answer(_rows_of_map(value), ".".join((*path, "map by id")), page)
    return None


def _embedded(value: Any, endpoint: ListEndpoint, path: tuple[str, ...], page: Page | None) -> Answer | None:
    """HAL names the array after a class, so a single one is taken under any name."""
    if not isinstance(value, dict):
        return None
    if not value:
        return Answer([], ".".join(path), page)
    arrays = [key for key in value if isinstance(value[key], list)]
    if endpoint in arrays:
        arrays = [endpoint]
    if len(arrays) != 1:
        return None
    return Answer(value[arrays[0]], ".".join((*path, arrays[0])), page)


def _is_map_by_id(value: Mapping[str, Any], endpoint: ListEndpoint) -> bool:
    if not all(isinstance(element, dict) for element in value.values()):
        return False
    if endpoint == "applications":
        return all(_APPLICATION_CODE.fullmatch(key) for key in value)
    return all(is_digits(key) or is_uuid(key) for key in value)


def _rows_of_map(value: Mapping[str, Any]) -> list[Any]:
    return [{**row, MAP_KEY: key} for key, row in value.items()]


def _page(value: Any) -> Page | None:
    """Read where a page stands: beside its rows (Page), or in an object named ``page`` (PagedModel, HAL)."""
    if not isinstance(value, dict):
        return None
    nested = value.get("page")
    facts = nested if isinstance(nested, dict) else value
    number = _count(facts.get("number"))
    total_pages = _count(facts.get("totalPages"))
    last = facts.get("last")
    if total_pages is None and not isinstance(last, bool):
        return None
    if not isinstance(last, bool):
        last = (number or 0) + 1 >= (total_pages or 0)
    return Page(number, total_pages, _count(facts.get("totalElements")), last)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _form(value: Any) -> str:
    """Say in a few words what a value is, with an object's keys but none of its values."""
    if isinstance(value, dict):
        keys = [ascii(key[:40]) for key in list(value)[:_MOST_KEYS_NAMED]]
        return f"the answer is an object with the keys {', '.join(keys)}{', …' if len(value) > len(keys) else ''}"
    if isinstance(value, list):
        return "the answer is an array"
    if value is None:
        return "the answer is null"
    return f"the answer is a single {'boolean' if isinstance(value, bool) else type(value).__name__}"
