"""Services: real processes that start, stop, crash and are taken over, and fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import eventually
from tests.simulator.conftest import Quiet

FEED = "stock_feed_0.1"


@pytest.fixture
def feed(quiet: Quiet) -> Iterator[int]:
    """The id of a service that is stopped, before and after the test."""
    job = quiet.job("M2STOCK", FEED)
    assert job["status"] == "STOPPED"
    yield job["id"]
    if quiet.job("M2STOCK", FEED)["status"] != "STOPPED":
        ask(quiet, "stop")


def ask(quiet: Quiet, action: str) -> dict[str, Any]:
    """Do something to the service through the control endpoint."""
    return dict(quiet.control("POST", f"service/{action}", {"application": "M2STOCK", "job": FEED}))


def path(job_id: int, action: str) -> str:
    """Return the path under which Cockpit starts and stops a service."""
    return f"/application/M2STOCK/services/service/{job_id}/{action}"


def row(quiet: Quiet) -> dict[str, Any]:
    """Return the service as Cockpit lists it."""
    rows = quiet.cockpit.get("/application/M2STOCK/services/jobs").json()
    (found,) = (row for row in rows if row["name"] == FEED)
    return dict(found)


def assert_status(quiet: Quiet, status: str) -> None:
    """Check the status that Cockpit lists."""
    assert row(quiet)["status"] == status


def test_a_service_is_started_and_stopped(quiet: Quiet, feed: int) -> None:
    """Starting shows a start date, stopping takes it away, and both move the last update."""
    before = row(quiet)
    assert quiet.cockpit.post(path(feed, "start")).status_code == 200
    started = row(quiet)
    assert started["status"] == "STARTED"
    assert started["startDate"] == started["lastUpdate"] > before["lastUpdate"]
    assert quiet.cockpit.post(path(feed, "stop")).status_code == 200
    stopped = row(quiet)
    assert (stopped["status"], stopped["startDate"]) == ("STOPPED", None)
    assert stopped["lastUpdate"] > started["lastUpdate"]


def test_services_are_never_listed_among_the_executions(quiet: Quiet, feed: int) -> None:
    """A started service is no execution."""
    quiet.cockpit.post(path(feed, "start"))
    assert quiet.cockpit.get("/application/M2STOCK/services/jobs/executions").json() == []


def test_a_crashed_service_is_taken_over(quiet: Quiet, feed: int) -> None:
    """It turns RESTARTED without moving the last update, and stays so until it is stopped and started."""
    quiet.cockpit.post(path(feed, "start"))
    started = row(quiet)
    ask(quiet, "crash")
    eventually(lambda: assert_status(quiet, "RESTARTED"))
    taken_over = row(quiet)
    assert taken_over["lastUpdate"] == started["lastUpdate"]
    assert taken_over["startDate"] > started["startDate"]
    ask(quiet, "crash")

    def taken_over_again() -> None:
        again = row(quiet)
        assert again["startDate"] > taken_over["startDate"]
        assert again["status"] == "RESTARTED"

    eventually(taken_over_again)
    quiet.cockpit.post(path(feed, "stop"))
    quiet.cockpit.post(path(feed, "start"))
    assert_status(quiet, "STARTED")


def test_a_failed_service_shows_its_stack_trace(quiet: Quiet, feed: int) -> None:
    """It turns ERROR with several KB of error detail, and starting it again clears that."""
    quiet.cockpit.post(path(feed, "start"))
    ask(quiet, "fail")
    eventually(lambda: assert_status(quiet, "ERROR"))
    failed = row(quiet)
    assert failed["startDate"] is None
    assert failed["error"].startswith("Exception in component ")
    assert len(failed["error"]) > 4000
    assert quiet.cockpit.post(path(feed, "start")).status_code == 200
    started = row(quiet)
    assert (started["status"], started["error"]) == ("STARTED", None)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("stop", "stock_feed_0.1 is STOPPED and cannot be stopped"),
        ("crash", "stock_feed_0.1 is STOPPED and has no process"),
        ("fail", "stock_feed_0.1 is STOPPED and has no process"),
    ],
)
def test_a_stopped_service_refuses(quiet: Quiet, feed: int, action: str, message: str) -> None:
    """What only a started service can do is 409."""
    answer = quiet.web.post(f"/-/service/{action}", json={"application": "M2STOCK", "job": feed})
    assert (answer.status_code, answer.json()["message"]) == (409, message)


def test_a_started_service_refuses_to_start(quiet: Quiet, feed: int) -> None:
    """A second start is 409."""
    assert [quiet.cockpit.post(path(feed, "start")).status_code for _ in range(2)] == [200, 409]


def test_a_job_is_no_service(quiet: Quiet) -> None:
    """Starting what is no service is 409 and says what it is."""
    job_id = quiet.job("M2STOCK", "rebuild_index_0.9")["id"]
    answer = quiet.cockpit.post(path(job_id, "start"))
    assert (answer.status_code, answer.json()["message"]) == (409, "rebuild_index_0.9 is a JOB, not a SERVICE")
