"""What is published about one target at one moment: the facts that the catalogue's metrics are functions of.

A :class:`JobView` of an unchanged job is the same object as in the snapshot before, so that whoever renders it can tell
by identity that there is nothing to do.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.config import Config, Expectation, JobFilter, Target
from exporter.model import Execution, Job, Listing
from exporter.observe import EMPTY_HISTORY, Durations, History


class Running(NamedTuple):
    """The executions of one job that are in progress."""

    executions: int
    oldest_start: float | None


NOTHING_RUNNING = Running(0, None)


class JobView(NamedTuple):
    """One job, with what runs of it, what was observed of it and what is expected of it.

    ``running`` is ``None`` while nobody knows: no list of executions succeeded recently.
    """

    target: str
    job: Job
    running: Running | None
    history: History
    expectation: Expectation | None
    error_detail: bool


class ExecutionView(NamedTuple):
    """One execution in progress whose start is known."""

    target: str
    execution: Execution


class ApplicationView(NamedTuple):
    """One application as a whole. Counts are ``None`` while no list succeeded recently."""

    target: str
    application: str
    collector_success: Mapping[str, bool]
    read_at: float | None
    jobs: int | None
    jobs_dropped: Mapping[str, int] | None
    executions_dropped: Mapping[str, int] | None
    observing_since: float | None
    durations: Durations | None


class TargetView(NamedTuple):
    """One target as a whole; ``read_duration`` is in seconds."""

    target: str
    up: bool
    read_duration: float


@dataclass(frozen=True, slots=True)
class ApplicationRead:
    """What is known of one application after a read: the last good lists as far as they are fresh enough to be shown.

    Attributes:
        application: its code.
        jobs: the last good job list, ``None`` when there is none or it has become stale.
        read_at: when ``jobs`` was read.
        executions: the last good list of running executions, likewise.
        collector_success: whether each collector succeeded in the latest read.
        histories: what was observed, per job id.
        observing_since: since when.
        durations: of the application's finished executions.
    """

    application: str
    jobs: Listing[Job] | None
    read_at: float | None
    executions: Listing[Execution] | None
    collector_success: Mapping[str, bool]
    histories: Mapping[str, History]
    observing_since: float | None
    durations: Durations


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything published about one target."""

    target: TargetView
    applications: Sequence[ApplicationView]
    jobs: Mapping[tuple[str, str], JobView]
    executions: Mapping[tuple[str, str, str], ExecutionView]


class Assembler:
    """Makes snapshots of one target, reusing the views of the one before."""

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._filters = target.jobs != JobFilter()
        self._facts: Sequence[_Facts] = ()
        self._jobs: dict[tuple[str, str], JobView] = {}
        self._executions: dict[tuple[str, str, str], ExecutionView] = {}

    def assemble(self, reads: Iterable[ApplicationRead], *, up: bool, read_duration: float) -> Snapshot:
        """Apply filters and limits, and join each job with its executions, its history and its expectation."""
        facts: list[_Facts] = []
        candidates: list[Execution] = []
        applications = []
        for read in reads:
            admitted, jobs_dropped = self._admit(read.jobs, room=self._target.limits.jobs - len(facts))
            facts += _facts(admitted, read)
            executions_dropped: dict[str, int] | None = None
            if read.executions is not None:
                candidates += self._admit_executions(read.executions)
                executions_dropped = {
                    "limit": 0,
                    "invalid": read.executions.invalid,
                    "duplicate": read.executions.duplicate,
                }
            applications.append((read, jobs_dropped, executions_dropped))
        self._show_jobs(facts)
        self._executions = self._limit_executions(
            candidates, {read.application: dropped for read, _, dropped in applications}
        )
        return Snapshot(
            target=TargetView(self._target.name, up, read_duration),
            applications=[self._application(*application) for application in applications],
            jobs=self._jobs,
            executions=self._executions,
        )

    def _show_jobs(self, facts: Sequence[_Facts]) -> None:
        """Make views of the jobs whose facts are not those of the snapshot before."""
        old = self._facts
        changed = list(itertools.compress(itertools.count(), map(operator.ne, facts, old)))
        if len(facts) == len(old) and not changed:
            return
        if len(facts) == len(old) and all(_key(facts[i][0]) == _key(old[i][0]) for i in changed):
            # A copy keeps the order and the keys, by which whoever renders it sees at once that no job came or went.
            jobs = dict(self._jobs)
            jobs.update((_key(facts[i][0]), self._view(*facts[i])) for i in changed)
        else:
            jobs = {_key(job): self._view(job, running, history) for job, running, history in facts}
        self._jobs, self._facts = jobs, facts

    def _view(self, job: Job, running: Running | None, history: History) -> JobView:
        view = self._jobs.get(_key(job))
        if view is not None and view.job is job and view.history is history and view.running == running:
            return view
        target = self._target
        expectation = self._config.expectation(target.name, job.application, job.name)
        return JobView(target.name, job, running, history, expectation, target.error_detail)

    def _admit(self, listing: Listing[Job] | None, room: int) -> tuple[Sequence[Job], Mapping[str, int] | None]:
        if listing is None:
            return (), None
        admitted: Sequence[Job] = listing.rows
        if self._filters:
            admitted = [job for job in admitted if self._target.jobs.admits(job.name)]
        filtered = len(listing.rows) - len(admitted)
        over = max(0, len(admitted) - room)
        if over:
            # By id, so that the same jobs stay in whatever order they are listed.
            admitted = sorted(admitted, key=lambda job: job.id)[:room]
        return admitted, {
            "filter": filtered,
            "limit": over,
            "invalid": listing.invalid,
            "duplicate": listing.duplicate,
        }

    def _admit_executions(self, listing: Listing[Execution]) -> Sequence[Execution]:
        if not self._filters:
            return listing.rows
        return [row for row in listing.rows if self._target.jobs.admits(row.job_name)]

    def _limit_executions(
        self, candidates: Sequence[Execution], dropped: Mapping[str, dict[str, int] | None]
    ) -> dict[tuple[str, str, str], ExecutionView]:
        """Keep the oldest executions whose start is known; count those over the limit with their application."""
        started = [row for row in candidates if row.started_at is not None]
        started.sort(key=lambda row: (row.started_at, row.application, row.id))
        limit = self._target.limits.executions
        for row in started[limit:]:
            counts = dropped[row.application]
            if counts is not None:
                counts["limit"] += 1
        views = {}
        for row in started[:limit]:
            key = (row.application, row.job_id, row.id)
            view = self._executions.get(key)
            views[key] = view if view is not None and view.execution is row else ExecutionView(self._target.name, row)
        return views

    def _application(
        self,
        read: ApplicationRead,
        jobs_dropped: Mapping[str, int] | None,
        executions_dropped: Mapping[str, int] | None,
    ) -> ApplicationView:
        return ApplicationView(
            target=self._target.name,
            application=read.application,
            collector_success=read.collector_success,
            read_at=None if read.jobs is None else read.read_at,
            jobs=None if read.jobs is None else read.jobs.listed,
            jobs_dropped=jobs_dropped,
            executions_dropped=executions_dropped,
            observing_since=read.observing_since,
            durations=None if read.observing_since is None else read.durations,
        )


#: What a job's view is made of.
_Facts = tuple[Job, Running | None, History]


def _key(job: Job) -> tuple[str, str]:
    return job.application, job.id


def _facts(jobs: Sequence[Job], read: ApplicationRead) -> Iterable[_Facts]:
    """Join jobs with what runs and what was observed of them; in columns, because there may be 10,000 of them."""
    ids = [job.id for job in jobs]
    histories = map(read.histories.get, ids, itertools.repeat(EMPTY_HISTORY))
    if read.executions is None:
        return zip(jobs, itertools.repeat(None), histories, strict=False)
    running = _running(read.executions.rows)
    return zip(jobs, map(running.get, ids, itertools.repeat(NOTHING_RUNNING)), histories, strict=False)


def _running(rows: Iterable[Execution]) -> dict[str, Running]:
    """Count executions in progress per job id, and find the oldest known start."""
    running: dict[str, Running] = {}
    for row in rows:
        count, oldest = running.get(row.job_id, NOTHING_RUNNING)
        if row.started_at is not None and (oldest is None or row.started_at < oldest):
            oldest = row.started_at
        running[row.job_id] = Running(count + 1, oldest)
    return running


def attribute(executions: Listing[Execution], jobs: Listing[Job] | None) -> Listing[Execution]:
    """Give executions that came without a job id the id of the only job of their name."""
    if jobs is None or all(row.job_id for row in executions.rows):
        return executions
    ids: dict[str, list[str]] = {}
    for job in jobs.rows:
        ids.setdefault(job.name, []).append(job.id)
    rows = tuple(
        replace(row, job_id=ids[row.job_name][0]) if not row.job_id and len(ids.get(row.job_name, ())) == 1 else row
        for row in executions.rows
    )
    return replace(executions, rows=rows)
