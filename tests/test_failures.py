"""Failures in the log: said once, summarised while they last, and said again when they are over."""

from __future__ import annotations

import logging

import pytest

from exporter.cockpit.errors import AuthRejected, NotJSON, RequestTimeout
from exporter.failures import SUMMARY_INTERVAL, FailureLog


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock at zero."""
    return Clock()


@pytest.fixture
def failures(clock: Clock, caplog: pytest.LogCaptureFixture) -> FailureLog:
    """Return the failure log of a target."""
    caplog.set_level(logging.INFO)
    return FailureLog("production", clock=clock)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages logged so far."""
    return [record.getMessage() for record in caplog.records]


def test_a_failure_tells_where_why_and_what_to_do(failures: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """The first line has target, application, endpoint, reason, detail and remedy."""
    failures.failed("K7SALES", "jobs", NotJSON("200 with text/html"))
    expected = {
        "target": "production",
        "application": "K7SALES",
        "endpoint": "jobs",
        "reason": "not_json",
        "detail": "200 with text/html",
        "remedy": NotJSON.remedy,
    }
    assert expected == caplog.records[0].__dict__["fields"]


def test_repetition_is_silent_and_then_summarised(
    failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The same failure again and again gives a line now and then, not a line each."""
    for _ in range(100):
        failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
        clock.now += SUMMARY_INTERVAL / 50
    assert ["request failed", "request still failing"] == said(caplog)
    assert (51, SUMMARY_INTERVAL) == (
        caplog.records[1].__dict__["fields"]["failures"],
        caplog.records[1].__dict__["fields"]["seconds"],
    )


def test_another_reason_is_news(failures: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """A failure that turns into another one is said."""
    failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
    failures.failed("K7SALES", "jobs", NotJSON("200 with text/html"))
    assert ["timeout", "not_json"] == [record.__dict__["fields"]["reason"] for record in caplog.records]


def test_another_status_is_news(failures: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """A credential that is refused and one that cannot be read are two failures, though both are auth."""
    failures.failed("K7SALES", "jobs", AuthRejected("answered 401 Unauthorized", status=401))
    failures.failed("K7SALES", "jobs", AuthRejected("the token file cannot be read"))
    assert ["request failed"] * 2 == said(caplog)


def test_flapping_is_summarised(failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """What fails and recovers all the time gets a few lines, then one now and then."""
    for _ in range(60):
        failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
        failures.succeeded("K7SALES", "jobs")
        clock.now += SUMMARY_INTERVAL / 50
    assert ["request failed", "request succeeds again"] * 3 == said(caplog)[:6]
    assert ["request failed", "request succeeds again"] * 6 == said(caplog)
    assert 51 == caplog.records[6].__dict__["fields"]["failures"]


def test_a_failure_after_a_long_time_is_a_new_one(
    failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """What was over for long and fails again is counted from one."""
    failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
    failures.succeeded("K7SALES", "jobs")
    clock.now += SUMMARY_INTERVAL
    failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
    assert ["request failed", "request succeeds again", "request failed"] == said(caplog)
    assert "failures" not in caplog.records[2].__dict__["fields"]


def test_another_endpoint_is_news(failures: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """Endpoints and applications fail on their own."""
    failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
    failures.failed("K7SALES", "executions", RequestTimeout("no answer"))
    failures.failed("M2STOCK", "jobs", RequestTimeout("no answer"))
    assert ["request failed"] * 3 == said(caplog)


def test_recovery_is_said_once(failures: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The end of a failure tells how many there were and for how long; further successes say nothing."""
    failures.succeeded("K7SALES", "jobs")
    failures.failed("K7SALES", "jobs", RequestTimeout("no answer"))
    clock.now = 42
    failures.succeeded("K7SALES", "jobs")
    failures.succeeded("K7SALES", "jobs")
    assert ["request failed", "request succeeds again"] == said(caplog)
    assert (1, 42) == (
        caplog.records[1].__dict__["fields"]["failures"],
        caplog.records[1].__dict__["fields"]["seconds"],
    )
