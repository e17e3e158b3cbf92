"""Asking how executions ended: fair to all applications, and within the time there is."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from exporter.cockpit import CockpitClient
from exporter.config import Config, Results, Target
from exporter.observe import Ended, ExecutionKey, State
from exporter.outcomes import RESULTS_PER_READ, Outcomes, ask_outcomes


def pending(*keys: ExecutionKey) -> State:
    """Return a state in which executions await their outcome."""
    return State(since=1.0, pending={key: Ended(2.0, baseline=False) for key in keys})


def ask(states: dict[str, State], transport: httpx.MockTransport, *, seconds: float = 60.0) -> Outcomes:
    """Ask a results service about everything pending."""
    target = Target(
        name="production",
        url="https://apps.example.com/cockpit",
        applications=tuple(states),
        results=Results(url="http://dumbella.example.com:8080"),
    )

    async def main() -> Outcomes:
        async with CockpitClient(target, Config(targets=(target,)).profile(target), transport=transport) as client:
            return await ask_outcomes(client, states, asyncio.get_running_loop().time() + seconds)

    return asyncio.run(main())


def done(_: httpx.Request) -> httpx.Response:
    """Answer that an execution is done."""
    return httpx.Response(200, json={"status": "DONE"})


def test_every_pending_execution_is_asked_about() -> None:
    """Each gets its answer, under its application."""
    states = {"K7SALES": pending(("1", "a"), ("1", "b")), "M2STOCK": pending(("1", "a"))}
    outcomes = ask(states, httpx.MockTransport(done))
    assert {"K7SALES": {("1", "a"): "done", ("1", "b"): "done"}, "M2STOCK": {("1", "a"): "done"}} == outcomes.answers
    assert {} == outcomes.errors


def test_no_application_starves_another() -> None:
    """However many executions of one application ended, those of another get their turn."""
    many = pending(*(("1", f"run-{number}") for number in range(2 * RESULTS_PER_READ)))
    outcomes = ask({"K7SALES": many, "M2STOCK": pending(("1", "a"))}, httpx.MockTransport(done))
    assert {("1", "a"): "done"} == outcomes.answers["M2STOCK"]
    assert RESULTS_PER_READ - 1 == len(outcomes.answers["K7SALES"])


def test_what_there_was_no_time_for_is_not_held_against_it() -> None:
    """Of a service that answers some until the deadline, the others have neither an answer nor a failure."""

    async def first_only(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/first/result"):
            await asyncio.Event().wait()
        return done(request)

    keys = [("1", "first"), *(("1", f"run-{number}") for number in range(20))]
    outcomes = ask({"K7SALES": pending(*keys)}, httpx.MockTransport(first_only), seconds=0.3)
    assert {"K7SALES": {("1", "first"): "done"}} == outcomes.answers
    assert {} == outcomes.errors


def test_a_service_that_answers_nobody_is_failing() -> None:
    """Silence until the deadline is a failure and counts as an attempt for those that were asked about."""

    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    keys = [("1", f"run-{number}") for number in range(20)]
    outcomes = ask({"K7SALES": pending(*keys)}, httpx.MockTransport(silent), seconds=0.3)
    assert dict.fromkeys(keys[:8]) == outcomes.answers["K7SALES"]
    assert "timeout" == outcomes.errors["K7SALES"].reason


@pytest.mark.parametrize("status", ["RUNNING", "running"])
def test_still_running_is_no_answer_yet(status: str) -> None:
    """An execution that the service says still runs is asked about again."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": status}))
    assert {"K7SALES": {("1", "a"): None}} == ask({"K7SALES": pending(("1", "a"))}, transport).answers
