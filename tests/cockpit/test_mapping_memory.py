"""What a mapper remembers between reads, and that no JSON value is too odd for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cockpit.envelopes import unwrap
from exporter.cockpit.errors import SchemaMismatch
from exporter.cockpit.mapping import ExecutionMapper, JobMapper
from exporter.config.profiles import ListEndpoint, resolve

PROFILE = resolve("cockpit", {})
ROWS = [
    {"id": 1, "name": "a", "status": "ENABLED", "currentVersion": 1},
    {"id": 2, "name": "b", "status": "ENABLED", "currentVersion": 0, "parallel": True},
    {"id": 3, "name": "c", "status": "STOPPED"},
]


def read_again(rows: Any) -> Any:
    """Return equal rows that share no object with the first ones, as the next answer would."""
    return json.loads(json.dumps(rows))


def test_unchanged_rows_yield_the_same_objects() -> None:
    """A second answer that equals the first yields the same listing, row by row the same objects."""
    mapper = JobMapper("K7SALES", PROFILE)
    first = mapper.map(ROWS)

    second = mapper.map(read_again(ROWS))

    assert first is second
    assert all(was is now for was, now in zip(first.rows, second.rows, strict=True))


def test_changed_row_leaves_the_others_alone() -> None:
    """A changed row yields a new object, and only that."""
    mapper = JobMapper("K7SALES", PROFILE)
    first = mapper.map(ROWS)
    rows = read_again(ROWS)
    rows[1]["status"] = "DISABLED"

    second = mapper.map(rows)

    assert [was is now for was, now in zip(first.rows, second.rows, strict=True)] == [True, False, True]
    assert second.rows[1].status == "DISABLED"


def test_change_in_an_unused_key_keeps_the_object() -> None:
    """A row that changes in nothing that a job is made of keeps its object."""
    mapper = JobMapper("K7SALES", PROFILE)
    first = mapper.map(ROWS)

    second = mapper.map([{**row, "fetchedAt": 7} for row in ROWS])

    assert first is second


def test_order_does_not_matter_for_identity() -> None:
    """Rows that moved keep their objects, in the new order."""
    mapper = JobMapper("K7SALES", PROFILE)
    first = mapper.map(ROWS)

    second = mapper.map(read_again(ROWS[::-1]))

    assert [id(job) for job in first.rows] == [id(job) for job in reversed(second.rows)]


def test_row_that_returns_after_an_absence_is_read_anew() -> None:
    """A row that is no longer listed is forgotten."""
    mapper = JobMapper("K7SALES", PROFILE)
    first = mapper.map(ROWS)
    mapper.map(ROWS[1:])

    third = mapper.map(ROWS)

    assert first == third
    assert first.rows[0] is not third.rows[0]
    assert first.rows[1] is third.rows[1]


@pytest.mark.parametrize("id_", [{"jobId": 7}, {"jobPK": {"id": "7"}}, {"id": 7.0}, {"(map key)": "7"}])
def test_every_place_of_an_id_is_remembered(id_: dict[str, Any]) -> None:
    """Rows are found again wherever their id is."""
    mapper = JobMapper("K7SALES", PROFILE)
    rows = [{**id_, "name": "a", "status": "ENABLED"}]

    assert mapper.map(rows).rows[0] is mapper.map(read_again(rows)).rows[0]


def test_flaws_are_counted_in_every_answer() -> None:
    """A remembered row keeps being counted for what is wrong with it."""
    mapper = JobMapper("K7SALES", PROFILE)
    rows = [{"id": 1, "name": "a", "status": "odd", "lastUpdate": "never"}, {"id": 2}]

    for number in range(3):
        listing = mapper.map([*read_again(rows), {"id": number + 10, "name": "b", "status": "ENABLED"}])

        assert (listing.unknown_values, listing.invalid) == ({"status": 1}, 1)
        assert listing.mapping_errors == {"last_update": 1, "name": 1}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"parallel": True}, {"parallel": 1}),
        ({"currentVersion": 1}, {"currentVersion": 1.0}),
        ({"currentVersion": 1}, {"currentVersion": True}),
    ],
)
def test_change_of_json_type_alone_is_no_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    """true, 1 and 1.0 are equal: a row that only changes their notation keeps its first reading."""
    mapper = JobMapper("K7SALES", PROFILE)
    first = mapper.map([{**ROWS[2], **before}])

    assert first is mapper.map([{**ROWS[2], **after}])


def test_boolean_id_is_never_taken_for_the_number_one() -> None:
    """A row whose id is true is invalid even when it follows an equal row with the id 1, wherever that stood."""
    mapper = JobMapper("K7SALES", PROFILE)
    number, boolean = ({"id": value, "name": "a", "status": "ENABLED"} for value in (1, True))
    mapper.map([{"id": 2, "name": "b", "status": "ENABLED"}, number])

    listing = mapper.map([boolean, number])

    assert ([job.id for job in listing.rows], listing.invalid) == (["1"], 1)


def test_executions_are_remembered_too() -> None:
    """Executions that did not change are the same objects."""
    mapper = ExecutionMapper("K7SALES", PROFILE)
    rows = [{"executionId": "a", "jobId": 1, "startDate": 1721032200}, {"executionId": "b", "jobId": 1}]
    first = mapper.map(rows)

    assert first is mapper.map(read_again(rows))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
KEYS = sorted(
    {
        part
        for fields in (PROFILE.fields.job, PROFILE.fields.execution)
        for keys in fields.values()
        for key in keys
        for part in key.partition("|")[0].split(".")
    }
    | {"(map key)"}
)
IDS = st.integers(0, 3) | st.sampled_from(["0", "1", "0b9e3c5a-7d0f-4c1e-9a43-2f5d1c6b7a80"])
ROW = st.dictionaries(st.sampled_from(KEYS), VALUES | IDS, max_size=8)
LIST = st.lists(ROW | VALUES, max_size=6)
DOCUMENT = (
    VALUES
    | LIST
    | st.dictionaries(st.sampled_from(["content", "data", "items", "jobs", "executions", "_embedded", "page"]), LIST)
    | st.dictionaries(IDS.map(str), ROW, max_size=4)
)


@given(DOCUMENT, st.sampled_from(["jobs", "executions"]))
def test_any_document_is_a_listing_or_a_schema_mismatch(document: Any, endpoint: ListEndpoint) -> None:
    """Any JSON value is a listing whose rows all add up, or a schema mismatch; mapping it again changes nothing."""
    mapper = JobMapper("K7SALES", PROFILE) if endpoint == "jobs" else ExecutionMapper("K7SALES", PROFILE)
    try:
        rows = unwrap(document, endpoint).rows
    except SchemaMismatch:
        return
    first = mapper.map(rows)
    second = mapper.map(copy.deepcopy(rows))

    assert first == second
    assert all(was is now for was, now in zip(first.rows, second.rows, strict=True))
    assert first.listed == len(rows) == len(first.rows) + first.invalid + first.duplicate
    assert first.unidentified + len(first.present) <= first.invalid or endpoint == "jobs"
    for fact in first.rows:
        assert fact.id.strip()
        str(fact).encode()


@pytest.mark.parametrize("build", [JobMapper, ExecutionMapper])
@given(data=st.data())
def test_memory_changes_nothing_but_identity(build: Callable[..., Any], data: st.DataObject) -> None:
    """A mapper that has seen other rows before maps like a fresh one."""
    # Without booleans and floats, whose equality with integers is settled above.
    plain = st.none() | st.integers() | st.text(max_size=3)
    rows = st.lists(st.dictionaries(st.sampled_from(KEYS), plain | IDS, max_size=5), max_size=5)
    seasoned = build("K7SALES", PROFILE)
    for _ in range(3):
        answer = data.draw(rows)
        assert build("K7SALES", PROFILE).map(answer) == seasoned.map(answer)
