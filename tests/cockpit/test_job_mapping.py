"""Rows of jobs → Job: every alias, id type, enum, boolean, version and oddity."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from exporter.cockpit.mapping import JobMapper
from exporter.config.profiles import resolve
from exporter.model import Job, Listing

MINIMAL = {"id": "100000000000001", "name": "load_orders_0.1", "status": "ENABLED"}


def mapped(*rows: Any, **profile: Any) -> Listing[Job]:
    """Map rows of K7SALES under the cockpit profile, or one that extends it."""
    return JobMapper("K7SALES", resolve("ours", {"ours": profile})).map(rows)


def job(**fields: Any) -> Job:
    """Map a minimal row with further fields; a field of ``None`` is left out."""
    row = {key: value for key, value in {**MINIMAL, **fields}.items() if value is not None}
    (only,) = mapped(row).rows
    return only


def test_complete_row() -> None:
    """A row with every default key becomes a complete job."""
    listing = mapped(
        {
            "id": 100000000000001,
            "name": "load_orders_0.1.zip",
            "type": "SERVICE",
            "status": "STARTED",
            "execution": "Parallel",
            "currentVersion": 4,
            "publishedVersion": 3,
            "lastUpdate": "2024-07-15T08:30:00Z",
            "startDate": 1721032200000,
            "error": "java.lang.IllegalStateException: no\n\tat Main.run(Main.java:1)",
        }
    )

    assert listing == Listing(
        rows=(
            Job(
                application="K7SALES",
                id="100000000000001",
                name="load_orders_0.1",
                job_type="SERVICE",
                status="STARTED",
                execution_mode="PARALLEL",
                current_version="4",
                published_version="3",
                last_update=1721032200.0,
                started_at=1721032200.0,
                error="java.lang.IllegalStateException: no\n\tat Main.run(Main.java:1)",
            ),
        ),
        listed=1,
    )


@pytest.mark.parametrize(
    ("fragment", "attribute", "value"),
    [
        ({"id": "7"}, "id", "7"),
        ({"jobId": "7"}, "id", "7"),
        ({"jobPK": {"id": 7}}, "id", "7"),
        ({"pk": {"id": "7"}}, "id", "7"),
        ({"uuid": "7"}, "id", "7"),
        ({"id": "7", "jobId": "8", "uuid": "9"}, "id", "7"),
        ({"id": None, "jobId": "8"}, "id", "8"),
        ({"id": {"id": 5}, "jobPK": {"id": 7}}, "id", "7"),
        ({"name": "a"}, "name", "a"),
        ({"jobName": "a"}, "name", "a"),
        ({"label": "a"}, "name", "a"),
        ({"description": "a"}, "name", "a"),
        ({"name": "a", "description": "b"}, "name", "a"),
        ({"name": "", "label": "b"}, "name", "b"),
        ({"type": "JOB"}, "job_type", "JOB"),
        ({"jobType": "JOB"}, "job_type", "JOB"),
        ({"publicationType": "JOB"}, "job_type", "JOB"),
        ({"status": "ERROR"}, "status", "ERROR"),
        ({"state": "ERROR"}, "status", "ERROR"),
        ({"jobStatus": "ERROR"}, "status", "ERROR"),
        ({"status": None, "state": "ERROR"}, "status", "ERROR"),
        ({"execution": "PARALLEL"}, "execution_mode", "PARALLEL"),
        ({"executionType": "PARALLEL"}, "execution_mode", "PARALLEL"),
        ({"executionMode": "PARALLEL"}, "execution_mode", "PARALLEL"),
        ({"parallel": True}, "execution_mode", "PARALLEL"),
        ({"parallel": False}, "execution_mode", "SEQUENTIAL"),
        ({"parallelExecution": True}, "execution_mode", "PARALLEL"),
        ({"parallelExecution": False}, "execution_mode", "SEQUENTIAL"),
        ({"execution": {"running": 1}, "parallel": True}, "execution_mode", "PARALLEL"),
        ({"currentVersion": 2}, "current_version", "2"),
        ({"version": 2}, "current_version", "2"),
        ({"resourceVersion": 2}, "current_version", "2"),
        ({"publishedVersion": 2}, "published_version", "2"),
        ({"published": {"version": 2}}, "published_version", "2"),
        ({"lastUpdate": 1721032200000}, "last_update", 1721032200.0),
        ({"lastUpdateDate": 1721032200000}, "last_update", 1721032200.0),
        ({"updateDate": 1721032200000}, "last_update", 1721032200.0),
        ({"lastModified": 1721032200000}, "last_update", 1721032200.0),
        ({"updated": 1721032200000}, "last_update", 1721032200.0),
        ({"startDate": 1721032200000}, "started_at", 1721032200.0),
        ({"startedAt": 1721032200000}, "started_at", 1721032200.0),
        ({"started": 1721032200000}, "started_at", 1721032200.0),
        ({"lastStart": 1721032200000}, "started_at", 1721032200.0),
        ({"started": True, "lastStart": 1721032200000}, "started_at", 1721032200.0),
        ({"error": "E"}, "error", "E"),
        ({"errorMessage": "E"}, "error", "E"),
        ({"message": "E"}, "error", "E"),
        ({"info": "E"}, "error", "E"),
        ({"details": "E"}, "error", "E"),
        ({"error": True, "errorMessage": "E"}, "error", "E"),
    ],
)
def test_aliases(fragment: dict[str, Any], attribute: str, value: Any) -> None:
    """Every documented key supplies its field, the earlier ones first."""
    identity = {"id": "id", "jobId": "id", "jobPK": "id", "pk": "id", "uuid": "id"}
    row = {
        **({} if identity.keys() & fragment.keys() else {"id": "1"}),
        **({} if {"name", "jobName", "label", "description"} & fragment.keys() else {"name": "n"}),
        **({} if {"status", "state", "jobStatus"} & fragment.keys() else {"status": "ENABLED"}),
        **fragment,
    }
    listing = mapped(row)

    assert value == getattr(listing.rows[0], attribute)
    assert (listing.unknown_values, listing.mapping_errors) == ({}, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123456789012345, "123456789012345"),
        ("123456789012345", "123456789012345"),
        (1.23e14, "123000000000000"),
        (12345678901234.0, "12345678901234"),
        (" 12 ", "12"),
        ("a-b", "a-b"),
        (0, "0"),
        ("x\ud800y", "x\ufffdy"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_readable_ids(value: Any, text: str) -> None:
    """Ids arrive as numbers or text and become valid text."""
    assert text == job(id=value).id


@pytest.mark.parametrize(
    "value", [True, False, "", "  ", 1.5, float("nan"), float("inf"), 10**400, [], {}, [1], {"a": 1}]
)
def test_unreadable_id(value: Any) -> None:
    """A row without a readable id is dropped and counted; the rest stays."""
    listing = mapped({**MINIMAL, "id": value}, {**MINIMAL, "id": "2"})

    assert [only.id for only in listing.rows] == ["2"]
    assert (listing.listed, listing.invalid, listing.mapping_errors) == (2, 1, {"id": 1})


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("load_0.1.zip", "load_0.1"),
        ("load_0.1.ZIP", "load_0.1"),
        ("load_0.1", "load_0.1"),
        ("load.zip.zip", "load.zip"),
        ("load.zipper", "load.zipper"),
        ("zip", "zip"),
        ("café \U0001f600", "café \U0001f600"),
        ("lone \udfff", "lone \ufffd"),
        ("line\nbreak", "line\nbreak"),
    ],
)
def test_names(value: str, name: str) -> None:
    """A name loses one trailing .zip in any case, and nothing else."""
    assert name == job(name=value).name


@pytest.mark.parametrize("value", [None, "", " ", ".zip", True, [], {}])
def test_unreadable_name(value: Any) -> None:
    """A row without a readable name is dropped and counted."""
    listing = mapped({**MINIMAL, "name": value})

    assert (listing.rows, listing.invalid, listing.mapping_errors) == ((), 1, {"name": 1})


@pytest.mark.parametrize("value", [None, 1, "row", True, [MINIMAL]])
def test_elements_that_are_no_objects(value: Any) -> None:
    """An element that is not an object is an invalid row."""
    listing = mapped(value, MINIMAL)

    assert (len(listing.rows), listing.listed, listing.invalid) == (1, 2, 1)
    assert listing.mapping_errors == {"row": 1}


@pytest.mark.parametrize("status", ["DISABLED", "ENABLED", "STOPPED", "STARTED", "RESTARTED", "ERROR", "DELETED"])
def test_statuses(status: str) -> None:
    """Every documented status is known, in any case."""
    assert status == job(status=status).status == job(status=status.lower()).status == job(status=f" {status} ").status


@pytest.mark.parametrize("job_type", ["NONE", "JOB", "SERVICE"])
def test_job_types(job_type: str) -> None:
    """Every documented type is known, in any case."""
    assert job_type == job(type=job_type).job_type == job(type=job_type.title()).job_type


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("Sequential", "SEQUENTIAL"),
        ("PARALLEL", "PARALLEL"),
        (True, "PARALLEL"),
        (False, "SEQUENTIAL"),
        ("true", "PARALLEL"),
    ],
)
def test_execution_modes(value: Any, mode: str) -> None:
    """The execution mode arrives as text of any case or as the boolean "parallel?"."""
    assert mode == job(execution=value).execution_mode


@pytest.mark.parametrize(
    ("fragment", "field"),
    [
        ({"type": "ROUTINE"}, "type"),
        ({"type": 3}, "type"),
        ({"type": {"code": "JOB"}}, "type"),
        ({"status": "SLEEPING"}, "status"),
        ({"status": ["ENABLED"]}, "status"),
        ({"execution": "SOMETIMES"}, "execution_mode"),
        ({"execution": 1}, "execution_mode"),
    ],
)
def test_unknown_values(fragment: dict[str, Any], field: str) -> None:
    """A value that the profile does not know is UNKNOWN and counted."""
    listing = mapped({**MINIMAL, **fragment})
    (only,) = listing.rows

    assert {"type": only.job_type, "status": only.status, "execution_mode": only.execution_mode}[field] == "UNKNOWN"
    assert (listing.unknown_values, listing.mapping_errors) == ({field: 1}, {})


@pytest.mark.parametrize("absent", [{}, {"type": None, "execution": None}, {"type": "", "execution": " "}])
def test_absent_type_and_mode(absent: dict[str, Any]) -> None:
    """An absent type or mode is empty, and nothing is counted."""
    listing = mapped({**MINIMAL, **absent})

    assert (listing.rows[0].job_type, listing.rows[0].execution_mode) == ("", "")
    assert listing.unknown_values == {}


@pytest.mark.parametrize("absent", [{}, {"status": None}, {"status": ""}])
def test_absent_status(absent: dict[str, Any]) -> None:
    """An absent status is UNKNOWN and counted."""
    listing = mapped({"id": "1", "name": "a", **absent})

    assert (listing.rows[0].status, listing.unknown_values) == ("UNKNOWN", {"status": 1})


def test_custom_value_map() -> None:
    """A profile says what an installation's own values mean, absent ones included."""
    values = {"status": {"sleeping": "DISABLED", "": "ENABLED"}, "type": {"etl": "JOB"}}
    listing = mapped(
        {"id": 1, "name": "a", "status": "Sleeping", "type": "ETL"},
        {"id": 2, "name": "b"},
        values=values,
    )

    assert [(only.status, only.job_type) for only in listing.rows] == [("DISABLED", "JOB"), ("ENABLED", "")]
    assert listing.unknown_values == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3, "3"), ("3", "3"), (3.0, "3"), (3.5, "3.5"), ("1.2-rc", "1.2-rc"), ("", ""), ("v\ud800", "v\ufffd")],
)
def test_versions(value: Any, text: str) -> None:
    """Versions are shown as reported; whole numbers alike in every notation."""
    assert text == job(currentVersion=value).current_version


@pytest.mark.parametrize("value", [True, [], {"number": 3}, float("nan"), float("inf")])
def test_unreadable_version(value: Any) -> None:
    """A version that is no text or number is empty and counted."""
    listing = mapped({**MINIMAL, "publishedVersion": value})

    assert (listing.rows[0].published_version, listing.mapping_errors) == ("", {"published_version": 1})


def test_empty_version_is_not_taken_from_another_key() -> None:
    """A null version means that there is none, even beside an unrelated key that could be an alias."""
    assert job_with({"currentVersion": None, "version": 7}).current_version == ""


def test_empty_date_is_not_taken_from_another_key() -> None:
    """A null date means that there is none, even beside an unrelated key that could be an alias."""
    assert job_with({"lastUpdate": None, "updated": 1721032200000}).last_update is None


def job_with(fragment: dict[str, Any]) -> Job:
    """Map a minimal row with a fragment that may hold nulls."""
    (only,) = mapped({**MINIMAL, **fragment}).rows
    return only


def test_unreadable_dates() -> None:
    """A date that cannot be read, or lies before 2000, is absent and counted."""
    listing = mapped({**MINIMAL, "lastUpdate": "20/01/1970", "startDate": 1721032.2})

    assert (listing.rows[0].last_update, listing.rows[0].started_at) == (None, None)
    assert listing.mapping_errors == {"last_update": 1, "started_at": 1}


def test_absent_dates_are_no_errors() -> None:
    """Null, empty and missing dates of a job are absent without being counted."""
    listing = mapped({**MINIMAL, "lastUpdate": None, "startDate": ""})

    assert (listing.rows[0].last_update, listing.rows[0].started_at, listing.mapping_errors) == (None, None, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("java.lang.Error\n\tat a.B.c(B.java:1)\n", "java.lang.Error\n\tat a.B.c(B.java:1)\n"),
        ("x" * 100_000, "x" * 100_000),
        ({"cause": "full", "code": 7}, '{"cause":"full","code":7}'),
        (["a", "é"], '["a","é"]'),
        (42, "42"),
        ("bad \ud800", "bad \ufffd"),
        ({"a": "\ud800"}, '{"a":"\ufffd"}'),
        (None, ""),
        ("", ""),
        (False, ""),
        ([], ""),
        ({}, ""),
    ],
)
def test_error_detail(value: Any, text: str) -> None:
    """The error's text is kept whole; nested values become compact JSON; a flag is no text."""
    assert text == job_with({"status": "ERROR", "error": value}).error


def test_custom_keys() -> None:
    """A profile's own keys are tried before the usual ones, nested ones included."""
    listing = mapped(
        {**MINIMAL, "condition": {"now": "STOPPED"}, "key": 9},
        fields={"job": {"status": ["condition.now"], "id": ["key"]}},
    )

    assert (listing.rows[0].id, listing.rows[0].status) == ("9", "STOPPED")


def test_date_settings() -> None:
    """A profile's time zone and formats apply to a job's dates."""
    listing = mapped(
        {**MINIMAL, "lastUpdate": "15/07/2024 10:30"},
        dates={"time_zone": "Europe/Rome", "formats": ["%d/%m/%Y %H:%M"]},
    )

    assert listing.rows[0].last_update == 1721032200.0


def test_map_by_id() -> None:
    """In a map by id the key is the job's id, whatever the row says."""
    assert job_with({"(map key)": "77"}).id == "77"


def test_duplicate_ids() -> None:
    """Of several rows with one id the first stays, as a number or as text."""
    listing = mapped({**MINIMAL, "id": 5, "name": "a"}, {**MINIMAL, "id": "5", "name": "b"}, {**MINIMAL, "id": 6})

    assert [(only.id, only.name) for only in listing.rows] == [("5", "a"), ("6", "load_orders_0.1")]
    assert (listing.listed, listing.duplicate, listing.invalid) == (3, 1, 0)


def test_duplicate_names_are_two_jobs() -> None:
    """A deleted x_0.1.zip beside a live x_0.1 stays a job of its own."""
    listing = mapped(
        {"id": 1, "name": "x_0.1.zip", "status": "DELETED"}, {"id": 2, "name": "x_0.1", "status": "ENABLED"}
    )

    assert [(only.id, only.name, only.status) for only in listing.rows] == [
        ("1", "x_0.1", "DELETED"),
        ("2", "x_0.1", "ENABLED"),
    ]


def test_unknown_values_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Every distinct unknown value is logged once, however many rows and reads have it."""
    mapper = JobMapper("K7SALES", resolve("cockpit", {}), target="production")
    rows = [{"id": number, "name": "n", "status": "SLEEPING", "type": f"T{number % 2}"} for number in range(6)]
    with caplog.at_level(logging.WARNING):
        mapper.map(rows)
        mapper.map([{**row, "currentVersion": 1} for row in rows])

    logged = [vars(record)["fields"] for record in caplog.records]
    assert [(event["target"], event["field"], event["value"]) for event in logged] == [
        ("production", "type", "T0"),
        ("production", "status", "SLEEPING"),
        ("production", "type", "T1"),
    ]


def test_unknown_values_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """An installation that makes values up is logged 50 times, shortened, and then no more."""
    with caplog.at_level(logging.WARNING):
        mapped(*({"id": number, "name": "n", "status": f"{number}-".ljust(500, "x")} for number in range(200)))

    values = [vars(record)["fields"]["value"] for record in caplog.records]
    assert [len(value) for value in values] == [80] * 50


def test_absent_status_is_logged_as_absent(caplog: pytest.LogCaptureFixture) -> None:
    """A status under no known key tells where to name the key."""
    with caplog.at_level(logging.WARNING):
        mapped({"id": 1, "name": "a"})

    (event,) = [vars(record)["fields"] for record in caplog.records]
    assert event == {
        "application": "K7SALES",
        "field": "status",
        "remedy": "name its key in the profile's fields.job.status",
    }
