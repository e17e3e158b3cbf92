"""What two reads in a row say about executions: the inference itself, and random histories against a simple oracle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.model import Execution, Job, Listing
from exporter.observe import (
    OUTCOMES,
    RESULT_ATTEMPTS,
    Event,
    ExecutionKey,
    Finished,
    History,
    Outcome,
    Started,
    State,
    StatusChanged,
    due,
    observe,
    settle,
)

STALE_AFTER = 60.0


def job(job_id: str = "1", status: str = "ENABLED") -> Job:
    """Return a job of K7SALES."""
    return Job("K7SALES", job_id, f"load_{job_id}", "JOB", status, "SEQUENTIAL")


def jobs(*rows: Job) -> Listing[Job]:
    """Return a job list."""
    return Listing(rows, len(rows))


def run(execution_id: str, started_at: float | None = None, job_id: str = "1") -> Execution:
    """Return an execution in progress."""
    return Execution("K7SALES", execution_id, job_id, f"load_{job_id}", started_at)


def runs(*rows: Execution) -> Listing[Execution]:
    """Return a list of executions in progress."""
    return Listing(rows, len(rows))


def read(
    state: State,
    now: float,
    executions: Listing[Execution] | None,
    *,
    listed: Listing[Job] | None = None,
    has_results: bool = False,
) -> tuple[State, tuple[Event, ...]]:
    """Observe one read of an application with one job."""
    return observe(
        state,
        jobs=jobs(job()) if listed is None else listed,
        executions=executions,
        now=now,
        stale_after=STALE_AFTER,
        has_results=has_results,
    )


def after(*reads: tuple[float, Listing[Execution] | None], has_results: bool = False) -> State:
    """Return the state after reads at the given moments."""
    state = State()
    for now, executions in reads:
        state, _ = read(state, now, executions, has_results=has_results)
    return state


class TestStartsAndEnds:
    """Executions that come and go."""

    def test_counts_a_start_and_an_end(self) -> None:
        """An execution that appears and disappears is counted once each way, with its duration."""
        state = after((100, runs()), (110, runs(run("a", 105))), (120, runs()))
        expected = History(
            started=1,
            outcomes=(0, 0, 0, 1),
            last_start=105,
            last_end=120,
            last_duration=15,
            duration_sum=15,
            duration_count=1,
            status="ENABLED",
        )
        assert expected == state.histories["1"]

    def test_opens_every_listed_job_at_zero(self) -> None:
        """A job has a history from the moment it is listed, so that its counters begin at 0."""
        state, _ = read(State(), 100, None)
        assert {"1": History(status="ENABLED")} == state.histories

    def test_a_failed_list_ends_nothing(self) -> None:
        """A list that failed says nothing about the executions that the one before showed."""
        state = after((100, runs()), (110, runs(run("a", 105))), (120, None), (130, None))
        assert (1, 0) == (state.histories["1"].started, state.histories["1"].finished("unresolved"))
        assert [("1", "a")] == list(state.running)

    def test_baseline_counts_nowhere(self) -> None:
        """What ran before anybody looked is in neither counter; its end only sets the last_* values."""
        state = after((100, runs(run("a", 40))), (110, runs()))
        expected = History(last_start=40, last_end=110, last_duration=70, status="ENABLED")
        assert expected == state.histories["1"]
        assert 0 == sum(state.durations.counts)

    def test_observing_since_is_the_first_good_list(self) -> None:
        """Observation begins with the first list of executions that succeeded."""
        assert 120 == after((100, None), (110, None), (120, runs()), (130, runs())).since

    def test_listed_twice_counts_once(self) -> None:
        """An execution that a list shows twice is one execution."""
        state = after((100, runs()), (110, runs(run("a", 105), run("a", 105))))
        assert 1 == state.histories["1"].started

    def test_a_start_in_the_future_gives_no_negative_duration(self) -> None:
        """Where Dumbella's clock is ahead, an execution began no later than when it was first seen."""
        state = after((100, runs()), (110, runs(run("a", 9_000))), (120, runs()))
        assert (110, 10) == (state.histories["1"].last_start, state.histories["1"].last_duration)

    def test_a_clock_that_jumps_back_gives_no_negative_duration(self) -> None:
        """Where our own clock was set back, a duration is 0 at least."""
        state = after((1000, runs()), (1010, runs(run("a", 1005))), (500, runs()))
        assert 0 == state.histories["1"].last_duration

    def test_a_run_without_a_start_is_timed_from_first_sight(self) -> None:
        """A waiting run has no start; its duration is counted from when it was first seen."""
        state = after((100, runs()), (110, runs(run("a"))), (130, runs()))
        assert 20 == state.histories["1"].last_duration

    def test_a_waiting_run_that_starts_is_the_same_run(self) -> None:
        """A run that gets its start later is not counted again."""
        state = after((100, runs()), (110, runs(run("a"))), (120, runs(run("a", 115))), (130, runs()))
        assert (1, 1) == (state.histories["1"].started, state.histories["1"].finished("unresolved"))

    def test_a_waiting_run_is_timed_from_its_start(self) -> None:
        """Time spent waiting is no part of a run's duration once its start is known."""
        state = after((100, runs()), (110, runs(run("a"))), (200, runs(run("a", 195))), (210, runs()))
        assert (195, 15) == (state.histories["1"].last_start, state.histories["1"].last_duration)

    @pytest.mark.parametrize("baseline", [True, False])
    def test_a_run_whose_job_gets_known_later_is_the_same_run(self, baseline: bool) -> None:
        """A row without a job id that gets one, or loses it again, neither ends nor starts anything."""
        nameless, named = runs(run("a", 105, job_id="")), runs(run("a", 105))
        first = [] if baseline else [(100, runs())]
        state = after(*first, (110, nameless), (120, named), (130, nameless), (140, named))
        history = state.histories["1"]
        assert (0 if baseline else 1, 0, None) == (history.started, history.finished("unresolved"), history.last_end)
        assert [("1", "a")] == list(state.running)

    def test_an_id_used_again_is_another_run(self) -> None:
        """An execution id whose start moved by a second or more stands for another run."""
        state = after((100, runs()), (110, runs(run("a", 105))), (120, runs(run("a", 118))))
        assert (2, 1) == (state.histories["1"].started, state.histories["1"].finished("unresolved"))

    def test_a_start_reported_less_exactly_is_the_same_run(self) -> None:
        """A start that moved by less than a second is a matter of rounding."""
        state = after((100, runs()), (110, runs(run("a", 105.0))), (120, runs(run("a", 105.4))))
        assert 1 == state.histories["1"].started

    def test_an_invalid_row_with_a_readable_id_is_still_there(self) -> None:
        """A row that could not be mapped but whose id could be read ends nothing."""
        odd: Listing[Execution] = Listing((), 1, invalid=1, present=frozenset({"a"}))
        state = after((100, runs()), (110, runs(run("a", 105))), (120, odd))
        assert [("1", "a")] == list(state.running)

    def test_a_list_with_an_unreadable_id_ends_nothing(self) -> None:
        """A row without a readable id may be the one that seems to be missing."""
        odd: Listing[Execution] = Listing((run("b", 111),), 2, invalid=1, unidentified=1)
        state = after((100, runs()), (110, runs(run("a", 105))), (120, odd))
        assert {("1", "a"), ("1", "b")} == set(state.running)

    def test_an_end_inside_a_long_gap_has_no_duration(self) -> None:
        """An end that fell into a gap longer than stale_after is counted, but nobody knows how long the run took."""
        state = after((100, runs()), (110, runs(run("a", 105))), (110 + STALE_AFTER + 1, runs()))
        history = state.histories["1"]
        assert (1, None, 0) == (history.finished("unresolved"), history.last_duration, history.duration_count)

    def test_incomplete_lists_make_a_gap_too(self) -> None:
        """While lists prove no absence, an end that shows afterwards may be long past."""
        odd: Listing[Execution] = Listing((), 1, invalid=1, unidentified=1)
        state = after((100, runs()), (110, runs(run("a", 105))), (150, odd), (190, odd), (200, runs()))
        assert (1, None) == (state.histories["1"].finished("unresolved"), state.histories["1"].last_duration)

    def test_events_tell_what_happened(self) -> None:
        """A read returns what it inferred as events."""
        state = after((100, runs()), (110, runs(run("a", 105))))
        _, events = read(state, 120, runs(run("b", 119)), listed=jobs(job(status="ERROR")))
        expected = (
            StatusChanged("1", "ENABLED", "ERROR"),
            Finished(("1", "a"), "unresolved", 120),
            Started(("1", "b"), 119),
        )
        assert expected == events

    def test_an_earlier_state_is_left_as_it_was(self) -> None:
        """Observing changes nothing in the state that was passed in."""
        before = after((100, runs()), (110, runs(run("a", 105))))
        copy = replace(before, histories=dict(before.histories), running=dict(before.running))
        read(before, 120, runs())
        assert copy == before


class TestJobs:
    """Jobs that change, disappear and come back."""

    def test_counts_status_changes(self) -> None:
        """A status that differs from the read before is a change; the first one seen is not."""
        state = State()
        for status in ("STARTED", "STARTED", "RESTARTED", "STARTED"):
            state, _ = read(state, 100, runs(), listed=jobs(job(status=status)))
        assert 2 == state.histories["1"].status_changes

    @pytest.mark.parametrize(("away", "started"), [(STALE_AFTER, 1), (STALE_AFTER + 1, 0)])
    def test_a_job_that_comes_back_in_time_continues(self, away: float, started: int) -> None:
        """A job that was away for no longer than stale_after goes on counting where it was; later it begins anew."""
        state = after((100, runs()), (110, runs(run("a", 105))))
        state, _ = read(state, 120, runs(), listed=jobs())
        state, _ = read(state, 120 + away, runs(), listed=jobs())
        state, _ = read(state, 121 + away, runs())
        assert started == state.histories["1"].started

    @pytest.mark.parametrize("has_results", [True, False])
    def test_runs_of_a_job_that_was_let_go_belong_to_its_earlier_life(self, has_results: bool) -> None:
        """A job that comes back late begins at 0, and a run that went on all the time is in neither counter."""
        state = State()
        reads = [(100, [], [job()]), (110, ["a", "b"], [job()]), (120, ["a"], []), (200, ["a"], []), (210, [], [job()])]
        for now, ids, listed in reads:
            state, _ = read(
                state,
                now,
                runs(*(run(execution_id, 105) for execution_id in ids)),
                listed=jobs(*listed),
                has_results=has_results,
            )
        state, _ = settle(state, dict.fromkeys(due(state, 9), "done"))
        assert (0, (0, 0, 0, 0)) == (state.histories["1"].started, state.histories["1"].outcomes)

    def test_a_failed_job_list_lets_nothing_go(self) -> None:
        """Jobs are let go of because a good list lacks them, never because there was no list."""
        state = after((100, runs()))
        for now in (200, 300, 400):
            state, _ = observe(state, jobs=None, executions=runs(), now=now, stale_after=STALE_AFTER, has_results=False)
        assert ["1"] == list(state.histories)


class TestOutcomes:
    """Results that are asked for after an execution ended."""

    ENDED = after((100, runs()), (110, runs(run("a", 105))), (120, runs()), has_results=True)

    def test_an_end_awaits_its_outcome(self) -> None:
        """With a results service an ended execution is in no counter until its outcome is known."""
        assert [("1", "a")] == list(due(self.ENDED, 10))
        assert 0 == sum(self.ENDED.histories["1"].finished(outcome) for outcome in OUTCOMES)

    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_an_answer_settles_it(self, outcome: Outcome) -> None:
        """An outcome is counted once, under its name."""
        state, events = settle(self.ENDED, {("1", "a"): outcome})
        assert 1 == state.histories["1"].finished(outcome)
        assert (Finished(("1", "a"), outcome, 120),) == events
        assert {} == state.pending

    def test_success_is_remembered(self) -> None:
        """The end of an execution that was done is the job's last success."""
        state, _ = settle(self.ENDED, {("1", "a"): "done"})
        assert 120 == state.histories["1"].last_success

    def test_a_baseline_run_sets_the_last_success_only(self) -> None:
        """A run that was there before anybody looked counts nowhere, but its success is a success."""
        state = after((100, runs(run("a", 40))), (110, runs()), has_results=True)
        state, events = settle(state, {("1", "a"): "done"})
        assert (110, 0, ()) == (state.histories["1"].last_success, state.histories["1"].finished("done"), events)

    def test_no_answer_is_asked_again_and_then_given_up(self) -> None:
        """An execution without an answer stays pending for a few reads and then is unresolved."""
        state = self.ENDED
        for _ in range(RESULT_ATTEMPTS - 1):
            state, events = settle(state, {("1", "a"): None})
            assert (1, ()) == (len(state.pending), events)
        state, _ = settle(state, {("1", "a"): None})
        assert (0, 1) == (len(state.pending), state.histories["1"].finished("unresolved"))

    def test_least_asked_come_first(self) -> None:
        """Executions that were never asked about come before those that gave no answer."""
        state, _ = settle(self.ENDED, {("1", "a"): None})
        state, _ = read(state, 130, runs(run("b", 125)), has_results=True)
        state, _ = read(state, 140, runs(), has_results=True)
        assert [("1", "b")] == list(due(state, 1))

    def test_an_id_that_ends_again_before_its_first_outcome_is_known(self) -> None:
        """Of two ends under one id the results service can only tell the later one."""
        state = self.ENDED
        state, _ = read(state, 130, runs(run("a", 125)), has_results=True)
        state, events = read(state, 140, runs(), has_results=True)
        assert (Finished(("1", "a"), "unresolved", 120),) == events
        assert (1, 140) == (len(state.pending), state.pending["1", "a"].ended_at)

    def test_an_answer_to_nothing_is_ignored(self) -> None:
        """An answer about an execution that is not pending changes nothing."""
        assert (self.ENDED, ()) == settle(self.ENDED, {("9", "z"): "done"})


class Histories(RuleBasedStateMachine):
    """Random histories of one application; the oracle counts what a watcher of every good list has seen."""

    @initialize(has_results=st.booleans())
    def begin(self, has_results: bool) -> None:
        """Begin with nothing running, with or without a results service."""
        self.has_results = has_results
        self.now = 1_000_000.0
        self.really_running: dict[ExecutionKey, float] = {}
        self.listed = {"1", "2"}
        self.new_life()

    def new_life(self) -> None:
        """Begin without state, as an exporter does that has no state file."""
        self.state = State()
        self.seen: set[tuple[str, str, float]] | None = None
        self.baseline: set[tuple[str, str, float]] = set()
        self.started: dict[str, int] = {"1": 0, "2": 0}
        self.ended: dict[str, int] = {"1": 0, "2": 0}
        self.remembered: set[str] = set()
        self.missing: dict[str, float] = {}
        self.best: dict[str, tuple[int, ...]] = {}

    @rule(job_id=st.sampled_from("12"), number=st.integers(0, 5), skew=st.sampled_from([0, 0, 0, 500]))
    def start(self, job_id: str, number: int, skew: int) -> None:
        """An execution starts; ids are few, so that they come back."""
        self.really_running.setdefault((job_id, f"run-{number}"), self.now + skew)

    @precondition(lambda self: self.really_running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """An execution ends or is killed."""
        del self.really_running[data.draw(st.sampled_from(sorted(self.really_running)))]

    @rule(job_id=st.sampled_from("12"))
    def delete_or_restore(self, job_id: str) -> None:
        """A job is no longer listed, or is listed again; its executions go on."""
        self.listed ^= {job_id}

    @rule(step=st.sampled_from([1, 15, 15, 15, 100, -40]))
    def pass_time(self, step: int) -> None:
        """Time passes; sometimes the clock is set back."""
        self.now += step

    @rule(executions_fail=st.booleans(), jobs_fail=st.booleans(), twice=st.booleans())
    def observe(self, executions_fail: bool, jobs_fail: bool, twice: bool) -> None:
        """A read happens; either list may fail; a list may show a row twice."""
        rows = [run(key[1], start, key[0]) for key, start in self.really_running.items()]
        executions = None if executions_fail else runs(*rows, *(rows if twice else ()))
        listed = None if jobs_fail else jobs(*(job(job_id) for job_id in sorted(self.listed)))
        self.state, _ = observe(
            self.state,
            jobs=listed,
            executions=executions,
            now=self.now,
            stale_after=STALE_AFTER,
            has_results=self.has_results,
        )
        if not jobs_fail:
            self.watch_jobs()
        if not executions_fail:
            self.watch({(job_id, run_id, start) for (job_id, run_id), start in self.really_running.items()})

    def watch_jobs(self) -> None:
        """Forget a job that has been away for too long: what runs of it then belongs to its earlier life."""
        self.remembered |= self.listed
        for job_id in self.listed:
            self.missing.pop(job_id, None)
        for job_id in self.remembered - self.listed:
            if self.now - self.missing.setdefault(job_id, self.now) > STALE_AFTER:
                del self.missing[job_id]
                self.remembered.discard(job_id)
                self.best.pop(job_id, None)
                self.started[job_id] = self.ended[job_id] = 0
                self.baseline |= {run_key for run_key in self.seen or () if run_key[0] == job_id}

    def watch(self, current: set[tuple[str, str, float]]) -> None:
        """Keep the oracle's own books from a good list."""
        if self.seen is None:
            self.baseline = set(current)
        else:
            for run_key in current - self.seen:
                self.started[run_key[0]] += 1
                self.remembered.add(run_key[0])
            for run_key in self.seen - current:
                self.remembered.add(run_key[0])
                if run_key not in self.baseline:
                    self.ended[run_key[0]] += 1
                self.baseline.discard(run_key)
        self.seen = current

    @precondition(lambda self: self.state.pending)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """The results service answers something, or nothing."""
        keys = list(due(self.state, 3))
        answers = {key: data.draw(st.sampled_from([*OUTCOMES, None])) for key in keys}
        self.remembered |= {
            key[0] for key, answer in answers.items() if answer or self.state.pending[key].attempts == 4
        }
        self.state, _ = settle(self.state, answers)

    @rule()
    def restart_without_state(self) -> None:
        """The exporter restarts and knows nothing: a new life."""
        self.new_life()

    @invariant()
    def counts_agree(self) -> None:
        """Started is what was seen to start, and that is what ended plus what runs; baseline is in neither."""
        for job_id, started in self.started.items():
            history = self.state.histories.get(job_id, History())
            pending = sum(key[0] == job_id and not ended.baseline for key, ended in self.state.pending.items())
            running = sum(key[0] == job_id and not r.baseline for key, r in self.state.running.items())
            finished = sum(history.finished(outcome) for outcome in OUTCOMES)
            assert started == history.started
            assert self.ended[job_id] == finished + pending
            assert history.started == finished + pending + running

    @invariant()
    def counters_never_go_down(self) -> None:
        """Within one life no counter goes down, and no duration is negative."""
        for job_id, history in self.state.histories.items():
            counters = (
                history.started,
                *(history.finished(outcome) for outcome in OUTCOMES),
                history.duration_count,
                history.status_changes,
            )
            assert all(new >= old for new, old in zip(counters, self.best.get(job_id, counters), strict=True))
            self.best[job_id] = counters
            assert history.duration_sum >= 0
            assert (history.last_duration or 0) >= 0
        assert sum(self.state.durations.counts) >= sum(h.duration_count for h in self.state.histories.values())


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
