"""What happened between two reads of one application: executions that started and ended, statuses that changed.

Cockpit forgets an execution the moment it ends, so ends are inferred: an execution is *seen* when a successful list
shows it and *finished* when a later successful list does not. This module is that inference and nothing else. It is
pure and synchronous: no I/O, no clock, no randomness; the caller passes ``now`` and the lists, and gets a new state.

A failed list is not passed on at all (``None``), and so it never ends anything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from exporter.model import Execution, Job, Listing

Outcome = Literal["done", "error", "killed", "unresolved"]
OUTCOMES: tuple[Outcome, ...] = ("done", "error", "killed", "unresolved")

#: Upper bounds, in seconds, of the histogram of execution durations.
DURATION_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)

#: How many reads an execution's result is asked for before its outcome is given up as unresolved.
RESULT_ATTEMPTS = 5
#: How many ended executions may wait for their result; beyond it the oldest are given up as unresolved.
MAX_PENDING = 10_000

#: An execution's identity within its application: job id and execution id.
ExecutionKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class History:
    """What was observed of one job. Moments and durations are in seconds, ``None`` until there was one.

    ``outcomes`` counts the executions that ended, in the order of :data:`OUTCOMES`.
    """

    started: int = 0
    outcomes: tuple[int, ...] = (0,) * len(OUTCOMES)
    last_start: float | None = None
    last_end: float | None = None
    last_duration: float | None = None
    last_success: float | None = None
    duration_sum: float = 0.0
    duration_count: int = 0
    status: str = ""
    status_changes: int = 0

    def finished(self, outcome: Outcome) -> int:
        """Return how many executions were seen to end with ``outcome``."""
        return self.outcomes[OUTCOMES.index(outcome)]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution in progress, as remembered between reads.

    Attributes:
        started_at: its start as reported, if it was.
        first_seen: when it was first seen as it is now: running, once it has a start; waiting before that.
        baseline: whether it was there before anybody looked: its start was not seen, so it counts in no counter.
    """

    started_at: float | None
    first_seen: float
    baseline: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """One execution that ended and whose outcome is still being asked for."""

    ended_at: float
    baseline: bool
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Exemplar:
    """The latest execution that fell into a bucket of the histogram."""

    execution_id: str
    value: float
    timestamp: float


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram of execution durations; ``counts`` has one entry per bucket and one beyond the last."""

    counts: tuple[int, ...] = (0,) * (len(DURATION_BUCKETS) + 1)
    total: float = 0.0
    exemplars: tuple[Exemplar | None, ...] = (None,) * (len(DURATION_BUCKETS) + 1)

    def add(self, duration: float, exemplar: Exemplar) -> Durations:
        """Return the histogram with one more duration in it."""
        index = bisect_left(DURATION_BUCKETS, duration)
        counts, exemplars = list(self.counts), list(self.exemplars)
        counts[index] += 1
        exemplars[index] = exemplar
        return Durations(tuple(counts), self.total + duration, tuple(exemplars))


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered of one application between two reads.

    Attributes:
        since: when executions were first observed, ``None`` before the first successful list.
        seen_at: when a list last showed all of them, so that each end since then is known to be later.
        histories: per job id; kept for ``stale_after`` after a job was last listed.
        missing: since when a job with a history is no longer listed.
        running: executions in the latest successful list.
        pending: executions that ended, awaiting their outcome, in the order in which they ended.
        durations: of all executions of the application that were seen to start and end.
    """

    since: float | None = None
    seen_at: float | None = None
    histories: Mapping[str, History] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[ExecutionKey, Run] = field(default_factory=dict)
    pending: Mapping[ExecutionKey, Ended] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)


@dataclass(frozen=True, slots=True)
class Started:
    """An execution was seen for the first time."""

    key: ExecutionKey
    started_at: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """An execution's end is known, and so is its outcome as far as it can be; ``duration`` in seconds."""

    key: ExecutionKey
    outcome: Outcome
    ended_at: float


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A job's status is not what the read before showed."""

    job_id: str
    old: str
    new: str


Event = Started | Finished | StatusChanged

EMPTY_HISTORY = History()


def observe(
    state: State,
    *,
    jobs: Listing[Job] | None,
    executions: Listing[Execution] | None,
    now: float,
    stale_after: float,
    has_results: bool,
) -> tuple[State, tuple[Event, ...]]:
    """Compare a read with what is remembered, and remember it in turn.

    Args:
        state: what the previous call returned; ``State()`` at first.
        jobs: the job list, before caps and filters; ``None`` if it failed.
        executions: the list of running executions, likewise.
        now: the moment of the read, in seconds since the epoch.
        stale_after: how long a job may be away and continue where it was; also the longest gap between two lists
            across which an execution's end, and so its duration, is known well enough to be recorded.
        has_results: whether outcomes can be asked for; without it they are ``unresolved`` at once.
    """
    draft = _Draft(state, now)
    if jobs is not None:
        draft.jobs(jobs, stale_after)
    if executions is not None:
        draft.executions(executions, stale_after, has_results=has_results)
    return draft.state(), tuple(draft.events)


def settle(state: State, answers: Mapping[ExecutionKey, Outcome | None]) -> tuple[State, tuple[Event, ...]]:
    """Record the outcomes of ended executions.

    Args:
        state: what ``observe`` returned.
        answers: an outcome per execution that was asked about; ``None`` where there was no answer yet (still running,
            the service did not answer): such an execution stays pending until it was asked ``RESULT_ATTEMPTS`` times.
    """
    draft = _Draft(state, state.seen_at or 0.0)
    for key, answer in answers.items():
        ended = state.pending.get(key)
        if ended is None:
            continue
        if answer is None and ended.attempts + 1 < RESULT_ATTEMPTS:
            draft.pending[key] = replace(ended, attempts=ended.attempts + 1)
        else:
            draft.resolve(key, answer or "unresolved")
    return draft.state(), tuple(draft.events)


class _Draft:
    """A state being written: shallow copies of the parts, each changed only through the methods here."""

    def __init__(self, state: State, now: float) -> None:
        self.now = now
        self.events: list[Event] = []
        self.pending = dict(state.pending)
        self._since, self._seen_at = state.since, state.seen_at
        self._before = self._histories = state.histories
        self._missing = dict(state.missing)
        self._running = dict(state.running)
        self._durations = state.durations

    def state(self) -> State:
        return State(
            since=self._since,
            seen_at=self._seen_at,
            histories=self._histories,
            missing=self._missing,
            running=self._running,
            pending=self.pending,
            durations=self._durations,
        )

    def _put(self, job_id: str, history: History) -> None:
        self._own_histories()[job_id] = history

    def _own_histories(self) -> dict[str, History]:
        """Return histories that may be changed: while nothing happens to 10,000 jobs, nothing is copied."""
        if self._histories is self._before:
            self._histories = dict(self._before)
        return cast("dict[str, History]", self._histories)

    def jobs(self, listing: Listing[Job], stale_after: float) -> None:
        """Open a history for every listed job, note its status, and let go of jobs that have been away too long."""
        missing = self._missing
        for job in listing.rows:
            history = self._histories.get(job.id)
            if history is None:
                self._put(job.id, History(status=job.status))
            elif history.status != job.status:
                self._change_status(job.id, history, job.status)
            if missing:
                missing.pop(job.id, None)
        if len(self._histories) == len(listing.rows):
            return
        listed = {job.id for job in listing.rows}
        for job_id in self._histories.keys() - listed:
            if self.now - missing.setdefault(job_id, self.now) > stale_after:
                del self._own_histories()[job_id], missing[job_id]
                self._detach(job_id)

    def _detach(self, job_id: str) -> None:
        """Let the runs of a job whose counters are gone count nowhere: a new life begins with what then runs."""
        for key, run in self._running.items():
            if key[0] == job_id:
                self._running[key] = replace(run, baseline=True)
        for key, ended in self.pending.items():
            if key[0] == job_id:
                self.pending[key] = replace(ended, baseline=True)

    def _change_status(self, job_id: str, history: History, status: str) -> None:
        # A history that an execution opened before its job was ever listed has no status to differ from.
        changes = history.status_changes + (1 if history.status else 0)
        self._put(job_id, replace(history, status=status, status_changes=changes))
        if history.status:
            self.events.append(StatusChanged(job_id, history.status, status))

    def executions(self, listing: Listing[Execution], stale_after: float, *, has_results: bool) -> None:
        """Tell what started and what ended since the latest list."""
        first = self._since is None
        gap = 0.0 if self._seen_at is None else self.now - self._seen_at
        listed = self._keyed(listing.rows)
        # Any row whose id could not be read may be the one that seems to be missing.
        if not listing.unidentified:
            for key in [key for key in self._running if key not in listed and key[1] not in listing.present]:
                self._end(key, has_results=has_results, measurable=gap <= stale_after)
        for key, row in listed.items():
            run = self._running.get(key)
            if run is not None and _is_other_run(run, row):
                self._end(key, has_results=has_results, measurable=False)
                run = None
            if run is None:
                self._start(key, row, baseline=first)
            elif run.started_at is None and row.started_at is not None:
                self._running[key] = replace(run, started_at=row.started_at, first_seen=self.now)
        if first:
            self._since = self.now
        if first or not listing.unidentified:
            self._seen_at = self.now

    def _keyed(self, rows: Iterable[Execution]) -> dict[ExecutionKey, Execution]:
        """Key executions by their identity, which stays the same when a row's job gets known, or no longer is."""
        listed = {(row.job_id, row.id): row for row in rows}
        for key in [key for key in listed if ("", key[1]) in self._running and key[0]]:
            self._attribute(("", key[1]), key)
        nameless = [key for key in listed if not key[0]]
        if nameless:
            known = {key[1]: key for key in self._running if key[0]}
            listed |= {known[key[1]]: listed.pop(key) for key in nameless if key[1] in known}
        return listed

    def _attribute(self, nameless: ExecutionKey, key: ExecutionKey) -> None:
        """Give a run that was seen without its job to the job."""
        run = self._running[key] = self._running.pop(nameless)
        if not run.baseline:
            for job_id, change in ((nameless[0], -1), (key[0], 1)):
                history = self._histories.get(job_id, EMPTY_HISTORY)
                self._put(job_id, replace(history, started=history.started + change))

    def _start(self, key: ExecutionKey, row: Execution, *, baseline: bool) -> None:
        self._running[key] = Run(row.started_at, self.now, baseline)
        if baseline:
            return
        history = self._histories.get(key[0], EMPTY_HISTORY)
        self._put(key[0], replace(history, started=history.started + 1))
        self.events.append(Started(key, row.started_at))

    def _end(self, key: ExecutionKey, *, has_results: bool, measurable: bool) -> None:
        run = self._running.pop(key)
        history = self._histories.get(key[0], EMPTY_HISTORY)
        # Dumbella's clock may be ahead of ours: what was seen running began no later than when it was first seen so.
        start = run.first_seen if run.started_at is None else min(run.started_at, run.first_seen)
        duration = max(0.0, self.now - start)
        history = replace(history, last_start=start, last_end=self.now, last_duration=duration if measurable else None)
        if measurable and not run.baseline:
            history = replace(
                history, duration_sum=history.duration_sum + duration, duration_count=history.duration_count + 1
            )
            self._durations = self._durations.add(duration, Exemplar(key[1], duration, self.now))
        self._put(key[0], history)
        earlier = self.pending.pop(key, None)
        self.pending[key] = Ended(self.now, run.baseline)
        if earlier is not None:
            self._count(key, earlier, "unresolved")
        if not has_results:
            self.resolve(key, "unresolved")
        elif len(self.pending) > MAX_PENDING:
            self.resolve(next(iter(self.pending)), "unresolved")

    def resolve(self, key: ExecutionKey, outcome: Outcome) -> None:
        """Close an ended execution with its outcome."""
        self._count(key, self.pending.pop(key), outcome)

    def _count(self, key: ExecutionKey, ended: Ended, outcome: Outcome) -> None:
        history = self._histories.get(key[0], EMPTY_HISTORY)
        if outcome == "done":
            history = replace(history, last_success=max(ended.ended_at, history.last_success or 0.0))
        if not ended.baseline:
            outcomes = tuple(count + (name == outcome) for name, count in zip(OUTCOMES, history.outcomes, strict=True))
            history = replace(history, outcomes=outcomes)
            self.events.append(Finished(key, outcome, ended.ended_at))
        self._put(key[0], history)


def _is_other_run(run: Run, row: Execution) -> bool:
    """Tell whether an execution id was used again for another run: its start moved by a second or more."""
    if run.started_at is None or row.started_at is None:
        return False
    return abs(run.started_at - row.started_at) >= 1.0


def due(state: State, limit: int) -> Iterable[ExecutionKey]:
    """Return up to ``limit`` ended executions whose result is to be asked for next, least asked first."""
    return sorted(state.pending, key=lambda key: state.pending[key].attempts)[:limit]
