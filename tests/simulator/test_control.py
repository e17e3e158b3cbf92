"""The control endpoint: everything that a test or a demonstration wants to happen, and the truth about it."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.simulator import DIALECTS, FAULTS
from tests.simulator.conftest import Quiet


def test_faults_are_switched_one_by_one_and_together(quiet: Quiet) -> None:
    """PUT replaces, POST adds, DELETE takes one or all away; each answers what is on."""
    calls: list[tuple[str, str, Any]] = [
        ("GET", "faults", None),
        ("PUT", "faults", ["slow=5@kill", "reset@results"]),
        ("POST", "faults", [{"name": "hang", "endpoint": "kill", "application": "M2STOCK"}, "slow=5@kill"]),
        ("DELETE", "faults/slow", None),
        ("PUT", "faults", ["forbidden@version"]),
        ("DELETE", "faults", None),
    ]
    assert [quiet.control(*call) for call in calls] == [
        [],
        ["slow=5@kill", "reset@results"],
        ["slow=5@kill", "reset@results", "hang@kill@M2STOCK"],
        ["reset@results", "hang@kill@M2STOCK"],
        ["forbidden@version"],
        [],
    ]


def test_faults_and_dialects_are_on_offer(quiet: Quiet) -> None:
    """The endpoint lists every fault with its description, and every dialect."""
    assert quiet.control("GET", "faults/available") == dict(FAULTS)
    assert quiet.control("GET", "dialect") == {"dialect": "default", "available": list(DIALECTS)}


def test_the_schedule_is_paused_and_resumed(quiet: Quiet) -> None:
    """DELETE pauses, POST resumes, GET tells."""
    calls = [("POST", "scheduler"), ("GET", "scheduler"), ("DELETE", "scheduler"), ("GET", "scheduler")]
    assert [quiet.control(*call)["paused"] for call in calls] == [False, False, True, True]


def test_jobs_are_added_altered_and_removed(quiet: Quiet) -> None:
    """A job appears in Cockpit's list with what was said about it, changes at once, and is gone when removed."""

    def listed() -> list[dict[str, Any]]:
        rows = quiet.cockpit.get("/application/K7SALES/services/jobs").json()
        return [row for row in rows if row["id"] == 12345678901234]

    quiet.control(
        "POST", "jobs", {"application": "K7SALES", "id": 12345678901234, "name": "extra_0.1", "mode": "PARALLEL"}
    )
    assert [(row["name"], row["execution"], row["status"]) for row in listed()] == [
        ("extra_0.1", "Parallel", "ENABLED")
    ]
    quiet.control("PATCH", "jobs/K7SALES/extra_0.1", {"status": "ERROR", "error": "no", "last_update": 1715934600})
    assert [(row["status"], row["error"], row["lastUpdate"]) for row in listed()] == [
        ("ERROR", "no", "2024-05-17T08:30:00.000Z")
    ]
    quiet.control("DELETE", "jobs/K7SALES/12345678901234")
    assert listed() == []


def test_an_added_job_can_be_run(quiet: Quiet) -> None:
    """Its files are laid out when it is run for the first time, whatever its name."""
    added = quiet.control("POST", "jobs", {"application": "K7SALES", "name": "../odd $(name) 'x'_0.1"})
    entry = quiet.ended(quiet.run("K7SALES", str(added["id"]), duration=0))
    quiet.control("DELETE", f"jobs/K7SALES/{added['id']}")
    assert entry["outcome"] == "done"


def test_publishing_is_possible_without_a_token(quiet: Quiet) -> None:
    """The control endpoint publishes like Cockpit does."""
    quiet.control("PATCH", "jobs/K7SALES/load_orders_0.1", {"current_version": 8})
    published = quiet.control("POST", "publish", {"application": "K7SALES", "job": "load_orders_0.1"})
    assert (published["current_version"], published["published_version"]) == (8, 8)


def test_the_history_has_every_execution(quiet: Quiet) -> None:
    """An entry tells job, moments, exit code, outcome and process; it can be asked for by application and job."""
    execution_id = quiet.run("M2STOCK", "count_stock_0.4", duration=0, exit_code=3)
    entry = quiet.ended(execution_id)
    job = quiet.job("M2STOCK", "count_stock_0.4")
    assert set(entry) == {
        "execution_id",
        "application",
        "job_id",
        "job_name",
        "context",
        "queued_at",
        "started_at",
        "ended_at",
        "exit_code",
        "outcome",
        "pid",
    }
    assert (entry["application"], entry["job_id"], entry["job_name"]) == ("M2STOCK", job["id"], "count_stock_0.4")
    by_job = quiet.control("GET", "history?application=M2STOCK&job=count_stock_0.4")
    assert execution_id in {found["execution_id"] for found in by_job}
    assert {found["job_name"] for found in by_job} == {"count_stock_0.4"}
    assert execution_id not in {found["execution_id"] for found in quiet.control("GET", "history?application=K7SALES")}


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        (("PUT", "faults", ["earthquake"]), 400, "there is no fault 'earthquake'; there are "),
        (("PUT", "faults", {"slow": 3}), 400, 'the body is not a list of faults, as in ["slow=5@jobs"]'),
        (("PUT", "faults", [{"fault": "slow"}]), 400, "{'fault': 'slow'} is neither NAME[=ARG]"),
        (("PUT", "faults", [{"name": "slow", "seconds": 3}]), 400, "unknown keys seconds; a fault has name, "),
        (("DELETE", "faults/slow", None), 404, "the fault slow is not switched on"),
        (("POST", "finish", {"execution_id": "unknown"}), 404, "no execution with id unknown"),
        (("PUT", "dialect", {"dialect": "latin"}), 400, "there is no dialect 'latin'; there are default, "),
        (("POST", "run", {"application": "K7SALES"}), 400, "missing keys job"),
        (("POST", "run", []), 400, "the body is not an object with application, job, duration, "),
        (("POST", "run", {"application": "K7SALES", "job": "nothing"}), 404, "no job nothing in application K7SALES"),
        (("POST", "run", {"application": "NOWHERE", "job": "x"}), 404, "no application NOWHERE"),
        (
            ("POST", "run", {"application": "K7SALES", "job": "load_orders_0.1", "exit_code": True}),
            400,
            "exit_code is True; expected int",
        ),
        (
            ("POST", "run", {"application": "K7SALES", "job": "load_orders_0.1", "duration": "3"}),
            400,
            "duration is '3'; expected int or float or null",
        ),
        (
            ("POST", "service/dance", {"application": "K7SALES", "job": "order_events_0.2"}),
            404,
            "a service cannot dance",
        ),
        (
            ("POST", "jobs", {"application": "K7SALES", "name": "x", "colour": 1}),
            400,
            "unknown keys colour; accepted are ",
        ),
        (("POST", "jobs", {"application": "NOWHERE", "name": "x"}), 404, "no application NOWHERE"),
        (
            ("PATCH", "jobs/K7SALES/load_orders_0.1", {"last_update": 1e300}),
            400,
            "last_update is 1e+300; expected seconds since the epoch, or null",
        ),
        (("PATCH", "jobs/K7SALES/load_orders_0.1", {"id": 3}), 400, "unknown keys id; accepted are name, "),
    ],
)
def test_refused_calls_say_why(quiet: Quiet, call: tuple[str, str, Any], status: int, message: str) -> None:
    """A call that cannot be carried out names what was wrong and what is accepted."""
    method, path, body = call
    answer = quiet.web.request(method, f"/-/{path}", json=body)
    assert (answer.status_code, answer.json()["message"][: len(message)]) == (status, message)


def test_a_body_that_is_no_json_is_refused(quiet: Quiet) -> None:
    """The message says where the JSON goes wrong."""
    answer = quiet.web.put("/-/faults", content=b"slow")
    assert answer.status_code == 400
    assert answer.json()["message"] == "the body is not JSON: Expecting value: line 1 column 1 (char 0)"


def test_health_is_answered(quiet: Quiet) -> None:
    """A supervisor can see that it lives."""
    assert quiet.web.get("/-/healthy").text == "OK\n"
