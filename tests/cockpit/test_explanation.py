"""What ``check --online`` is told about the rows of an installation."""

from __future__ import annotations

from typing import Any

from exporter.cockpit import FieldUse, explain
from exporter.config.profiles import resolve

PROFILE = resolve("cockpit", {})


def uses(rows: list[Any], kind: Any = "job") -> dict[str, FieldUse]:
    """Return how each field was found in rows."""
    return {use.field: use for use in explain(rows, PROFILE, kind).fields}


def test_fields_in_order() -> None:
    """Every canonical field is told about, jobs' and executions' alike."""
    assert list(uses([])) == [
        "id",
        "name",
        "type",
        "status",
        "execution_mode",
        "current_version",
        "published_version",
        "last_update",
        "started_at",
        "error",
    ]
    assert list(uses([], "execution")) == ["id", "job_id", "job_name", "started_at"]


def test_keys_and_missing_rows() -> None:
    """For each field it tells which key supplied it in how many rows, and how many rows lacked it."""
    found = uses([{"id": 1, "name": "a"}, {"id": 2, "jobName": "b"}, {"jobPK": {"id": 3}}])

    assert found["id"] == FieldUse("id", {"id": 2, "jobPK.id": 1}, missing=0, unreadable=0, example="1")
    assert found["name"] == FieldUse("name", {"name": 1, "jobName": 1}, missing=1, unreadable=0, example='"a"')
    assert found["status"] == FieldUse("status", {}, missing=3, unreadable=0, example="")


def test_unreadable_values_come_first_as_examples() -> None:
    """A value that could not be read is counted and shown."""
    rows = [
        {"id": 1, "name": "a", "status": "ENABLED", "lastUpdate": None},
        {"id": 2, "name": "b", "status": "SLEEPING", "lastUpdate": "20 January"},
        {"id": 3, "name": "c", "status": "ENABLED", "lastUpdate": 1721032200000},
    ]
    found = uses(rows)

    assert found["status"] == FieldUse("status", {"status": 3}, missing=0, unreadable=1, example='"SLEEPING"')
    assert found["last_update"] == FieldUse(
        "last_update", {"lastUpdate": 3}, missing=0, unreadable=1, example='"20 January"'
    )


def test_examples_are_short() -> None:
    """A value of many kilobytes is shown by its beginning."""
    assert uses([{"error": "x" * 5000}])["error"].example == '"' + "x" * 59


def test_conditions_are_shown() -> None:
    """A key that counts for the shape of its value is told with its condition, a map's key as such."""
    run = "0b9e3c5a-7d0f-4c1e-9a43-2f5d1c6b7a80"
    found = uses([{"id": run, "jobId": 1}, {"(map key)": run, "id": 1}], "execution")

    assert found["id"].keys == {"id|uuid": 1, "(map key)": 1}
    assert found["job_id"].keys == {"jobId": 1, "id|digits": 1}


def test_unused_keys() -> None:
    """Keys that no field used are named with the number of rows that have them, dotted where nested."""
    explanation = explain(
        [
            {"id": 1, "name": "a", "owner": {"name": "x", "id": 2}, "tags": ["t"], "empty": {}},
            {"id": 2, "name": "b", "tags": None, "jobId": 7},
            "text",
        ],
        PROFILE,
        "job",
    )

    assert (explanation.rows, explanation.not_objects) == (3, 1)
    assert explanation.unused == {"empty": 1, "jobId": 1, "owner.id": 1, "owner.name": 1, "tags": 2}


def test_unused_keys_are_bounded() -> None:
    """Rows with very many keys are told about in part."""
    assert len(explain([{f"k{number:03}": 1 for number in range(500)}], PROFILE, "job").unused) == 100
