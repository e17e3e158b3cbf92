"""From start to end: what happens by itself, and that nothing is left behind, however the simulator ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.server import ListenAddress
from exporter.simulator import Simulator, SimulatorOptions, application
from exporter.simulator.scheduler import Activity, Scheduler
from tests import loopback
from tests.processes import COMMAND, DEADLINE, Process, eventually, poll, running


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A simulator with a folder of its own for temporary files."""
    (tmp_path / "temporary").mkdir()
    command = [COMMAND, "simulate", "--web.listen-address", "127.0.0.1:0"]
    environment = {"TMPDIR": str(tmp_path / "temporary")}
    with running(command, tmp_path, name="simulator", environment=environment) as started:
        yield started


def ask(process: Process, path: str) -> Any:
    """Return what the control endpoint answers."""
    return loopback.get(f"{process.listening_url()}/-/{path}").json()


def groups(process: Process) -> set[int]:
    """Return the groups of all processes that a simulator has started and that still run."""
    listing = Path("/proc")
    found = set()
    for status in listing.glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent, group = fields[0], int(fields[1]), int(fields[2])
        if parent == process.pid and state != "Z":
            found.add(group)
    return found


def alive(group: int) -> bool:
    """Tell whether any process of a group is left that is more than a zombie."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            return True
    return False


def test_something_of_each_kind_happens_soon(process: Process) -> None:
    """Runs end well and badly, others wait behind a hung one or overlap, statuses are of all kinds, versions move."""
    versions = [job["published_version"] for job in ask(process, "state")["applications"]["M2STOCK"]]

    def happened() -> None:
        state, history = ask(process, "state"), ask(process, "history")
        assert {"done", "error"} <= {entry["outcome"] for entry in history}
        assert "nightly_close_0.3" in {entry["job_name"] for entry in state["waiting"]}
        assert Counter(entry["job_name"] for entry in state["running"])["sync_customers_2.1"] >= 2
        statuses = {job["status"] for jobs in state["applications"].values() for job in jobs}
        assert statuses == {"DISABLED", "ENABLED", "STOPPED", "STARTED", "RESTARTED", "ERROR", "DELETED"}
        assert [job["published_version"] for job in state["applications"]["M2STOCK"]] != versions

    eventually(happened)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(process: Process, tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, no process of any job or service left, no temporary file; a second signal changes nothing."""
    url = process.listening_url()
    for job, options in {
        "rebuild_index_0.9": {"ignore_term": True, "child": True, "duration": None},
        "count_stock_0.4": {"child": True, "duration": None},
    }.items():
        asked = {"application": "M2STOCK", "job": job, **options}
        assert loopback.request("POST", f"{url}/-/run", json=asked).is_success
    started = poll(lambda: found if len(found := groups(process)) >= 4 else None)
    process.send(number)
    process.wait_for("msg=stopping")
    process.send(number)
    assert process.wait() == 0
    assert {group for group in started if alive(group)} == set()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert "Traceback" not in process.output


def test_jobs_end_by_themselves_when_the_simulator_is_killed(process: Process) -> None:
    """Even SIGKILL leaves no job or service running for long, not those that ignore SIGTERM either."""
    asked = {"application": "M2STOCK", "job": "rebuild_index_0.9", "duration": None, "ignore_term": True, "child": True}
    assert loopback.request("POST", f"{process.listening_url()}/-/run", json=asked).is_success
    started = poll(lambda: found if len(found := groups(process)) >= 3 else None)
    process.send(signal.SIGKILL)
    process.wait()
    poll(lambda: not any(alive(group) for group in started))


def test_open_requests_do_not_delay_the_end(process: Process) -> None:
    """Requests that hang, given up by their clients or not, are dropped after the signal, without a traceback."""
    url = httpx.URL(process.listening_url())
    assert loopback.request("PUT", f"{url}/-/faults", json=["hang"]).is_success
    with pytest.raises(httpx.ReadTimeout):
        loopback.get(f"{url}/cockpit/api/rest/application/all", timeout=httpx.Timeout(DEADLINE, read=0.3))
    with socket.create_connection((url.host, url.port), timeout=DEADLINE) as connection:
        hanging, answered = (
            f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in ("/api/rest/application/all", "/-/healthy")
        )
        # Sent at once: when the first is answered, the second has arrived, too.
        connection.sendall(f"{answered}{hanging}".encode())
        received = b""
        while not received.endswith(b"OK\n"):
            piece = connection.recv(65536)
            assert piece
            received += piece
        process.send(signal.SIGTERM)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(65536) == b""
    assert process.wait() == 0
    assert "Traceback" not in process.output


def test_ten_thousand_jobs_are_listed() -> None:
    """The lists hold the synthetic jobs besides those of the scenario, each id once."""
    options = SimulatorOptions(jobs=10_000, scheduler=False)

    async def listed() -> list[list[dict[str, Any]]]:
        async with client(Simulator(options)) as cockpit:
            paths = [f"/application/{code}/services/jobs" for code in ("K7SALES", "M2STOCK")]
            return [(await cockpit.get(path)).json() for path in paths]

    sales, stock = asyncio.run(listed())
    assert [len({row["id"] for row in rows}) for rows in (sales, stock)] == [5008, 5007]
    assert [len(sales), len(stock)] == [5008, 5007]


def client(simulator: Simulator) -> httpx.AsyncClient:
    """Return a client for a simulator in this process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application(simulator)),
        base_url="http://simulator/cockpit/api/rest",
        headers={"authorization": f"Bearer {simulator.token}"},
    )


def test_a_simulator_can_live_in_the_same_process() -> None:
    """It starts its services, serves in process, and has ended them when it is left."""
    simulator = Simulator(SimulatorOptions(scheduler=False))

    async def live() -> tuple[list[str], list[int]]:
        async with simulator, client(simulator) as cockpit:
            simulator.dumbella.run(next(simulator.world.jobs()))
            rows = (await cockpit.get("/application/M2STOCK/services/jobs")).json()
            while not all(run.pid for run in simulator.world.running.values()):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)
            return [row["status"] for row in rows], [run.pid or 0 for run in simulator.world.running.values()]

    statuses, pids = asyncio.run(live())
    assert statuses == ["ENABLED", "ENABLED", "ENABLED", "ERROR", "ERROR", "STOPPED", "RESTARTED"]
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(pids[0], 0)


@pytest.mark.parametrize("fault", ["reset", "reset_mid_body"])
def test_a_reset_in_process_is_an_exception(fault: str) -> None:
    """Without a connection to reset, the client's call raises what a reset would be."""
    simulator = Simulator(SimulatorOptions(faults=(fault,)))

    async def call() -> None:
        async with client(simulator) as cockpit:
            await cockpit.get("/application/all")

    with pytest.raises(ConnectionResetError):
        asyncio.run(call())


def test_an_odd_status_arrives_in_process_too() -> None:
    """701 is answered without a connection as well."""
    simulator = Simulator(SimulatorOptions(faults=("legacy_701",)))

    async def call() -> httpx.Response:
        async with client(simulator) as cockpit:
            return await cockpit.get("/application/all")

    answer = asyncio.run(call())
    assert (answer.status_code, answer.json()["error"]) == (701, "Http Status 701")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialect": "latin"}, "there is no dialect 'latin'; there are default, page, "),
        ({"jobs": -1}, "the number of jobs is -1, but cannot be negative"),
        ({"faults": ("earthquake",)}, "there is no fault 'earthquake'; there are html_login, "),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Options say at once what is wrong with them."""
    with pytest.raises(ValueError, match=r"^there is no|^the number of jobs") as caught:
        SimulatorOptions(listen=(ListenAddress("127.0.0.1", 0),), **options)
    assert str(caught.value).startswith(message)


def draws(seed: int) -> list[float]:
    """Let a scheduler with this seed draw three numbers."""
    drawn: list[float] = []

    async def run() -> None:
        enough = asyncio.Event()

        async def act(chance: random.Random) -> None:
            drawn.append(chance.random())
            if len(drawn) == 3:
                enough.set()

        scheduler = Scheduler([Activity("drawing", 0, (0, 0), act)], seed)
        scheduler.start()
        await enough.wait()
        await scheduler.close()

    asyncio.run(run())
    return drawn[:3]


def test_the_schedule_is_repeatable() -> None:
    """The same seed makes an activity draw the same numbers, another seed makes others."""
    assert draws(1) == draws(1) != draws(2)


def test_a_paused_schedule_does_nothing_until_resumed() -> None:
    """Nothing happens while it is paused, and everything goes on afterwards."""

    async def run() -> None:
        happened = asyncio.Event()

        async def act(_: random.Random) -> None:
            happened.set()

        scheduler = Scheduler([Activity("acting", 0, (3600, 3600), act)], 1, paused=True)
        scheduler.start()
        for _ in range(50):
            await asyncio.sleep(0)
        assert (scheduler.paused, happened.is_set()) == (True, False)
        scheduler.resume()
        await asyncio.wait_for(happened.wait(), 10)
        assert scheduler.paused is False
        await scheduler.close()

    asyncio.run(run())
