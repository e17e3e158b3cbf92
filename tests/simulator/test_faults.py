"""Faults: how they are named and limited, and what each does to an answer on the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from exporter.simulator import FAULTS
from exporter.simulator.damage import ROW_FAULTS, damage
from exporter.simulator.faults import Fault, UnknownFault
from exporter.simulator.wire import Literal
from tests import loopback
from tests.processes import DEADLINE
from tests.simulator.conftest import Quiet

JOBS = "/application/K7SALES/services/jobs"
EXECUTIONS = f"{JOBS}/executions"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang", Fault("hang")),
        ("slow=0.5", Fault("slow", "0.5")),
        ("slow=5@jobs", Fault("slow", "5", "jobs")),
        ("server_error@M2STOCK", Fault("server_error", "", "", "M2STOCK")),
        ("server_error@executions@M2STOCK", Fault("server_error", "", "executions", "M2STOCK")),
        ("application_failure=K7SALES", Fault("application_failure", "K7SALES")),
    ],
)
def test_faults_have_a_text_form(text: str, fault: Fault) -> None:
    """A fault is read from its text, and written as the same text."""
    assert Fault.parse(text) == fault
    assert str(fault) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("earthquake", "there is no fault 'earthquake'; there are html_login, "),
        ("slow=fast", "slow takes a number, not 'fast'"),
        ("hang=3", "hang takes no argument, but got '3'"),
        ("hang@everywhere", "'hang@everywhere': 'everywhere' is neither an application's code nor one of jobs, "),
        ("kill_ignored@jobs", "kill_ignored does not concern 'jobs', but kill"),
        ("vanished_application", "vanished_application needs an application, as in vanished_application=K7SALES"),
    ],
)
def test_an_unknown_fault_says_what_is_accepted(text: str, message: str) -> None:
    """What is no fault is refused with what was wrong and what would be right."""
    with pytest.raises(UnknownFault) as caught:
        Fault.parse(text)
    assert str(caught.value).startswith(message)


def test_every_row_fault_is_on_offer() -> None:
    """Whatever alters rows can be switched on."""
    assert set(FAULTS) >= ROW_FAULTS


SPRING = "application/json"
HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "beginning"),
    [
        ("html_login", 200, HTML, "<!DOCTYPE html>"),
        ("unauthorized", 401, SPRING, '{"timestamp":'),
        ("forbidden", 403, SPRING, '{"timestamp":'),
        ("executions_not_found", 404, SPRING, '{"timestamp":'),
        ("server_error", 500, SPRING, '{"timestamp":'),
        ("unavailable", 503, SPRING, '{"timestamp":'),
        ("gateway_timeout", 504, HTML, "<html>"),
        ("legacy_701", 701, SPRING, '{"timestamp":'),
        ("null_body", 200, SPRING, "null"),
        ("unknown_envelope", 200, SPRING, '{"status":"UP"'),
        ("application_failure=K7SALES", 500, SPRING, '{"timestamp":'),
        ("vanished_application=K7SALES", 404, SPRING, '{"timestamp":'),
    ],
)
def test_answers_are_replaced(quiet: Quiet, fault: str, status: int, content_type: str, beginning: str) -> None:
    """The fault's answer comes with its status, type and body in place of the right one, until it is switched off."""
    quiet.control("PUT", "faults", [fault])
    answer = quiet.cockpit.get(EXECUTIONS)
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert answer.text.startswith(beginning)
    quiet.control("DELETE", "faults")
    assert quiet.cockpit.get(EXECUTIONS).json() == []


def test_a_redirect_leads_to_a_login_page(quiet: Quiet) -> None:
    """The login redirect is a 302 below the same context path."""
    quiet.control("PUT", "faults", ["redirect_login"])
    answer = quiet.cockpit.get(JOBS)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/cockpit/login?")


def test_an_empty_body_is_empty(quiet: Quiet) -> None:
    """The body has no byte, although the status is 200 and the type JSON."""
    quiet.control("PUT", "faults", ["empty_body"])
    answer = quiet.cockpit.get(JOBS)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, SPRING, b"")


def test_truncated_json_is_a_complete_answer(quiet: Quiet) -> None:
    """HTTP has nothing to complain about, but the JSON stops half-way."""
    whole = quiet.cockpit.get(JOBS).content
    quiet.control("PUT", "faults", ["truncated_json"])
    half = quiet.cockpit.get(JOBS).content
    assert half == whole[: len(whole) // 2]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        json.loads(half)


def test_huge_json_has_the_size_that_was_asked_for(quiet: Quiet) -> None:
    """The list is valid and as large as the argument says, in MiB."""
    quiet.control("PUT", "faults", ["huge_json=2"])
    answer = quiet.cockpit.get(JOBS)
    assert 2 * 1024**2 < len(answer.content) < 2.1 * 1024**2
    assert len({row["id"] for row in answer.json()}) == len(answer.json())


@pytest.mark.parametrize("fault", ["reset", "reset_mid_body"])
def test_connections_are_reset(quiet: Quiet, fault: str) -> None:
    """The client sees its connection reset."""
    quiet.control("PUT", "faults", [fault])
    with pytest.raises(httpx.ReadError):
        quiet.cockpit.get(JOBS)


def test_half_of_the_body_arrives_before_a_late_reset(quiet: Quiet) -> None:
    """The headers promise the whole body, of which half is sent."""
    whole = quiet.cockpit.get(JOBS).content
    quiet.control("PUT", "faults", ["reset_mid_body"])
    received = bytearray()
    with quiet.cockpit.stream("GET", JOBS) as answer:
        assert answer.headers["content-length"] == str(len(whole))
        with pytest.raises(httpx.ReadError):
            _read(answer, received)
    assert received == whole[: len(whole) // 2]


def _read(answer: httpx.Response, received: bytearray) -> None:
    for piece in answer.iter_bytes():
        received.extend(piece)


def test_a_hanging_answer_never_comes(quiet: Quiet) -> None:
    """A client that waits for half a second has nothing; other endpoints answer."""
    quiet.control("PUT", "faults", ["hang@executions"])
    with pytest.raises(httpx.ReadTimeout):
        quiet.cockpit.get(EXECUTIONS, timeout=httpx.Timeout(DEADLINE, read=0.5))
    assert quiet.cockpit.get(JOBS).status_code == 200


@pytest.mark.parametrize("fault", ["slow=0.4", "slow_body=0.4"])
def test_slow_answers_are_whole(quiet: Quiet, fault: str) -> None:
    """A delayed answer, or one that trickles, has the same body, after at least the time that was asked for."""
    whole = quiet.cockpit.get(JOBS).content
    quiet.control("PUT", "faults", [fault])
    answer = quiet.cockpit.get(JOBS)
    assert answer.content == whole
    assert answer.elapsed.total_seconds() >= 0.4


def test_faults_are_limited_to_an_endpoint_and_an_application(quiet: Quiet) -> None:
    """Only the named endpoint of the named application fails."""
    quiet.control("PUT", "faults", [{"name": "server_error", "endpoint": "jobs", "application": "M2STOCK"}])
    statuses = {
        (application, tail): quiet.cockpit.get(f"/application/{application}/services/jobs{tail}").status_code
        for application in ("K7SALES", "M2STOCK")
        for tail in ("", "/executions")
    }
    assert statuses == {
        ("K7SALES", ""): 200,
        ("K7SALES", "/executions"): 200,
        ("M2STOCK", ""): 500,
        ("M2STOCK", "/executions"): 200,
    }


def test_a_vanished_application_is_not_listed(quiet: Quiet) -> None:
    """The list of applications is without the vanished one."""
    quiet.control("PUT", "faults", ["vanished_application=K7SALES"])
    assert quiet.cockpit.get("/application/all").json() == [{"application": "M2STOCK", "name": "Stock"}]


def test_an_ignored_kill_changes_nothing(quiet: Quiet) -> None:
    """The kill is accepted, but the run goes on; an unknown execution is still 404."""
    quiet.control("PUT", "faults", ["kill_ignored"])
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=None)
    assert quiet.kill(execution_id).status_code == 200
    assert quiet.kill("unknown").status_code == 404
    assert quiet.finish(execution_id)["outcome"] == "done"


def test_a_lost_kill_is_carried_out(quiet: Quiet) -> None:
    """The client gets no answer, but the run is killed."""
    quiet.control("PUT", "faults", ["kill_lost"])
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=30)
    with pytest.raises(httpx.ReadError):
        quiet.kill(execution_id)
    assert quiet.ended(execution_id)["outcome"] == "killed"


@pytest.mark.parametrize(("fault", "status"), [("results_error", 500), ("results_not_found", 404)])
def test_results_can_fail_alone(quiet: Quiet, fault: str, status: int) -> None:
    """Results fail while the lists answer."""
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=0)
    quiet.control("PUT", "faults", [fault])
    assert quiet.web.get(f"/execution/{execution_id}/result").status_code == status
    assert quiet.cockpit.get(JOBS).status_code == 200


def test_results_can_be_slow_alone(quiet: Quiet) -> None:
    """Results take their time while the lists answer at once."""
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=0)
    quiet.control("PUT", "faults", ["slow_results=3600"])
    with pytest.raises(httpx.ReadTimeout):
        quiet.web.get(f"/execution/{execution_id}/result", timeout=httpx.Timeout(DEADLINE, read=0.3))
    assert quiet.cockpit.get(JOBS).status_code == 200


def test_csrf_protection_wants_the_cookie_as_a_header(quiet: Quiet) -> None:
    """A kill without the header is 403; with the cookie's value in it, it is accepted."""
    quiet.control("PUT", "faults", ["csrf"])
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=30)
    path = f"/services/jobs/execution/{execution_id}/kill"
    with loopback.client(base_url=quiet.cockpit.base_url, headers=quiet.headers) as browser:
        refused = browser.post(path)
        assert (refused.status_code, refused.json()["message"]) == (403, "Invalid CSRF token")
        token = browser.cookies["XSRF-TOKEN"]
        assert browser.post(path, headers={"X-XSRF-TOKEN": "guessed"}).status_code == 403
        assert browser.post(path, headers={"X-XSRF-TOKEN": token}).status_code == 200


def rows(number: int) -> list[dict[str, Any]]:
    """Return rows with a few of a job's fields."""
    return [
        {"id": index, "name": f"job_{index}", "status": "ENABLED", "current_version": 1, "last_update": 1000.0}
        for index in range(number)
    ]


def damaged(number: int, fault: str) -> list[dict[str, Any]]:
    """Return rows with one fault applied, literal values unpacked."""
    parsed = Fault.parse(fault)
    return [
        {key: value.value if isinstance(value, Literal) else value for key, value in row.items()}
        for row in damage(rows(number), {parsed.name: parsed})
    ]


def test_every_third_row_is_duplicated() -> None:
    """The second row with the same id has another name."""
    assert [(row["id"], row["name"]) for row in damaged(4, "duplicate_ids")] == [
        (0, "job_0"),
        (0, "again_job_0"),
        (1, "job_1"),
        (2, "job_2"),
        (3, "job_3"),
        (3, "again_job_3"),
    ]


def test_all_names_are_the_first() -> None:
    """Ids stay apart while names do not."""
    assert [(row["id"], row["name"]) for row in damaged(2, "duplicate_names")] == [(0, "job_0"), (1, "job_0")]


def test_every_third_row_has_unknown_values() -> None:
    """Type, status and mode are values that nobody has heard of; the other rows stay."""
    first, second, *_ = damaged(3, "unknown_values")
    assert (first["type"], first["status"], first["mode"]) == ("PIPELINE", "PAUSED", "Round robin")
    assert second == rows(3)[1]


def test_one_field_of_each_row_is_null() -> None:
    """In turn each field is null, beginning with the id."""
    expected = [{"id"}, {"name"}, {"status"}, {"current_version"}, {"last_update"}, {"id"}]
    assert [{key for key, value in row.items() if value is None} for row in damaged(6, "null_fields")] == expected


def test_one_field_of_each_row_is_missing() -> None:
    """In turn each field is missing, beginning with the id."""
    expected = [{"id"}, {"name"}, {"status"}]
    assert [set(rows(1)[0]) - set(row) for row in damaged(3, "missing_fields")] == expected


@pytest.mark.parametrize(
    ("fault", "field", "values"),
    [
        ("string_ids", "id", ["0", "1", "2"]),
        ("clock_skew=60", "last_update", [1060.0, 1060.0, 1060.0]),
        ("clock_skew", "last_update", [4600.0, 4600.0, 4600.0]),
        ("no_current_version", "current_version", [None, None, None]),
        ("bad_dates", "last_update", ["yesterday", 0, 1_700_000]),
    ],
)
def test_values_are_altered(fault: str, field: str, values: list[Any]) -> None:
    """The fault's field, and only that, has other values."""
    altered = damaged(3, fault)
    assert [row[field] for row in altered] == values
    assert [{**row, field: None} for row in altered] == [{**row, field: None} for row in rows(3)]


def test_long_errors_have_the_size_that_was_asked_for() -> None:
    """Every third row is in ERROR with a text of the argument's KiB."""
    first, second, _ = damaged(3, "long_errors=100")
    assert first["status"] == "ERROR"
    assert 100 * 1024 <= len(first["error"]) < 101 * 1024
    assert second == rows(3)[1]


def test_hostile_names_reach_the_client(quiet: Quiet) -> None:
    """Quotes, newlines, a lone surrogate and 100 KB are valid JSON."""
    quiet.control("PUT", "faults", ["hostile_names@jobs"])
    names = [row["name"] for row in quiet.cockpit.get(JOBS).json()]
    assert any('"' in name for name in names)
    assert any("\n" in name for name in names)
    assert any("\ud83d" in name for name in names)
    assert max(map(len, names)) == 100_000


@pytest.mark.parametrize("dialect", ["default", "page", "hal", "map", "nested"])
@pytest.mark.parametrize("fault", sorted(ROW_FAULTS))
def test_altered_rows_are_valid_in_every_envelope(quiet: Quiet, dialect: str, fault: str) -> None:
    """Each row fault gives valid JSON in lists with rows and without, whatever the form."""
    quiet.control("PUT", "dialect", {"dialect": dialect})
    quiet.control("PUT", "faults", [fault])
    answers: Mapping[str, httpx.Response] = {path: quiet.cockpit.get(path) for path in (JOBS, EXECUTIONS)}
    assert {path: answer.status_code for path, answer in answers.items()} == {JOBS: 200, EXECUTIONS: 200}
    assert all(answer.json() is not None for answer in answers.values())
