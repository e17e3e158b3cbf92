"""One task per target: read Cockpit on an interval, observe what happened, publish what is known.

A read asks for the jobs and the running executions of all of the target's applications at once, under one deadline; one
application's failure harms no other. What a list answered is kept until it is stale. A read that takes longer than the
interval makes the reader skip the reads it missed: they never pile up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from exporter.cockpit import CockpitClient, CockpitError
from exporter.config import Config, Target
from exporter.failures import FailureLog
from exporter.logs import fields
from exporter.model import Execution, Job, Listing
from exporter.observe import Event, Finished, Started, State, StatusChanged, observe, settle
from exporter.outcomes import ask_outcomes
from exporter.snapshot import ApplicationRead, Assembler, Snapshot, TargetView, attribute
from exporter.telemetry import Telemetry

log = logging.getLogger(__name__)

#: Lists that one target is asked for at a time.
CONCURRENCY = 8
#: Share of the interval before the next read in which no results are asked for.
RESULTS_MARGIN = 0.1
#: Share of the interval by which a read may begin late without being skipped.
TOLERANCE = 0.1
#: Whole error texts logged after one read.
ERRORS_LOGGED = 20

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Known:
    """What is known of one application: the last good lists, when they were read, and what was observed.

    ``jobs_read_at`` is in seconds since the epoch; the other moments are steady.
    """

    jobs: Listing[Job] | None = None
    jobs_read_at: float = 0.0
    jobs_fresh_at: float = 0.0
    executions: Listing[Execution] | None = None
    executions_fresh_at: float = 0.0
    listed_at: float = 0.0
    success: dict[str, bool] = field(default_factory=dict)
    state: State = field(default_factory=State)


class _Answers(NamedTuple):
    """What the two lists of one application answered; ``None`` for a failure."""

    jobs: Listing[Job] | None
    executions: Listing[Execution] | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a collector failed in the latest read, for people."""

    application: str
    collector: str
    reason: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    """How the latest read of a target went, for people. Moments are in seconds since the epoch."""

    finished_at: float
    duration: float
    failures: tuple[Failure, ...]
    applications: tuple[str, ...]
    jobs: int
    running: int


class TargetReader:
    """Reads one target and hands a snapshot to ``publish`` after each read.

    Args:
        publish: takes the snapshot; called in a worker thread, never twice at the same time.
        clock: the time in seconds since the epoch.
        steady: seconds that never go back, by which data becomes stale.
        states: what was observed before a restart, per application.
    """

    def __init__(
        self,
        config: Config,
        target: Target,
        client: CockpitClient,
        telemetry: Telemetry,
        publish: Callable[[Snapshot], None],
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        states: Mapping[str, State] | None = None,
    ) -> None:
        self.target = target
        self.report: Report | None = None
        self.first_read = asyncio.Event()
        self._timing = config.global_
        self._client = client
        self._telemetry = telemetry
        self._publish = publish
        self._clock = clock
        self._steady = steady
        self._latest = Snapshot(TargetView(target.name, up=False, read_duration=0.0), (), {}, {})
        self._assembler = Assembler(config, target)
        self._reads_executions = config.profile(target).executions == "supported"
        self._applications: Sequence[str] = ()
        self._known: dict[str, _Known] = {}
        self._restored = dict(states or {})
        self._failures = FailureLog(target.name)
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._errors: dict[tuple[str, str], CockpitError] = {}
        self._broken = False

    @property
    def states(self) -> dict[str, State]:
        """What was observed, per application, for the state file."""
        return {**self._restored, **{application: known.state for application, known in self._known.items()}}

    async def run(self, *, offset: float) -> None:
        """Read now, then once per interval, ``offset`` seconds after its start, until cancelled."""
        loop = asyncio.get_running_loop()
        interval = self._timing.interval
        await self._guarded_read(loop.time() + interval)
        self.first_read.set()
        tick = loop.time() + offset
        while True:
            await asyncio.sleep(tick - loop.time())
            await self._guarded_read(tick + interval)
            # A read that used up its whole timeout ends just after the next one was due: that one is late, not missed.
            missed = int((loop.time() - tick - TOLERANCE * interval) // interval)
            if missed > 0:
                self._telemetry.overrun(self.target.name, missed)
                log.warning("read overran its interval", extra=fields(target=self.target.name, skipped=missed))
            tick += interval * (max(missed, 0) + 1)

    async def _guarded_read(self, until: float) -> None:
        try:
            self._broken = False
            await self.read(until=until)
        except Exception:
            log.exception("read failed for a reason that nobody foresaw", extra=fields(target=self.target.name))
            self._broken = True
            down = TargetView(self.target.name, up=False, read_duration=0.0)
            await asyncio.to_thread(self._publish, replace(self._latest, target=down))
            self.report = self._report(0.0)

    async def read(self, *, until: float | None = None) -> None:
        """Read once, publish, then ask for the results of what ended.

        Args:
            until: the loop's time until which results may be asked for; one interval from now by default.
        """
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self._errors.clear()
        applications = self._applications = await self._discover(begin + self._timing.timeout)
        for application in applications:
            if application not in self._known:
                self._known[application] = self._new(application)
            self._known[application].listed_at = self._steady()
        self._forget(self._steady())
        answers = await asyncio.gather(
            *(self._lists(application, begin + self._timing.timeout) for application in applications)
        )
        duration = loop.time() - begin
        await asyncio.to_thread(self._digest, dict(zip(applications, answers, strict=True)), duration)
        if self.target.results is not None:
            until = begin + self._timing.interval if until is None else until
            # The next read is to begin in time, however slow results are.
            deadline = min(until - RESULTS_MARGIN * self._timing.interval, loop.time() + self._timing.timeout)
            if await self._ask_results(deadline):
                await asyncio.to_thread(self._assemble, duration)
        self.report = self._report(duration)

    def _new(self, application: str) -> _Known:
        known = _Known(state=self._restored.pop(application, State()))
        if self.target.results is not None:
            # Nothing has ended yet, so nothing could fail.
            known.success["results"] = True
        return known

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _discover(self, deadline: float) -> Sequence[str]:
        """Return the applications to read; those found before while they cannot be found out."""
        configured = self.target.applications
        if configured != "discover":
            return configured
        found = await self._attempt("", "applications", self._client.applications(deadline))
        return self._applications if found is None else found

    def _forget(self, now: float) -> None:
        """Let go of applications that have been away for longer than a job may be."""
        for application in [name for name in self._known if name not in self._applications]:
            known = self._known[application]
            if now - known.listed_at > self._timing.stale_after:
                del self._known[application]

    async def _lists(self, application: str, deadline: float) -> _Answers:
        jobs = self._attempt(application, "jobs", self._client.jobs(application, deadline))
        if not self._reads_executions:
            return _Answers(await jobs, None)
        executions = self._attempt(application, "executions", self._client.executions(application, deadline))
        return _Answers(*await asyncio.gather(jobs, executions))

    async def _attempt(self, application: str, endpoint: str, request: Awaitable[Answer]) -> Answer | None:
        """Await an answer; note its failure, or that it did not fail, and return ``None`` for a failure."""
        try:
            async with self._slots:
                answer = await request
        except CockpitError as error:
            self._errors[application, endpoint] = error
            self._failures.failed(application, endpoint, error)
            return None
        self._failures.succeeded(application, endpoint)
        return answer

    async def _ask_results(self, deadline: float) -> bool:
        """Ask how executions ended; tell whether anything is known now that was not."""
        shown = [self._known[application] for application in self._applications]
        before = [(known.state, known.success["results"]) for known in shown]
        states = {application: self._known[application].state for application in self._applications}
        outcomes = await ask_outcomes(self._client, states, deadline)
        for application in self._applications:
            known = self._known[application]
            error = outcomes.errors.get(application)
            if error is not None:
                self._errors[application, "results"] = error
                self._failures.failed(application, "results", error)
                known.success["results"] = False
            elif application in outcomes.answers or not known.state.pending:
                self._failures.succeeded(application, "results")
                known.success["results"] = True
            if application in outcomes.answers:
                known.state, events = settle(known.state, outcomes.answers[application])
                self._log_events(application, events)
        return before != [(known.state, known.success["results"]) for known in shown]

    # --- digesting: in a worker thread, so that scrapes are answered meanwhile ---------------------------------------

    def _digest(self, answers: Mapping[str, _Answers], duration: float) -> None:
        now = self._clock()
        for application, answer in answers.items():
            self._learn(application, answer, now)
        self._assemble(duration)

    def _learn(self, application: str, answer: _Answers, now: float) -> None:
        """Take in what an application answered: keep it, count what was odd, and observe what happened."""
        known = self._known[application]
        known.success["jobs"] = answer.jobs is not None
        if self._reads_executions:
            known.success["executions"] = answer.executions is not None
        if answer.jobs is not None:
            self._log_errors(known.jobs, answer.jobs)
            known.jobs, known.jobs_read_at, known.jobs_fresh_at = answer.jobs, now, self._steady()
        executions = answer.executions
        if executions is not None:
            executions = attribute(executions, known.jobs)
            known.executions, known.executions_fresh_at = executions, self._steady()
        for listing in (answer.jobs, executions):
            if listing is not None:
                self._telemetry.mapped(self.target.name, listing.unknown_values, listing.mapping_errors)
        known.state, events = observe(
            known.state,
            jobs=answer.jobs,
            executions=executions,
            now=now,
            stale_after=self._timing.stale_after,
            has_results=self.target.results is not None,
        )
        self._log_events(application, events)

    def _assemble(self, duration: float) -> None:
        """Publish what is known and fresh enough to be shown."""
        oldest = self._steady() - self._timing.stale_after
        shown = {application: self._known[application] for application in self._applications}
        reads = [
            ApplicationRead(
                application=application,
                jobs=known.jobs if known.jobs_fresh_at >= oldest else None,
                read_at=known.jobs_read_at,
                executions=known.executions if known.executions_fresh_at >= oldest else None,
                collector_success=dict(known.success),
                histories=known.state.histories,
                observing_since=known.state.since,
                durations=known.state.durations,
            )
            for application, known in shown.items()
        ]
        # Nothing to read is nothing that could be trusted: the credential may not see any application.
        up = (
            bool(shown)
            and ("", "applications") not in self._errors
            and all(all(known.success.values()) for known in shown.values())
        )
        snapshot = self._assembler.assemble(reads, up=up, read_duration=duration)
        self._publish(snapshot)
        self._latest = snapshot

    def _report(self, duration: float) -> Report:
        shown = [self._known[application] for application in self._applications]
        failures = [
            Failure(application, endpoint, error.reason, error.detail, error.remedy)
            for (application, endpoint), error in self._errors.items()
        ]
        if self._broken:
            detail = "the read failed for a reason that nobody foresaw"
            failures.append(Failure("", "all", "bug", detail, "see the traceback in the log"))
        elif not shown and not failures:
            detail = "no application was found"
            failures.append(Failure("", "applications", "empty", detail, "check what the credential may see"))
        return Report(
            finished_at=self._clock(),
            duration=duration,
            failures=tuple(failures),
            applications=tuple(self._applications),
            jobs=sum(known.jobs.listed for known in shown if known.jobs is not None),
            running=sum(len(known.executions.rows) for known in shown if known.executions is not None),
        )

    def _log_errors(self, before: Listing[Job] | None, listing: Listing[Job]) -> None:
        """Log the whole text of every error that was not there before; the metric has but its first line."""
        if before is listing:
            return
        known = set() if before is None else {(job.id, job.error) for job in before.rows if job.status == "ERROR"}
        new = [
            job
            for job in listing.rows
            if job.status == "ERROR" and (job.id, job.error) not in known and self.target.jobs.admits(job.name)
        ]
        for job in new[:ERRORS_LOGGED]:
            log.warning(
                "job is in error",
                extra=fields(
                    target=self.target.name,
                    application=job.application,
                    job_id=job.id,
                    job_name=job.name,
                    error=job.error,
                ),
            )
        if len(new) > ERRORS_LOGGED:
            log.warning(
                "more jobs are in error",
                extra=fields(target=self.target.name, application=new[0].application, jobs=len(new) - ERRORS_LOGGED),
            )

    def _log_events(self, application: str, events: Iterable[Event]) -> None:
        where: dict[str, Any] = {"target": self.target.name, "application": application}
        for event in events:
            match event:
                case Started(key, started_at):
                    log.debug(
                        "execution started", extra=fields(**where, job_id=key[0], execution_id=key[1], at=started_at)
                    )
                case Finished(key, outcome, _):
                    log.debug(
                        "execution ended", extra=fields(**where, job_id=key[0], execution_id=key[1], outcome=outcome)
                    )
                case StatusChanged(job_id, old, new):
                    log.info("job status changed", extra=fields(**where, job_id=job_id, old=old, new=new))
