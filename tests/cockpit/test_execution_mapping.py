"""Rows of running executions → Execution: aliases with their conditions, identity, and what is still present."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.cockpit.mapping import ExecutionMapper
from exporter.config.profiles import resolve
from exporter.model import Execution, Listing

RUN = "0b9e3c5a-7d0f-4c1e-9a43-2f5d1c6b7a80"
OTHER_RUN = "5f2d1c6b-7a80-4c1e-9a43-0b9e3c5a7d0f"
JOB = "100000000000001"
ROW = {"executionId": RUN, "jobId": JOB, "name": "load_orders_0.1.zip", "startDate": 1721032200000}


def mapped(*rows: Any, **profile: Any) -> Listing[Execution]:
    """Map rows of K7SALES under the cockpit profile, or one that extends it."""
    return ExecutionMapper("K7SALES", resolve("ours", {"ours": profile})).map(rows)


def test_complete_row() -> None:
    """A row with every default key becomes a complete execution."""
    assert mapped(ROW) == Listing(rows=(Execution("K7SALES", RUN, JOB, "load_orders_0.1", 1721032200.0),), listed=1)


@pytest.mark.parametrize(
    ("row", "execution"),
    [
        ({"executionId": RUN, "jobId": JOB}, (RUN, JOB, "")),
        ({"execution": RUN, "jobId": JOB}, (RUN, JOB, "")),
        ({"uuid": RUN, "jobId": JOB}, (RUN, JOB, "")),
        ({"id": RUN, "jobId": JOB}, (RUN, JOB, "")),
        ({"id": RUN.upper(), "jobId": JOB}, (RUN.upper(), JOB, "")),
        ({"executionId": RUN, "uuid": OTHER_RUN, "jobId": JOB}, (RUN, JOB, "")),
        ({"execution": {"mode": "x"}, "uuid": RUN, "jobId": JOB}, (RUN, JOB, "")),
        ({"executionId": RUN, "id": JOB}, (RUN, JOB, "")),
        ({"executionId": RUN, "id": int(JOB)}, (RUN, JOB, "")),
        ({"executionId": RUN, "job": {"id": JOB}}, (RUN, JOB, "")),
        ({"executionId": RUN, "jobPK": {"id": JOB}}, (RUN, JOB, "")),
        ({"executionId": RUN, "id": RUN, "job": {"id": JOB}}, (RUN, JOB, "")),
        ({"executionId": RUN, "jobId": JOB, "id": 5}, (RUN, JOB, "")),
        ({"executionId": 77, "jobId": JOB}, ("77", JOB, "")),
        ({"executionId": RUN, "name": "a.zip"}, (RUN, "", "a")),
        ({"executionId": RUN, "jobName": "a"}, (RUN, "", "a")),
        ({"executionId": RUN, "job": {"name": "a", "id": JOB}}, (RUN, JOB, "a")),
        ({"(map key)": RUN, "id": JOB}, (RUN, JOB, "")),
    ],
)
def test_identity_aliases(row: dict[str, Any], execution: tuple[str, str, str]) -> None:
    """Ids and names come from the documented keys; ``id`` is read as what its shape says."""
    (only,) = mapped(row).rows

    assert execution == (only.id, only.job_id, only.job_name)


@pytest.mark.parametrize("key", ["startDate", "startTime", "startedAt", "date", "start"])
def test_start_aliases(key: str) -> None:
    """The start comes from any of the documented keys."""
    listing = mapped({"executionId": RUN, "jobId": JOB, key: "2024-07-15T08:30:00Z"})

    assert (listing.rows[0].started_at, listing.mapping_errors) == (1721032200.0, {})


@pytest.mark.parametrize("start", [{}, {"startDate": None}, {"startDate": ""}, {"startDate": "soon"}, {"startDate": 1}])
def test_start_that_cannot_be_read(start: dict[str, Any]) -> None:
    """An execution without a readable start is listed all the same, and counted."""
    listing = mapped({"executionId": RUN, "jobId": JOB, **start})

    assert listing.rows == (Execution("K7SALES", RUN, JOB, "", None),)
    assert (listing.invalid, listing.mapping_errors) == (0, {"started_at": 1})


def test_start_of_a_waiting_run_is_not_taken_from_another_key() -> None:
    """A null start means that the run waits, even beside the date of its creation."""
    listing = mapped({"executionId": RUN, "jobId": JOB, "startDate": None, "date": 1721032200000})

    assert listing.rows[0].started_at is None


@pytest.mark.parametrize("row", [{"executionId": RUN}, {"executionId": RUN, "jobId": True, "name": " "}])
def test_row_without_job_is_still_present(row: dict[str, Any]) -> None:
    """An execution that names no job is dropped, but known to be still there."""
    listing = mapped({**row, "startDate": 1721032200000}, ROW)

    assert len(listing.rows) == 1
    assert (listing.invalid, listing.present, listing.unidentified) == (1, frozenset({RUN}), 0)
    assert listing.mapping_errors == {"job_id": 1, "job_name": 1}


@pytest.mark.parametrize(
    ("row", "errors"),
    [
        ({"jobId": JOB, "name": "a", "startDate": 1721032200000}, {"id": 1}),
        ({"id": JOB, "name": "a", "startDate": 1721032200000}, {"id": 1}),
        ({"id": "run-7", "name": "a", "startDate": 1721032200000}, {"id": 1}),
        ({"executionId": True, "name": "a", "startDate": 1721032200000}, {"id": 1}),
        (None, {"row": 1}),
        ("text", {"row": 1}),
    ],
)
def test_row_without_execution_id_is_unidentified(row: Any, errors: dict[str, int]) -> None:
    """A row whose execution id cannot be read makes the list prove no absence."""
    listing = mapped(row, ROW)

    assert (listing.listed, listing.invalid, listing.unidentified, listing.present) == (2, 1, 1, frozenset())
    assert errors == listing.mapping_errors


def test_duplicates() -> None:
    """The same execution of the same job counts once; the same id under another job is another identity."""
    listing = mapped(ROW, {**ROW, "startDate": 1721032260000}, {**ROW, "jobId": "2"})

    assert [(only.job_id, only.started_at) for only in listing.rows] == [(JOB, 1721032200.0), ("2", 1721032200.0)]
    assert (listing.listed, listing.duplicate, listing.invalid) == (3, 1, 0)


def test_custom_key_without_condition() -> None:
    """A profile may read ``id`` as the execution id whatever its shape."""
    listing = mapped({"id": "run-7", "name": "a"}, fields={"execution": {"id": ["id"]}})

    assert listing.rows[0].id == "run-7"


def test_lone_surrogates() -> None:
    """Ids and names become text that UTF-8 can carry."""
    listing = mapped({"executionId": "a\ud800", "jobId": "b\udfff", "name": "c\ud800.zip"})

    assert listing.rows == (Execution("K7SALES", "a\ufffd", "b\ufffd", "c\ufffd", None),)
