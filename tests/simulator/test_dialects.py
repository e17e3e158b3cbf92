"""The wire forms: literal JSON per dialect, and that together they use every form that a client must read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.dialects import DIALECTS, Dates, Envelope
from exporter.simulator.wire import (
    Paging,
    dumps,
    execution_row,
    job_row,
    write_applications,
    write_date,
    write_executions,
    write_job,
    write_jobs,
)
from exporter.simulator.world import Execution, Job

# 2024-05-17T08:30:00.250Z and 2024-05-17T09:30:00Z
UPDATED, STARTED = 1715934600.25, 1715938200.0
RUN = "9a0fba54-22a1-4ccd-86ea-4ee4cb67a001"
SERVICE = Job(
    application="K7SALES",
    id=45728180943727,
    name="order_events_0.1.zip",
    type="SERVICE",
    status="RESTARTED",
    mode="PARALLEL",
    current_version=7,
    published_version=6,
    last_update=UPDATED,
    started_at=STARTED,
    error="java.lang.Error",
)
DRAFT = Job("K7SALES", 1, "draft_0.1", "NONE", "DISABLED", current_version=None, published_version=None)
EXECUTION = Execution(RUN, SERVICE, "Default", {}, Path("output"), queued_at=STARTED, started_at=STARTED)

DEFAULT_JOB = {
    "id": 45728180943727,
    "application": "K7SALES",
    "name": "order_events_0.1.zip",
    "type": "SERVICE",
    "status": "RESTARTED",
    "execution": "Parallel",
    "currentVersion": 7,
    "publishedVersion": 6,
    "lastUpdate": "2024-05-17T08:30:00.250Z",
    "startDate": "2024-05-17T09:30:00.000Z",
    "error": "java.lang.Error",
}
DEFAULT_EXECUTION = {
    "executionId": RUN,
    "jobId": 45728180943727,
    "name": "order_events_0.1.zip",
    "startDate": "2024-05-17T09:30:00.000Z",
}
ONE_PAGE_OF_5 = {
    "pageable": {"pageNumber": 0, "pageSize": 5, "offset": 0},
    "last": True,
    "totalPages": 1,
    "totalElements": 1,
    "first": True,
    "size": 5,
    "number": 0,
    "numberOfElements": 1,
    "sort": {"sorted": False, "unsorted": True, "empty": True},
    "empty": False,
}
ONE_PAGE_OF_4 = {"size": 4, "number": 0, "totalElements": 1, "totalPages": 1}
HAL_PAGE = {
    "_links": {"self": {"href": "/jobs?page=0&size=20"}},
    "page": {"size": 20, "number": 0, "totalElements": 1, "totalPages": 1},
}

JOB_LISTS: Mapping[str, Any] = {
    "default": [DEFAULT_JOB],
    "page": {"content": [{**DEFAULT_JOB, "execution": "PARALLEL"}], **ONE_PAGE_OF_5},
    "pagedmodel": {
        "content": [
            {
                "id": 45728180943727,
                "application": "K7SALES",
                "description": "order_events_0.1.zip",
                "type": "SERVICE",
                "status": "RESTARTED",
                "parallelExecution": True,
                "currentVersion": 7,
                "publishedVersion": 6,
                "lastUpdate": "2024-05-17T08:30:00.250+00:00",
                "startDate": "2024-05-17T09:30:00.000+00:00",
                "error": "java.lang.Error",
            }
        ],
        "page": ONE_PAGE_OF_4,
    },
    "hal": {
        "_embedded": {
            "jobList": [
                {**DEFAULT_JOB, "lastUpdate": "2024-05-17T08:30:00.250", "startDate": "2024-05-17T09:30:00.000"}
            ]
        },
        **HAL_PAGE,
    },
    "wrapped": {
        "data": [
            {
                "id": 45728180943727,
                "application": "K7SALES",
                "name": "order_events_0.1",
                "type": "SERVICE",
                "status": "RESTARTED",
                "execution": "parallel",
                "currentVersion": 7,
                "publishedVersion": 6,
                "updated": "2024-05-17T08:30:00.250Z",
                "startDate": "2024-05-17T09:30:00.000Z",
                "details": "java.lang.Error",
            }
        ]
    },
    "map": {
        "45728180943727": {
            "application": "K7SALES",
            "name": "order_events_0.1.zip",
            "type": "SERVICE",
            "status": "RESTARTED",
            "execution": "Parallel",
            "currentVersion": "7",
            "publishedVersion": "6",
            "lastUpdate": 1715934600250,
            "startDate": 1715938200000,
            "error": "java.lang.Error",
        }
    },
    "aliases": {
        "items": [
            {
                "jobId": "45728180943727",
                "application": "K7SALES",
                "jobName": "order_events_0.1.zip",
                "jobType": "SERVICE",
                "state": "RESTARTED",
                "executionType": "PARALLEL",
                "version": "7",
                "publishedVersion": "6",
                "lastUpdateDate": 1715934600250,
                "startedAt": 1715938200000,
                "errorMessage": "java.lang.Error",
            }
        ]
    },
    "nested": [
        {
            "jobPK": {"id": 45728180943727, "application": "K7SALES"},
            "label": "order_events_0.1.zip",
            "publicationType": "SERVICE",
            "jobStatus": "RESTARTED",
            "parallel": True,
            "resourceVersion": 7,
            "published": {"version": 6},
            "updateDate": [2024, 5, 17, 8, 30, 0, 250000000],
            "started": [2024, 5, 17, 9, 30],
            "message": "java.lang.Error",
        }
    ],
    "seconds": {
        "results": [
            {
                "pk": {"id": 45728180943727, "application": "K7SALES"},
                "name": "order_events_0.1.zip",
                "type": "service",
                "status": "restarted",
                "executionMode": "parallel",
                "currentVersion": 7,
                "publishedVersion": 6,
                "lastModified": 1715934600.25,
                "lastStart": 1715938200.0,
                "info": "java.lang.Error",
            }
        ]
    },
    "offset": {
        "jobs": [
            {
                "uuid": "45728180943727",
                "application": "K7SALES",
                "name": "order_events_0.1.zip",
                "type": "SERVICE",
                "status": "RESTARTED",
                "execution": "Parallel",
                "currentVersion": 7,
                "publishedVersion": 6,
                "lastUpdate": "2024-05-17T10:30:00.250+0200",
                "startDate": "2024-05-17T11:30:00.000+0200",
                "error": "java.lang.Error",
            }
        ]
    },
}
EXECUTION_LISTS: Mapping[str, Any] = {
    "default": [DEFAULT_EXECUTION],
    "page": {"content": [DEFAULT_EXECUTION], **ONE_PAGE_OF_5},
    "pagedmodel": {
        "content": [
            {
                "executionId": RUN,
                "jobId": 45728180943727,
                "name": "order_events_0.1.zip",
                "start": "2024-05-17T09:30:00.000+00:00",
            }
        ],
        "page": ONE_PAGE_OF_4,
    },
    "hal": {
        "_embedded": {"jobExecutionList": [{**DEFAULT_EXECUTION, "startDate": "2024-05-17T09:30:00.000"}]},
        **HAL_PAGE,
    },
    "wrapped": {"data": [{**DEFAULT_EXECUTION, "name": "order_events_0.1"}]},
    "map": {RUN: {"jobId": 45728180943727, "name": "order_events_0.1.zip", "startDate": 1715938200000}},
    "aliases": {
        "items": [
            {
                "execution": RUN,
                "id": "45728180943727",
                "jobName": "order_events_0.1.zip",
                "startTime": 1715938200000,
            }
        ]
    },
    "nested": [
        {
            "uuid": RUN,
            "job": {"id": 45728180943727, "name": "order_events_0.1.zip"},
            "startedAt": [2024, 5, 17, 9, 30],
        }
    ],
    "seconds": {
        "results": [{"id": RUN, "jobPK": {"id": 45728180943727}, "name": "order_events_0.1.zip", "date": 1715938200.0}]
    },
    "offset": {
        "executions": [{**DEFAULT_EXECUTION, "jobId": "45728180943727", "startDate": "2024-05-17T11:30:00.000+0200"}]
    },
}


@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_writes_jobs_in_its_form(name: str) -> None:
    """A list with one job has exactly the documented envelope, keys and values."""
    assert write_jobs(DIALECTS[name], [job_row(SERVICE)], Paging(), "/jobs") == JOB_LISTS[name]


@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_writes_executions_in_its_form(name: str) -> None:
    """A list with one execution has exactly the documented envelope, keys and values."""
    written = write_executions(DIALECTS[name], [execution_row(EXECUTION)], Paging(), "/jobs")
    assert written == EXECUTION_LISTS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "default",
            {
                "id": 1,
                "application": "K7SALES",
                "name": "draft_0.1",
                "type": "NONE",
                "status": "DISABLED",
                "execution": "Sequential",
                "currentVersion": None,
                "publishedVersion": None,
                "lastUpdate": None,
                "startDate": None,
                "error": None,
            },
        ),
        (
            "nested",
            {
                "jobPK": {"id": 1, "application": "K7SALES"},
                "label": "draft_0.1",
                "publicationType": "NONE",
                "jobStatus": "DISABLED",
                "parallel": False,
            },
        ),
        (
            "map",
            {
                "application": "K7SALES",
                "name": "draft_0.1",
                "type": "NONE",
                "status": "DISABLED",
                "execution": "Sequential",
                "currentVersion": "",
                "publishedVersion": "",
                "lastUpdate": None,
                "startDate": None,
                "error": "",
            },
        ),
    ],
)
def test_absent_values_are_null_left_out_or_empty(name: str, expected: Mapping[str, Any]) -> None:
    """What a job lacks is null, not there, or an empty text, depending on the dialect."""
    assert write_job(DIALECTS[name], job_row(DRAFT)) == expected


def test_all_job_keys_are_used() -> None:
    """Every key that a job's field may have is used by some dialect."""
    used: dict[str, set[str]] = {}
    for dialect in DIALECTS.values():
        for name, key in dialect.job_keys.items():
            used.setdefault(name, set()).add(key)
    assert used == {
        "id": {"id", "jobId", "jobPK.id", "pk.id", "uuid"},
        "application": {"application", "jobPK.application", "pk.application"},
        "name": {"name", "jobName", "label", "description"},
        "type": {"type", "jobType", "publicationType"},
        "status": {"status", "state", "jobStatus"},
        "mode": {"execution", "executionType", "executionMode", "parallel", "parallelExecution"},
        "current_version": {"currentVersion", "version", "resourceVersion"},
        "published_version": {"publishedVersion", "published.version"},
        "last_update": {"lastUpdate", "lastUpdateDate", "updateDate", "lastModified", "updated"},
        "started_at": {"startDate", "startedAt", "started", "lastStart"},
        "error": {"error", "errorMessage", "message", "info", "details"},
    }


def test_all_execution_keys_are_used() -> None:
    """Every key that an execution's field may have is used by some dialect."""
    used: dict[str, set[str]] = {}
    for dialect in DIALECTS.values():
        for name, key in dialect.execution_keys.items():
            used.setdefault(name, set()).add(key)
    assert used == {
        "id": {"executionId", "execution", "uuid", "id"},
        "job_id": {"jobId", "id", "job.id", "jobPK.id"},
        "name": {"name", "jobName", "job.name"},
        "started_at": {"startDate", "startTime", "startedAt", "date", "start"},
    }


def test_all_envelopes_and_dates_are_used() -> None:
    """Every envelope, wrapper key and form of a date is used by some dialect."""
    assert {dialect.envelope for dialect in DIALECTS.values()} == set(Envelope)
    assert {dialect.dates for dialect in DIALECTS.values()} == set(Dates)
    wrappers = {key for dialect in DIALECTS.values() if dialect.envelope is Envelope.WRAPPER for key in dialect.wrapper}
    assert wrappers == {"data", "items", "jobs", "executions", "results"}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (1715934600.0, [2024, 5, 17, 8, 30]),
        (1715934607.0, [2024, 5, 17, 8, 30, 7]),
        (1715934600.5, [2024, 5, 17, 8, 30, 0, 500000000]),
    ],
)
def test_date_arrays_end_where_jackson_ends_them(moment: float, expected: list[int]) -> None:
    """A date's array has neither seconds nor nanoseconds that are zero."""
    assert write_date(Dates.ARRAY, moment) == expected


@pytest.mark.parametrize(
    ("paging", "rows", "pages", "last"),
    [
        (Paging(), [0, 1, 2, 3, 4], 3, False),
        (Paging(page=1), [5, 6, 7, 8, 9], 3, False),
        (Paging(page=2), [10, 11], 3, True),
        (Paging(page=3), [], 3, True),
        (Paging(size=10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2, False),
        (Paging(size=0), [0, 1, 2, 3, 4], 3, False),
    ],
)
def test_a_page_holds_what_was_asked_for(paging: Paging, rows: list[int], pages: int, last: bool) -> None:
    """Rows, number of pages and the last page's mark follow from page and size."""
    listed = write_jobs(DIALECTS["page"], [{"id": number} for number in range(12)], paging, "/jobs")
    assert [row["id"] for row in listed["content"]] == rows
    assert (listed["totalPages"], listed["last"]) == (pages, last)


def test_a_size_beyond_the_servers_own_is_cut() -> None:
    """The paged model holds four rows however many are asked for, and says so."""
    listed = write_jobs(DIALECTS["pagedmodel"], [{"id": number} for number in range(9)], Paging(size=1000), "/jobs")
    assert len(listed["content"]) == 4
    assert listed["page"] == {"size": 4, "number": 0, "totalElements": 9, "totalPages": 3}


def test_an_empty_hal_list_has_nothing_embedded() -> None:
    """HAL leaves ``_embedded`` out of an empty list."""
    assert write_executions(DIALECTS["hal"], [], Paging(), "/executions") == {
        "_links": {"self": {"href": "/executions?page=0&size=20"}},
        "page": {"size": 20, "number": 0, "totalElements": 0, "totalPages": 0},
    }


def test_hal_links_to_the_next_page() -> None:
    """All pages but the last link to the next one."""
    rows = [{"id": number} for number in range(21)]
    links = [write_jobs(DIALECTS["hal"], rows, Paging(page), "/jobs")["_links"] for page in (0, 1)]
    assert links == [
        {"self": {"href": "/jobs?page=0&size=20"}, "next": {"href": "/jobs?page=1&size=20"}},
        {"self": {"href": "/jobs?page=1&size=20"}},
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("default", [{"application": "K7SALES", "name": "Sales"}]),
        ("aliases", [{"code": "K7SALES", "name": "Sales"}]),
        ("wrapped", ["K7SALES"]),
    ],
)
def test_applications_are_objects_or_strings(name: str, expected: list[Any]) -> None:
    """The list of applications has one of three forms."""
    assert write_applications(DIALECTS[name], {"K7SALES": "Sales"}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Größe", '"Größe"'), ("half \ud83d", '"half \\ud83d"')],
)
def test_text_is_utf8_unless_it_cannot_be(value: str, expected: str) -> None:
    """JSON carries characters as they are; only lone surrogates are escaped."""
    assert dumps(value) == expected.encode()
