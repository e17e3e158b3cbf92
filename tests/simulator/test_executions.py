"""Runs of jobs: real processes that queue, run side by side, end as they are told, and are killed as groups."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.processes import poll
from tests.simulator.conftest import Quiet


def exists(group: int) -> bool:
    """Tell whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("exit_code", "outcome"), [(0, "done"), (1, "error"), (7, "error")])
def test_the_outcome_follows_the_exit_code(quiet: Quiet, exit_code: int, outcome: str) -> None:
    """A run whose script ends with 0 is done, with anything else an error; the history has the code."""
    entry = quiet.ended(quiet.run("K7SALES", "load_orders_0.1", duration=0.1, exit_code=exit_code))
    assert (entry["outcome"], entry["exit_code"]) == (outcome, exit_code)
    assert entry["queued_at"] <= entry["started_at"] <= entry["ended_at"]
    assert not exists(entry["pid"])


def test_a_run_is_listed_while_its_process_lives(quiet: Quiet) -> None:
    """The list has the run with the facts of its job, and loses it when the process has ended."""
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=None)
    group = quiet.pid(execution_id)
    (row,) = quiet.cockpit.get("/application/K7SALES/services/jobs/executions").json()
    assert exists(group)
    job = quiet.job("K7SALES", "load_orders_0.1.zip")
    assert row["executionId"] == execution_id
    assert (row["jobId"], row["name"]) == (job["id"], "load_orders_0.1.zip")
    quiet.finish(execution_id)
    assert quiet.listed("K7SALES") == set()
    assert not exists(group)


def test_the_list_and_the_control_endpoint_tell_the_same_start(quiet: Quiet) -> None:
    """The start of a run is the same to the last digit, whoever is asked: nothing is rounded into another second."""
    runs = {quiet.run("K7SALES", "sync_customers_2.1", duration=None) for _ in range(3)}
    rows = quiet.cockpit.get("/application/K7SALES/services/jobs/executions").json()
    told = {row["executionId"]: datetime.fromisoformat(row["startDate"]).timestamp() for row in rows}
    assert told == {run: quiet.entry(run)["started_at"] for run in runs}


@pytest.mark.parametrize(("exit_code", "outcome"), [(0, "done"), (7, "error")])
@pytest.mark.parametrize("duration", [None, 600])
def test_a_run_can_be_finished(quiet: Quiet, exit_code: int, outcome: str, duration: float | None) -> None:
    """Asked to finish, a run of any length ends as if it had come to its end, with its own exit code and last words."""
    execution_id = quiet.run("K7SALES", "refresh_prices_1.0", duration=duration, exit_code=exit_code)
    entry = quiet.finish(execution_id)
    assert (entry["outcome"], entry["exit_code"]) == (outcome, exit_code)
    text = quiet.web.get(f"/execution/{execution_id}/result").json()["result"]
    assert ("refresh_prices 1.0 ended" in text, "\n\tat " in text) == (outcome == "done", outcome == "error")
    assert "signal" not in text


def test_only_what_runs_can_be_finished(quiet: Quiet) -> None:
    """Finishing a run that waits, or that has ended, is 409 and says why."""
    running, waiting = (quiet.run("K7SALES", "load_orders_0.1", duration=None) for _ in range(2))
    refused = quiet.web.post("/-/finish", json={"execution_id": waiting})
    assert (refused.status_code, refused.json()["message"]) == (
        409,
        f"execution {waiting} waits for another one and cannot finish",
    )
    quiet.finish(running)
    refused = quiet.web.post("/-/finish", json={"execution_id": running})
    assert (refused.status_code, refused.json()["message"]) == (409, f"execution {running} has already ended: DONE")


def test_sequential_runs_wait_for_each_other(quiet: Quiet) -> None:
    """Only the first of two runs is listed; the second starts when the first has ended, and both are done."""
    first, second = (quiet.run("K7SALES", "load_orders_0.1", duration=None) for _ in range(2))
    assert quiet.listed("K7SALES") == {first}
    waiting = quiet.entry(second)
    assert (waiting["started_at"], waiting["pid"]) == (None, None)
    one, two = quiet.finish(first), quiet.finish(second)
    assert one["ended_at"] <= two["started_at"]
    assert [one["outcome"], two["outcome"]] == ["done", "done"]


def test_parallel_runs_run_side_by_side(quiet: Quiet) -> None:
    """Two runs of a parallel job are listed at the same time, with a process each."""
    runs = {quiet.run("K7SALES", "sync_customers_2.1", duration=30) for _ in range(2)}
    assert quiet.listed("K7SALES") == runs
    assert len({quiet.pid(execution_id) for execution_id in runs}) == 2


def test_several_runs_can_be_asked_for_at_once(quiet: Quiet) -> None:
    """``count`` starts that many, of a parallel job all of them at once."""
    asked = {"application": "K7SALES", "job": "sync_customers_2.1", "duration": 30, "count": 3}
    runs = quiet.control("POST", "run", asked)
    assert quiet.listed("K7SALES") == {entry["execution_id"] for entry in runs}
    assert len(runs) == 3


@pytest.mark.parametrize("dialect", ["hal", "nested"])
def test_some_dialects_list_waiting_runs_without_a_start(quiet: Quiet, dialect: str) -> None:
    """Where waiting runs are listed, they have no start date."""
    running, waiting = (quiet.run("K7SALES", "load_orders_0.1", duration=30) for _ in range(2))
    quiet.control("PUT", "dialect", {"dialect": dialect})
    answer = quiet.cockpit.get("/application/K7SALES/services/jobs/executions").json()
    rows = answer["_embedded"]["jobExecutionList"] if dialect == "hal" else answer
    key, start = ("executionId", "startDate") if dialect == "hal" else ("uuid", "startedAt")
    assert {row[key]: row.get(start) is not None for row in rows} == {running: True, waiting: False}


def test_a_kill_ends_the_process_and_the_row_vanishes(quiet: Quiet) -> None:
    """A killed run that honours SIGTERM is gone from the list and the system, and its result is KILLED."""
    execution_id = quiet.run("M2STOCK", "count_stock_0.4", duration=None)
    group = quiet.pid(execution_id)
    answer = quiet.kill(execution_id)
    assert (answer.status_code, answer.content) == (200, b"")
    entry = quiet.ended(execution_id)
    assert (entry["outcome"], entry["exit_code"]) == ("killed", 143)
    assert not exists(group)
    assert quiet.web.get(f"/execution/{execution_id}/result").json()["status"] == "KILLED"


def test_a_kill_goes_on_to_sigkill_for_the_whole_group(quiet: Quiet) -> None:
    """A run that ignores SIGTERM, and so does its child, ends all the same; until then it stays listed."""
    execution_id = quiet.run("M2STOCK", "rebuild_index_0.9", duration=None, ignore_term=True, child=True)
    group = quiet.pid(execution_id)
    poll(lambda: "helper process" in quiet.web.get(f"/execution/{execution_id}/result").json()["result"])
    assert quiet.kill(execution_id).status_code == 200

    def looked() -> tuple[set[str], dict[str, Any]]:
        # In this order: what has not ended now was still to be listed before.
        return quiet.listed("M2STOCK"), quiet.entry(execution_id)

    while not (seen := looked())[1]["outcome"]:
        assert seen[0] == {execution_id}
    entry = quiet.entry(execution_id)
    assert (entry["outcome"], entry["exit_code"]) == ("killed", 137)
    assert not exists(group)


def test_a_child_that_outlives_its_script_is_ended(quiet: Quiet) -> None:
    """A run is done when its script is; a helper process that it left behind is killed."""
    execution_id = quiet.run("K7SALES", "load_orders_0.1", duration=0.5, child=True)
    group = quiet.pid(execution_id)
    assert quiet.ended(execution_id)["outcome"] == "done"
    assert not exists(group)


def test_a_killed_hung_run_lets_the_next_one_start(quiet: Quiet) -> None:
    """What waits behind a hung sequential run starts as soon as that is killed."""
    hung = quiet.run("K7SALES", "nightly_close_0.3", duration=None)
    behind = quiet.run("K7SALES", "nightly_close_0.3", duration=0.1)
    quiet.kill(hung)
    assert quiet.ended(behind)["outcome"] == "done"


def test_a_waiting_run_can_be_killed(quiet: Quiet) -> None:
    """It ends as killed without ever having had a process, and the running one goes on."""
    running, waiting = (quiet.run("K7SALES", "load_orders_0.1", duration=30) for _ in range(2))
    assert quiet.kill(waiting).status_code == 200
    entry = quiet.entry(waiting)
    assert (entry["outcome"], entry["started_at"], entry["pid"], entry["exit_code"]) == ("killed", None, None, None)
    assert quiet.listed("K7SALES") == {running}


def test_killing_twice_is_accepted_while_it_dies(quiet: Quiet) -> None:
    """A second kill of a run that is still dying is accepted, and the run ends once."""
    execution_id = quiet.run("M2STOCK", "rebuild_index_0.9", duration=None, ignore_term=True)
    # Before its first line the script does not ignore anything yet.
    poll(lambda: "started in context" in quiet.web.get(f"/execution/{execution_id}/result").json()["result"])
    # At once, since the one that comes more than the grace period later finds the run at its end.
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(quiet.kill, [execution_id] * 2))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert quiet.ended(execution_id)["outcome"] == "killed"


def test_killing_nothing_is_refused(quiet: Quiet) -> None:
    """An unknown execution is 404, one that has ended is 409, both in Spring's form."""
    ended = quiet.run("K7SALES", "load_orders_0.1", duration=0)
    quiet.ended(ended)
    unknown = "00000000-0000-4000-8000-000000000000"
    answers = [quiet.kill(unknown).json(), quiet.kill(ended).json()]
    assert [(answer["status"], answer["error"], answer["message"]) for answer in answers] == [
        (404, "Not Found", f"no execution with id {unknown}"),
        (409, "Conflict", f"execution {ended} has already ended: DONE"),
    ]


def run_path(quiet: Quiet, *, long: bool) -> str:
    """Return the path under which a job is run, in the short or the long form."""
    job_id = quiet.job("K7SALES", "load_orders_0.1.zip")["id"]
    if long:
        return f"/cockpit/api/rest/application/K7SALES/services/jobs/{job_id}/run"
    return f"/application/K7SALES/job/{job_id}/run"


@pytest.mark.parametrize("long", [False, True], ids=["short path", "long path"])
def test_a_synchronous_run_answers_with_its_end(quiet: Quiet, *, long: bool) -> None:
    """The answer comes when the run has ended and has its exit code, message, job and, if asked for, output."""
    body = {"jobContext": "Production", "jobParams": {"steps": 1, "pause": 0.1, "greeting": "two words"}}
    url = run_path(quiet, long=long)
    answer = quiet.web.post(url, params={"output": "true"}, json=body, headers=quiet.headers).json()
    assert (answer["exitCode"], answer["exitMessage"]) == (0, "success")
    assert answer["jobInfo"] == {
        "id": quiet.job("K7SALES", "load_orders_0.1.zip")["id"],
        "application": "K7SALES",
        "name": "load_orders",
        "version": "0.1",
        "context": "Production",
    }
    assert answer["output"].splitlines() == [
        "context parameter environment=Production",
        "context parameter greeting=two words",
        "load_orders 0.1 started in context Production",
        "step 1 of 1 done",
        "load_orders 0.1 ended",
    ]


def test_a_failed_synchronous_run_says_so(quiet: Quiet) -> None:
    """The exit code and the message tell that it failed; the body of a run is optional."""
    body = {"jobParams": {"steps": "1", "pause": "0", "exit_code": "4"}}
    answer = quiet.web.post(run_path(quiet, long=False), json=body).json()
    assert (answer["exitCode"], answer["exitMessage"]) == (4, "error")
    assert "output" not in answer


def test_an_unknown_context_fails_the_run(quiet: Quiet) -> None:
    """A run in a context that the job does not have ends with an error that names it."""
    answer = quiet.web.post(run_path(quiet, long=False), params={"output": "true"}, json={"jobContext": "Nowhere"})
    assert answer.json()["exitCode"] == 1
    assert answer.json()["output"] == "no such context: Nowhere\n"


@pytest.mark.parametrize(("dialect", "is_json"), [("default", False), ("hal", True)])
def test_an_asynchronous_run_answers_where_its_result_is(quiet: Quiet, dialect: str, *, is_json: bool) -> None:
    """The address of the result comes as text or in JSON, and shows RUNNING, then DONE with the console's text."""
    quiet.control("PUT", "dialect", {"dialect": dialect})
    answer = quiet.web.post(run_path(quiet, long=False) + "/async", json={"jobParams": {"steps": 1, "pause": 600}})
    job_id = quiet.job("K7SALES", "load_orders_0.1.zip")["id"]
    url = answer.json()["url"] if is_json else answer.text
    execution_id = url.split("/")[2]
    assert url == f"/execution/{execution_id}/result"
    if is_json:
        assert answer.json() == {"jobId": job_id, "executionId": execution_id, "url": url}
    assert quiet.web.get(url).json()["status"] == "RUNNING"
    quiet.finish(execution_id)
    result = quiet.web.get(url).json()
    assert (result["executionId"], result["status"]) == (execution_id, "DONE")
    assert result["result"].endswith("step 1 of 1 done\nload_orders 0.1 ended\n")


def test_a_failed_run_leaves_a_stack_trace(quiet: Quiet) -> None:
    """The result of a failed run is ERROR with several KB of a Java stack trace."""
    execution_id = quiet.run("K7SALES", "refresh_prices_1.0", duration=0, exit_code=1)
    quiet.ended(execution_id)
    result = quiet.web.get(f"/execution/{execution_id}/result").json()
    assert result["status"] == "ERROR"
    assert "\n\tat " in result["result"]
    assert len(result["result"]) > 4000


def test_an_unknown_result_is_not_found(quiet: Quiet) -> None:
    """The result of an execution that nobody knows is 404."""
    assert quiet.web.get("/execution/00000000-0000-4000-8000-000000000000/result").status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not a run's {jobContext, jobParams}: "),
        (b"[]", "the body is not a run's {jobContext, jobParams}: "),
        (b'{"jobParams": {"a": "\\u0000"}}', "a context parameter holds a NUL character"),
        (b'{"jobParams": {"a": "\\ud83d"}}', "the body is not a run's {jobContext, jobParams}: "),
    ],
)
def test_a_run_with_a_bad_body_is_refused(quiet: Quiet, body: bytes, message: str) -> None:
    """A body that is no run's, or that no process could be given, is 400 and starts nothing."""
    answer = quiet.web.post(run_path(quiet, long=False), content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)
    assert quiet.listed("K7SALES") == set()


@pytest.mark.parametrize(
    ("application", "name"),
    [("K7SALES", "import_leads_0.1.zip"), ("K7SALES", "draft_forecast_0.1"), ("M2STOCK", "stock_feed_0.1")],
)
def test_only_published_jobs_can_be_run(quiet: Quiet, application: str, name: str) -> None:
    """Deleted, unpublished and service jobs refuse to run with 409."""
    job_id = quiet.job(application, name)["id"]
    assert quiet.web.post(f"/application/{application}/job/{job_id}/run").status_code == 409
