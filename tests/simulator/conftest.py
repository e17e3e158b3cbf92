"""A quiet simulator as a process: its jobs run only when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import loopback
from tests.installation import Simulator, simulating
from tests.processes import eventually, poll


class Quiet:
    """A running simulator whose schedule is paused.

    Attributes:
        cockpit: a client with the token, below ``/cockpit/api/rest``.
        web: a client without a token, at the simulator's root.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.headers = {"authorization": f"Bearer {simulator.token}"}
        self.web = loopback.client(base_url=simulator.url)
        self.cockpit = loopback.client(base_url=f"{simulator.url}/cockpit/api/rest", headers=self.headers)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the control endpoint answers to a call that it accepts."""
        answer = self.web.request(method, f"/-/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def run(self, application: str, job: str, **asked: Any) -> str:
        """Start a run and return its execution's id."""
        (execution,) = self.control("POST", "run", {"application": application, "job": job, **asked})
        return str(execution["execution_id"])

    def entry(self, execution_id: str) -> dict[str, Any]:
        """Return an execution's entry in the history."""
        (found,) = (entry for entry in self.control("GET", "history") if entry["execution_id"] == execution_id)
        return dict(found)

    def ended(self, execution_id: str) -> dict[str, Any]:
        """Wait for the end of an execution and return its entry in the history."""
        return poll(lambda: entry if (entry := self.entry(execution_id))["outcome"] else None)

    def pid(self, execution_id: str) -> int:
        """Wait until an execution has a process and return its id, which is also its group's."""
        return int(poll(lambda: self.entry(execution_id)["pid"]))

    def listed(self, application: str) -> set[str]:
        """Return the ids of the executions that Cockpit lists."""
        rows = self.cockpit.get(f"/application/{application}/services/jobs/executions").json()
        return {row["executionId"] for row in rows}

    def kill(self, execution_id: str) -> httpx.Response:
        """Ask Cockpit to kill an execution."""
        return self.cockpit.post(f"/services/jobs/execution/{execution_id}/kill")

    def finish(self, execution_id: str) -> dict[str, Any]:
        """Let an execution end by itself now, and return its entry in the history."""
        return dict(self.control("POST", "finish", {"execution_id": execution_id}))

    def job(self, application: str, name: str) -> dict[str, Any]:
        """Return the truth about a job, found by its name as stored."""
        jobs = self.control("GET", "state")["applications"][application]
        (found,) = (job for job in jobs if job["name"] == name)
        return dict(found)

    def still(self) -> None:
        """Switch everything back to normal, kill whatever runs or waits, and wait until it is gone."""
        self.control("DELETE", "faults")
        self.control("PUT", "dialect", {"dialect": "default"})
        self.control("DELETE", "scheduler")

        def nothing_runs() -> None:
            state = self.control("GET", "state")
            for execution in state["waiting"] + state["running"]:
                self.kill(execution["execution_id"])
            assert not state["running"]

        eventually(nothing_runs)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quiet]:
    """One simulator for all tests."""
    with simulating(tmp_path_factory.mktemp("simulator")) as simulator:
        quiet = Quiet(simulator)
        with quiet.web, quiet.cockpit:
            yield quiet


@pytest.fixture
def quiet(shared: Quiet) -> Quiet:
    """The shared simulator in its normal state, whatever the test before has left."""
    shared.still()
    return shared
