"""Envelopes: every accepted one, and what is no list."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.cockpit.envelopes import Answer, Page, unwrap
from exporter.cockpit.errors import SchemaMismatch
from exporter.config.profiles import ListEndpoint

A, B = {"id": 1}, {"id": 2}
UUID = "0b9e3c5a-7d0f-4c1e-9a43-2f5d1c6b7a80"


@pytest.mark.parametrize(
    ("document", "rows", "envelope"),
    [
        ([], [], "array"),
        ([A, B], [A, B], "array"),
        ([A, None, "x"], [A, None, "x"], "array"),
        ({"content": [A, B]}, [A, B], "content"),
        ({"_embedded": {"jobDtoList": [A]}}, [A], "_embedded.jobDtoList"),
        ({"_embedded": {"jobs": [A], "links": [B]}}, [A], "_embedded.jobs"),
        ({"_embedded": {}}, [], "_embedded"),
        ({"data": [A]}, [A], "data"),
        ({"items": [A]}, [A], "items"),
        ({"jobs": [A]}, [A], "jobs"),
        ({"results": [A]}, [A], "results"),
        ({"data": [B], "jobs": [A]}, [A], "jobs"),
        ({"error": None, "data": [A]}, [A], "data"),
        ({"data": {"jobs": [A]}}, [A], "data.jobs"),
        ({"data": {"content": [A], "totalPages": 1}}, [A], "data.content"),
        ({"jobs": {"_embedded": {"x": [A]}}}, [A], "jobs._embedded.x"),
        ({"data": {}}, [], "data.empty object"),
        ({"123": {"name": "a"}}, [{"name": "a", "(map key)": "123"}], "map by id"),
        ({UUID: {"name": "a"}}, [{"name": "a", "(map key)": UUID}], "map by id"),
        ({"data": {"123": A}}, [{"id": 1, "(map key)": "123"}], "data.map by id"),
        ({}, [], "empty object"),
        ({"_links": {"self": {"href": "x"}}}, [], "empty object"),
        ({"page": {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}}, [], "empty object"),
    ],
)
def test_accepted_envelopes(document: Any, rows: list[Any], envelope: str) -> None:
    """Every documented envelope yields its rows."""
    answer = unwrap(document, "jobs")

    assert (rows, envelope) == (answer.rows, answer.envelope)


@pytest.mark.parametrize(
    ("endpoint", "document", "rows"),
    [
        ("executions", {"executions": [A], "jobs": [B]}, [A]),
        ("applications", {"applications": ["K7SALES"]}, ["K7SALES"]),
        ("applications", {"K7SALES": {"name": "Sales"}}, [{"name": "Sales", "(map key)": "K7SALES"}]),
    ],
)
def test_own_name_as_wrapper(endpoint: ListEndpoint, document: Any, rows: list[Any]) -> None:
    """An endpoint's own name is a wrapper key, and its codes are ids."""
    assert rows == unwrap(document, endpoint).rows


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (None, "the answer is null, not a list of jobs in a known envelope"),
        (True, "the answer is a single boolean, not a list of jobs in a known envelope"),
        (7, "the answer is a single int, not a list of jobs in a known envelope"),
        ("OK", "the answer is a single str, not a list of jobs in a known envelope"),
        (
            {"timestamp": 1, "status": 500, "message": "secret"},
            "the answer is an object with the keys 'timestamp', 'status', 'message', not a list of jobs",
        ),
        ({"executions": [A]}, "the answer is an object with the keys 'executions', not a list of jobs in a known"),
        ({"data": None}, "the answer is an object with the keys 'data', not a list of jobs in a known envelope"),
        ({"content": None}, "the answer is an object with the keys 'content', not a list of jobs in a known envelope"),
        ({"_embedded": {"a": [], "b": []}}, "the answer is an object with the keys '_embedded', not a list of jobs"),
        ({"_embedded": []}, "the answer is an object with the keys '_embedded', not a list of jobs"),
        ({"123": A, "name": B}, "the answer is an object with the keys '123', 'name', not a list of jobs"),
        ({"123": A, "124": None}, "the answer is an object with the keys '123', '124', not a list of jobs"),
        ({"data": {"data": {"data": {"data": {"data": {"data": [A]}}}}}}, "the answer is an object with the keys"),
        ({str(n): n for n in range(20)}, "'0', '1', '2', '3', '4', '5', '6', '7', …, not a list of jobs"),
    ],
)
def test_anything_else_is_a_schema_mismatch(document: Any, sentence: str) -> None:
    """What holds no list names its form and its keys, but none of its values."""
    with pytest.raises(SchemaMismatch) as caught:
        unwrap(document, "jobs")

    assert sentence in caught.value.detail
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    ("document", "page"),
    [
        (
            {"content": [A], "number": 0, "size": 20, "totalPages": 3, "totalElements": 41, "last": False},
            Page(0, 3, 41, last=False),
        ),
        ({"content": [A], "number": 2, "totalPages": 3}, Page(2, 3, None, last=True)),
        ({"content": [A], "last": False}, Page(None, None, None, last=False)),
        (
            {"content": [A], "page": {"size": 20, "number": 0, "totalElements": 41, "totalPages": 3}},
            Page(0, 3, 41, last=False),
        ),
        (
            {"_embedded": {"jobs": [A]}, "page": {"number": 0, "totalElements": 1, "totalPages": 1}},
            Page(0, 1, 1, last=True),
        ),
        ({"data": {"content": [A], "number": 1, "totalPages": 4}}, Page(1, 4, None, last=False)),
        ({"data": [A], "page": {"number": 1, "totalPages": 4}}, Page(1, 4, None, last=False)),
        ({"content": [], "number": 0, "totalPages": 0}, Page(0, 0, None, last=True)),
        ({"content": [A]}, None),
        ({"content": [A], "number": True, "totalPages": "3", "last": "no"}, None),
        ([A], None),
    ],
)
def test_page_information(document: Any, page: Page | None) -> None:
    """Where an answer stands in a paged list is read from the usual places; odd values are ignored."""
    assert page == unwrap(document, "jobs").page


@pytest.mark.parametrize(
    ("document", "items", "answer"),
    [
        ({"payload": {"rows": [A]}}, "payload.rows", Answer([A], "payload.rows")),
        (
            {"payload": {"rows": [A], "number": 0, "totalPages": 2}},
            "payload.rows",
            Answer([A], "payload.rows", Page(0, 2, None, last=False)),
        ),
        (
            {"rows": [A], "page": {"number": 0, "totalPages": 2}},
            "rows",
            Answer([A], "rows", Page(0, 2, None, last=False)),
        ),
        ({"rows": {"7": {}}}, "rows", Answer([{"(map key)": "7"}], "rows, map by id")),
        ({"rows": {}}, "rows", Answer([], "rows, map by id")),
    ],
)
def test_items_path(document: Any, items: str, answer: Answer) -> None:
    """A profile's dotted path leads to the rows of any other envelope."""
    assert answer == unwrap(document, "jobs", items)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([A], "the answer is an array, without the list of jobs at 'payload.rows'"),
        (
            {"payload": {}},
            "the answer is an object with the keys 'payload', without the list of jobs at 'payload.rows'",
        ),
        ({"payload": {"rows": None}}, "the answer is null at 'payload.rows', not a list of jobs"),
    ],
)
def test_items_path_that_leads_nowhere(document: Any, sentence: str) -> None:
    """A path that leads to no list is a schema mismatch, whatever else the answer holds."""
    with pytest.raises(SchemaMismatch) as caught:
        unwrap(document, "jobs", "payload.rows")

    assert sentence == caught.value.detail
