"""The client against the simulator, which was written without it: every dialect tells the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from exporter.cockpit import CockpitClient
from exporter.config import Auth
from exporter.config.profiles import resolve
from exporter.model import Execution, Job, Listing
from exporter.simulator import Simulator, SimulatorOptions, application
from exporter.simulator.dialects import DIALECTS
from tests.cockpit.asking import soon, target

TOKEN = "api-key-1"  # noqa: S105 - the test's own
APPLICATIONS = ("K7SALES", "M2STOCK")
Told = dict[str, tuple[Listing[Job], Listing[Execution]]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """What one simulated installation tells in every dialect, by dialect and application."""
    token_file = tmp_path_factory.mktemp("credentials") / "token"
    token_file.write_text(TOKEN)

    async def read_all() -> dict[str, Told]:
        async with Simulator(SimulatorOptions(jobs=50, token=TOKEN, scheduler=False)) as simulator:
            transport = httpx.ASGITransport(application(simulator))
            async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as control:
                run = {"application": "K7SALES", "job": "refresh_prices_1.0", "duration": None}
                (await control.post("/-/run", json=run)).raise_for_status()
                answers = {}
                for dialect in DIALECTS:
                    (await control.put("/-/dialect", json={"dialect": dialect})).raise_for_status()
                    answers[dialect] = await read(transport)
                return answers

    async def read(transport: httpx.AsyncBaseTransport) -> Told:
        site = target(profile="appcomposer", applications="discover", auth=Auth(bearer_token_file=token_file))
        async with CockpitClient(site, resolve("appcomposer", {}), transport=transport) as client:
            assert await client.applications(soon()) == APPLICATIONS
            return {
                code: (await client.jobs(code, soon()), await client.executions(code, soon())) for code in APPLICATIONS
            }

    return asyncio.run(read_all())


def comparable(listing: Listing[Job]) -> Listing[Job]:
    """Return a listing with its dates in whole seconds: some dialects have no fractions."""
    return replace(
        listing,
        rows=tuple(
            replace(
                job,
                last_update=None if job.last_update is None else float(int(job.last_update)),
                started_at=None if job.started_at is None else float(int(job.started_at)),
            )
            for job in listing.rows
        ),
    )


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("application", APPLICATIONS)
def test_everything_is_readable(told: dict[str, Told], dialect: str, application: str) -> None:
    """In every dialect every row, value and date of a job can be read."""
    jobs, _ = told[dialect][application]

    assert (jobs.invalid, jobs.duplicate, jobs.unknown_values, jobs.mapping_errors) == (0, 0, {}, {})


@pytest.mark.parametrize("dialect", sorted(DIALECTS.keys() - {"default"}))
@pytest.mark.parametrize("application", APPLICATIONS)
def test_every_dialect_tells_the_same(told: dict[str, Told], dialect: str, application: str) -> None:
    """Envelopes, keys, ids and dates of any dialect lead to the jobs that the default one leads to."""
    expected, _ = told["default"][application]
    jobs, _ = told[dialect][application]

    assert len(expected.rows) > 20
    assert comparable(expected) == comparable(jobs)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_running_execution(told: dict[str, Told], dialect: str) -> None:
    """In every dialect the one run is found, with its job and its start."""
    jobs, executions = told[dialect]["K7SALES"]
    (run,) = executions.rows

    assert run.job_id in {job.id for job in jobs.rows if job.name == "refresh_prices_1.0"}
    assert (run.job_name, run.started_at is None) == ("refresh_prices_1.0", False)
