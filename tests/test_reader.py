"""The reader: what a target answers, well or badly, and what is published and logged of it."""

from __future__ import annotations

import asyncio
import json
import logging
import selectors
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from exporter.cockpit import CockpitClient
from exporter.config import Config, Expectation, Global, JobFilter, Results, Target
from exporter.observe import History, State
from exporter.reader import TargetReader
from exporter.snapshot import ApplicationView, Running, Snapshot
from exporter.telemetry import Telemetry
from tests.processes import DEADLINE

JOBS = "/cockpit/api/rest/application/{}/services/jobs"
RUN = "6f1b3c52-0000-4000-8000-00000000000{}"


@dataclass(slots=True)
class Installation:
    """A Cockpit whose answers a test changes as it goes: path → status and body, or an exception.

    With a ``barrier`` requests are answered when as many as it waits for are under way; the ``silent`` path never is.
    """

    answers: dict[str, tuple[int, Any] | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    barrier: asyncio.Barrier | None = None
    silent: str = ""

    def lists(self, application: str, jobs: list[Any], executions: list[Any]) -> None:
        """Let an application list jobs and executions."""
        self.answers[JOBS.format(application)] = (200, jobs)
        self.answers[JOBS.format(application) + "/executions"] = (200, executions)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request.url.path)
        if self.barrier is not None:
            await self.barrier.wait()
        if request.url.path == self.silent:
            await asyncio.Event().wait()
        answer = self.answers.get(request.url.path, (404, {"status": 404, "message": "No such thing"}))
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content, headers={"content-type": "application/json"})


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class ImpatientLoop(asyncio.SelectorEventLoop):
    """An event loop that spends no time on waiting: its clock leaps to what is due next, and stands still otherwise."""

    def __init__(self) -> None:
        super().__init__(_Leaping(self))
        self.now = 0.0

    def time(self) -> float:
        """Return the time, in seconds."""
        return self.now


class _Leaping(selectors.DefaultSelector):
    def __init__(self, loop: ImpatientLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout else timeout)
        if timeout and not ready:
            self._loop.now += timeout
        return ready


@dataclass(slots=True)
class Subject:
    """A reader with everything around it."""

    reader: TargetReader
    installation: Installation
    clock: Clock
    steady: Clock
    telemetry: Telemetry
    published: list[Snapshot]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, on the wall as elsewhere."""
        self.clock.now += seconds
        self.steady.now += seconds

    @property
    def latest(self) -> Snapshot:
        """The snapshot published last."""
        return self.published[-1]

    def application(self, code: str = "K7SALES") -> ApplicationView:
        """Return what was published last of an application."""
        return next(view for view in self.latest.applications if view.application == code)

    def up(self) -> bool:
        """Tell whether the target was last published as up."""
        return self.latest.target.up

    def counted(self, sample: str) -> list[str]:
        """Return the exporter's own sample lines that begin with a text and are not zero."""
        lines = self.telemetry.render("text").decode().splitlines()
        return [line for line in lines if line.startswith(sample) and not line.endswith(" 0.0")]


def run(
    scenario: Callable[[Subject], Awaitable[None]],
    *,
    profiles: Mapping[str, Any] | None = None,
    states: Mapping[str, State] | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    **settings: Any,
) -> None:
    """Run a scenario with a reader of one target, production, with application K7SALES."""
    settings = {"applications": ("K7SALES",), **settings}
    target = Target(name="production", url="https://apps.example.com/cockpit", **settings)
    config = Config(
        global_=Global(interval=10.0, timeout=5.0, stale_after=30.0),
        targets=(target,),
        profiles=dict(profiles or {}),
        expectations=(Expectation(max_runtime=60.0),),
    )

    async def main() -> None:
        installation, clock, steady, telemetry = Installation(), Clock(), Clock(), Telemetry()
        installation.lists("K7SALES", [a_job()], [])
        published: list[Snapshot] = []
        async with CockpitClient(target, config.profile(target), transport=httpx.MockTransport(installation)) as client:
            reader = TargetReader(
                config, target, client, telemetry, published.append, clock=clock, steady=steady, states=states
            )
            await scenario(Subject(reader, installation, clock, steady, telemetry, published))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def a_job(job_id: int = 1, **facts: Any) -> dict[str, Any]:
    """Return a row of the job list."""
    return {"id": job_id, "name": f"load_{job_id}", "type": "JOB", "status": "ENABLED", **facts}


def a_run(number: int, job_id: int = 1) -> dict[str, Any]:
    """Return a row of the list of executions."""
    return {
        "executionId": RUN.format(number),
        "jobId": job_id,
        "name": f"load_{job_id}",
        "startDate": 1_700_000_000_000,
    }


def test_a_good_read_is_published() -> None:
    """Jobs and executions are published together, and the target is up."""

    async def scenario(subject: Subject) -> None:
        subject.installation.lists("K7SALES", [a_job()], [a_run(1)])
        await subject.reader.read()
        (view,) = subject.latest.jobs.values()
        assert ("load_1", Running(1, 1_700_000_000.0)) == (view.job.name, view.running)
        assert subject.up()
        assert {"jobs": True, "executions": True} == subject.application().collector_success

    run(scenario)


def test_all_applications_are_asked_at_once() -> None:
    """The lists of all applications are under way before any of them has been answered."""

    async def scenario(subject: Subject) -> None:
        subject.installation.lists("M2STOCK", [a_job(2)], [])
        subject.installation.barrier = asyncio.Barrier(4)
        await subject.reader.read()
        assert subject.up()
        assert {"K7SALES", "M2STOCK"} == {view.application for view in subject.latest.applications}

    run(scenario, applications=("K7SALES", "M2STOCK"))


def test_one_application_failing_harms_no_other() -> None:
    """An application that fails takes the target's up away, and nothing of the others."""

    async def scenario(subject: Subject) -> None:
        subject.installation.lists("M2STOCK", [a_job(2)], [])
        subject.installation.answers[JOBS.format("K7SALES")] = (500, {"message": "boom"})
        await subject.reader.read()
        assert ["load_2"] == [view.job.name for view in subject.latest.jobs.values()]
        assert {"jobs": False, "executions": True} == subject.application().collector_success
        assert not subject.up()

    run(scenario, applications=("K7SALES", "M2STOCK"))


def test_a_failed_list_shows_at_once_and_the_last_good_one_until_it_is_stale() -> None:
    """Good data stays for stale_after while reads fail, then it goes; the first good read brings it back."""

    async def scenario(subject: Subject) -> None:
        await subject.reader.read()
        good_at = subject.clock.now
        subject.installation.answers[JOBS.format("K7SALES")] = httpx.ConnectError("refused")
        for seconds, shown in ((10, 1), (20, 1), (1, 0), (30, 0)):
            subject.pass_time(seconds)
            await subject.reader.read()
            assert (False, shown) == (subject.up(), len(subject.latest.jobs))
            assert (good_at if shown else None) == subject.application().read_at
        subject.installation.lists("K7SALES", [a_job()], [])
        await subject.reader.read()
        assert (True, 1) == (subject.up(), len(subject.latest.jobs))

    run(scenario)


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_jumps_makes_nothing_stale_or_fresh(jump: float) -> None:
    """How old data is does not depend on what the clock on the wall shows."""

    async def scenario(subject: Subject) -> None:
        await subject.reader.read()
        subject.installation.answers[JOBS.format("K7SALES")] = httpx.ConnectError("refused")
        subject.clock.now += jump
        await subject.reader.read()
        assert 1 == len(subject.latest.jobs)
        subject.pass_time(31)
        await subject.reader.read()
        assert 0 == len(subject.latest.jobs)

    run(scenario)


def test_stale_executions_are_unknown_not_zero() -> None:
    """When the list of executions has been failing for long, nobody knows what runs."""

    async def scenario(subject: Subject) -> None:
        subject.installation.lists("K7SALES", [a_job()], [a_run(1)])
        await subject.reader.read()
        subject.installation.answers[JOBS.format("K7SALES") + "/executions"] = (503, {})
        await subject.reader.read()
        assert [1] == [view.running.executions for view in subject.latest.jobs.values() if view.running]
        subject.pass_time(31)
        await subject.reader.read()
        assert [None] == [view.running for view in subject.latest.jobs.values()]
        assert {} == subject.latest.executions

    run(scenario)


def test_404_on_executions_keeps_the_job_list() -> None:
    """An older release without the endpoint still shows its jobs, with a collector that fails."""

    async def scenario(subject: Subject) -> None:
        del subject.installation.answers[JOBS.format("K7SALES") + "/executions"]
        await subject.reader.read()
        assert 1 == len(subject.latest.jobs)
        assert {"jobs": True, "executions": False} == subject.application().collector_success
        assert not subject.up()

    run(scenario)


def test_unsupported_executions_are_not_asked_for() -> None:
    """A profile that says so spares the request and has no such collector."""

    async def scenario(subject: Subject) -> None:
        await subject.reader.read()
        assert [JOBS.format("K7SALES")] == subject.installation.asked
        assert {"jobs": True} == subject.application().collector_success
        assert subject.up()

    run(scenario, profile="old", profiles={"old": {"executions": "unsupported"}})


class TestResults:
    """Outcomes asked of Dumbella."""

    RESULTS = Results(url="http://dumbella.example.com:8080")

    @pytest.mark.parametrize(
        ("status", "body", "outcomes"),
        [
            (200, {"executionId": RUN.format(1), "status": "DONE", "result": ""}, (1, 0, 0, 0)),
            (200, {"executionId": RUN.format(1), "status": "ERROR", "result": ""}, (0, 1, 0, 0)),
            (200, {"executionId": RUN.format(1), "status": "KILLED", "result": ""}, (0, 0, 1, 0)),
            (200, {"executionId": RUN.format(1), "status": "PAUSED", "result": ""}, (0, 0, 0, 1)),
            (404, {"status": 404}, (0, 0, 0, 1)),
        ],
    )
    def test_an_ended_execution_gets_its_outcome(self, status: int, body: Any, outcomes: tuple[int, ...]) -> None:
        """What ended is asked about once, and counted in the same read."""

        async def scenario(subject: Subject) -> None:
            result = f"/execution/{RUN.format(1)}/result"
            await subject.reader.read()
            subject.installation.lists("K7SALES", [a_job()], [a_run(1)])
            await subject.reader.read()
            subject.installation.lists("K7SALES", [a_job()], [])
            subject.installation.answers[result] = (status, body)
            await subject.reader.read()
            await subject.reader.read()
            assert [outcomes] == [view.history.outcomes for view in subject.latest.jobs.values()]
            assert 1 == subject.installation.asked.count(result)
            assert subject.up()

        run(scenario, results=self.RESULTS)

    def test_a_failing_service_is_asked_again_and_then_given_up(self) -> None:
        """A results service that is down fails its own collector, never the jobs, and only while something waits."""

        async def scenario(subject: Subject) -> None:
            subject.installation.lists("K7SALES", [a_job()], [a_run(1)])
            await subject.reader.read()
            subject.installation.lists("K7SALES", [a_job()], [])
            subject.installation.answers[f"/execution/{RUN.format(1)}/result"] = httpx.ConnectError("refused")
            for _ in range(5):
                await subject.reader.read()
                assert {"jobs": True, "executions": True, "results": False} == subject.application().collector_success
                assert not subject.up()
            await subject.reader.read()
            assert subject.up()
            assert 5 == subject.installation.asked.count(f"/execution/{RUN.format(1)}/result")

        run(scenario, results=self.RESULTS)

    def test_a_service_that_never_answers_does_not_delay_the_next_read(self) -> None:
        """Results are asked for only until shortly before the next read is due."""

        async def scenario(subject: Subject) -> None:
            subject.installation.lists("K7SALES", [a_job()], [a_run(1)])
            await subject.reader.read()
            subject.installation.lists("K7SALES", [a_job()], [])
            subject.installation.silent = f"/execution/{RUN.format(1)}/result"
            due = asyncio.get_running_loop().time() + 2
            await subject.reader.read(until=due)
            assert due - 1 == pytest.approx(asyncio.get_running_loop().time())
            assert {"jobs": True, "executions": True, "results": False} == subject.application().collector_success

        run(scenario, loop_factory=ImpatientLoop, results=self.RESULTS)


def test_discovered_applications_come_and_go() -> None:
    """With discovery an application that appears is read, and one that vanishes takes its series along."""

    async def scenario(subject: Subject) -> None:
        subject.installation.lists("M2STOCK", [a_job(2)], [])
        for found in (["K7SALES"], ["K7SALES", "M2STOCK"], ["M2STOCK"]):
            subject.installation.answers["/cockpit/api/rest/application/all"] = (200, found)
            await subject.reader.read()
            assert found == [view.application for view in subject.latest.applications]
            assert subject.up()

    run(scenario, profile="appcomposer", applications="discover")


@pytest.mark.parametrize(("away", "started"), [(30, 1), (31, 0)])
def test_an_application_that_comes_back_in_time_continues(away: float, started: int) -> None:
    """An application that one discovery lacked shows nothing meanwhile, and then goes on counting where it was."""

    async def scenario(subject: Subject) -> None:
        def found(*applications: str) -> None:
            subject.installation.answers["/cockpit/api/rest/application/all"] = (200, list(applications))

        subject.installation.lists("M2STOCK", [], [])
        found("K7SALES", "M2STOCK")
        await subject.reader.read()
        subject.installation.lists("K7SALES", [a_job()], [a_run(1)])
        await subject.reader.read()
        found("M2STOCK")
        subject.pass_time(away)
        await subject.reader.read()
        assert {} == subject.latest.jobs
        found("K7SALES", "M2STOCK")
        await subject.reader.read()
        assert [started] == [view.history.started for view in subject.latest.jobs.values()]

    run(scenario, profile="appcomposer", applications="discover")


def test_a_credential_that_sees_nothing_is_not_up() -> None:
    """A discovery that finds no application at all is more likely a missing right than an empty installation."""

    async def scenario(subject: Subject) -> None:
        subject.installation.answers["/cockpit/api/rest/application/all"] = (200, [])
        await subject.reader.read()
        assert not subject.up()
        assert subject.reader.report is not None
        assert ["no application was found"] == [failure.detail for failure in subject.reader.report.failures]

    run(scenario, profile="appcomposer", applications="discover")


def test_failed_discovery_keeps_what_was_found() -> None:
    """While discovery fails the applications found before are read, and the target is not up."""

    async def scenario(subject: Subject) -> None:
        subject.installation.answers["/cockpit/api/rest/application/all"] = (200, ["K7SALES"])
        await subject.reader.read()
        subject.installation.answers["/cockpit/api/rest/application/all"] = (401, {})
        await subject.reader.read()
        assert ["K7SALES"] == [view.application for view in subject.latest.applications]
        assert 1 == len(subject.latest.jobs)
        assert not subject.up()
        report = subject.reader.report
        assert report is not None
        assert [("applications", "auth")] == [(failure.collector, failure.reason) for failure in report.failures]

    run(scenario, profile="appcomposer", applications="discover")


def test_state_of_an_earlier_life_goes_on() -> None:
    """Counters that were restored continue, and what ran then is no baseline."""

    async def scenario(subject: Subject) -> None:
        await subject.reader.read()
        assert [7] == [view.history.started for view in subject.latest.jobs.values()]
        assert 999_000.0 == subject.application().observing_since

    state = State(since=999_000.0, seen_at=999_990.0, histories={"1": History(started=7, status="ENABLED")})
    run(scenario, states={"K7SALES": state})


def test_what_the_mapping_did_not_know_is_counted() -> None:
    """Unknown values, unreadable values and dropped rows have their counters."""

    async def scenario(subject: Subject) -> None:
        rows = [a_job(1, status="PAUSED"), a_job(2, lastUpdate="yesterday"), {"name": "no id"}, a_job(2)]
        subject.installation.lists("K7SALES", rows, [])
        await subject.reader.read()
        assert {"filter": 0, "limit": 0, "invalid": 1, "duplicate": 1} == subject.application().jobs_dropped
        name = "dumbella_exporter_unknown_values_total"
        assert [f'{name}{{field="status",target="production"}} 1.0'] == subject.counted(name)
        name = "dumbella_exporter_mapping_errors_total"
        assert [
            f'{name}{{field="id",target="production"}} 1.0',
            f'{name}{{field="last_update",target="production"}} 1.0',
        ] == sorted(subject.counted(name))

    run(scenario)


def test_an_error_is_logged_whole_and_once(caplog: pytest.LogCaptureFixture) -> None:
    """The whole text of a job's error appears in the log when it appears, and not again while it stays the same."""

    async def scenario(subject: Subject) -> None:
        subject.installation.lists("K7SALES", [a_job(status="ERROR", error="first\n\tat second")], [])
        await subject.reader.read()
        subject.installation.lists("K7SALES", [a_job(status="ERROR", error="first\n\tat second"), a_job(2)], [])
        await subject.reader.read()
        texts = [record.__dict__["fields"].get("error") for record in caplog.records]
        assert ["first\n\tat second"] == texts

    with caplog.at_level(logging.WARNING):
        run(scenario)


def test_errors_of_jobs_that_are_not_shown_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A job that the filter leaves out leaves no text in the log, and many errors at once leave a summary."""

    async def scenario(subject: Subject) -> None:
        rows = [a_job(number, status="ERROR", error=f"error {number}") for number in range(1, 30)]
        rows[0]["name"] = "tmp_x"
        subject.installation.lists("K7SALES", rows, [])
        await subject.reader.read()

    with caplog.at_level(logging.WARNING):
        run(scenario, jobs=JobFilter(exclude=("tmp_*",)))
    texts = [record.__dict__["fields"].get("error") for record in caplog.records]
    assert [*(f"error {number}" for number in range(2, 22)), None] == texts
    assert ("more jobs are in error", 8) == (
        caplog.records[-1].getMessage(),
        caplog.records[-1].__dict__["fields"]["jobs"],
    )


def test_a_bug_takes_the_target_down_and_not_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that nobody foresaw shows as down with a traceback in the log, and reading goes on."""

    async def scenario(subject: Subject) -> None:
        await subject.reader.read()
        subject.installation.answers[JOBS.format("K7SALES")] = ZeroDivisionError("a bug")
        task = asyncio.create_task(subject.reader.run(offset=1000))
        async with asyncio.timeout(DEADLINE):
            await subject.reader.first_read.wait()
        assert not subject.up()
        assert subject.reader.report is not None
        assert ["bug"] == [failure.reason for failure in subject.reader.report.failures]
        assert not task.done()
        task.cancel()

    run(scenario)
    assert ["read failed for a reason that nobody foresaw"] == [record.getMessage() for record in caplog.records]
