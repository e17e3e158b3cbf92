"""Whatever happens in whatever order: what the sidecar promises about kills holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter.config.kill import Rule
from exporter.sidecar.identity import Principal
from exporter.sidecar.subject import Subject
from tests.sidecar.fakes import (
    ALICE,
    ANSWERS,
    BOB,
    MALLORY,
    FakeAudit,
    FakeCockpit,
    FakeTime,
    kills,
    order,
    pass_time,
    rules,
    settle,
)

#: Turns of the event loop after which what has not ended never will: a hundred times what anything here takes.
_PATIENCE = 20_000
#: Mallory may look, and kill what is called harmless; nobody may kill payroll.
POLICY = (
    Rule(name="never", effect="deny", principals=("team:sre", "user:mallory"), jobs=("payroll_*",)),
    Rule(name="sre", effect="allow", principals=("team:sre",), cooldown=5),
    Rule(name="harmless", effect="allow", principals=("user:mallory",), jobs=("harmless_*",), cooldown=0),
)
JOBS = ("etl_load_0.1", "payroll_0.1", "harmless_0.1")
EXECUTIONS = ("e-1", "e-2", "e-3")
people = st.sampled_from([ALICE, BOB, MALLORY])
#: Most of the time nothing is wrong: what cannot begin cannot go wrong either.
seldom = st.sampled_from([False, False, False, True])


class Machine(RuleBasedStateMachine):
    """One target, three execution ids that are used again and again, three people, and a sidecar that can crash."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.time = FakeTime()
        self.audit = FakeAudit(self.time)
        self.cockpit = FakeCockpit(self.audit)
        self.kills = self._sidecar()
        self.shown: list[Subject] = []
        self.orders = 0
        self.ordered: set[Subject] = set()
        self.tasks: list[tuple[asyncio.Task[Any], Principal]] = []
        self.starts = 0

    def teardown(self) -> None:
        """Let everything come to its end; then every order has its answer, and every kill its end on record."""
        if self.cockpit.hold is not None:
            self.cockpit.hold.set()
        self.audit.broken = False
        try:
            self._run(self._settled())
            assert [] == [task for task, _ in self.tasks if not task.done()], "orders without an answer"
            # The next start takes up those for whose records there was no room.
            taken_up = {entry.kill_id for entry in self.audit.lost}
            left = [unfinished for unfinished in self.audit.unfinished() if unfinished.kill_id not in taken_up]
            assert [] == left, "kills without an end"
        finally:
            self._run(self.kills.close(0))
            self._run(self._answered())
            self.loop.close()

    async def _settled(self) -> None:
        await settle()
        for _ in range(40):
            if self.audit.unfinished():
                await pass_time(self.time, 1)

    async def _answered(self) -> None:
        await asyncio.gather(*(task for task, _ in self.tasks), return_exceptions=True)

    def _sidecar(self) -> Any:
        async def make() -> Any:
            return kills(self.cockpit, self.audit, self.time, rules(self.time, *POLICY))

        return self._run(make())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(_ended(work))

    @initialize()
    def runs_begin(self) -> None:
        """There is a run of each job from the start."""
        for execution, job in zip(EXECUTIONS, JOBS, strict=True):
            self.run_begins(execution, job, waiting=False)

    @rule(execution=st.sampled_from(EXECUTIONS), job=st.sampled_from(JOBS), waiting=seldom)
    def run_begins(self, execution: str, job: str, *, waiting: bool) -> None:
        """A run begins, perhaps under an id that another one had."""
        self.starts += 1
        started = None if waiting else 1_699_000_000.0 + self.starts
        self.shown.append(self.cockpit.start(execution, started_at=started, job=job))

    @precondition(lambda self: self.cockpit.runs)
    @rule(data=st.data())
    def run_ends(self, data: st.DataObject) -> None:
        """A run ends by itself."""
        del self.cockpit.runs[data.draw(st.sampled_from(sorted(self.cockpit.runs)))]

    @rule(slow=seldom)
    def cockpit_changes(self, *, slow: bool) -> None:
        """Cockpit answers kills at once, or not until it changes again."""
        if self.cockpit.hold is not None:
            self.cockpit.hold.set()
        self.cockpit.hold = asyncio.Event() if slow else None

    @rule(unreadable=seldom)
    def list_changes(self, *, unreadable: bool) -> None:
        """The list can be read, or not."""
        self.cockpit.readable = not unreadable

    @rule(full=seldom)
    def disk_changes(self, *, full: bool) -> None:
        """The audit can be written, or not."""
        self.audit.broken = full

    @rule(
        data=st.data(),
        who=st.lists(people, min_size=1, max_size=4),
        dry_run=seldom,
        old=seldom,
        wait=st.booleans(),
        called=st.sampled_from(["", *JOBS]),
        answer=st.sampled_from(sorted(ANSWERS)),
    )
    def people_order(
        self, data: st.DataObject, who: list[Any], *, dry_run: bool, old: bool, wait: bool, called: str, answer: str
    ) -> None:
        """Some people order the end of a run, which was shown now or at some time, all at once; they may lie about its
        job, and Cockpit answers what it likes.
        """
        if not self.cockpit.runs:
            self.run_begins(EXECUTIONS[0], data.draw(st.sampled_from(JOBS)), waiting=False)
        self.cockpit.answer = answer
        listed = [Subject.of("production", run) for run in self.cockpit.runs.values()]
        subject = data.draw(st.sampled_from(self.shown if old else listed))
        claimed = replace(subject, job_name=called or subject.job_name)

        async def submit() -> None:
            for person in who:
                one = order(claimed, person, dry_run=dry_run)
                self.tasks.append((asyncio.create_task(self.kills.submit(one)), person))
            if wait:
                await settle()

        self.orders += len(who)
        if not dry_run:
            self.ordered.add(subject)
        self._run(submit())

    @precondition(lambda self: self.tasks)
    @rule()
    def client_hangs_up(self) -> None:
        """The client of the latest order goes away."""
        self.tasks[-1][0].cancel()

    @rule(seconds=st.sampled_from([0.5, 3, 6, 31]))
    def time_passes(self, seconds: float) -> None:
        """Some time passes."""
        self._run(pass_time(self.time, seconds))

    @rule()
    def sidecar_crashes(self) -> None:
        """The sidecar dies at once, and another one starts with the records that are on the disk."""
        dead, self.audit = self.audit, FakeAudit(self.time, self.audit.entries)
        dead.broken = True
        old, self.cockpit = self.cockpit, FakeCockpit(self.audit)
        self.cockpit.runs, self.cockpit.sent, self.cockpit.accepted = old.runs, old.sent, old.accepted
        self._run(self.kills.close(0))
        self.kills = self._sidecar()
        self._run(self.kills.resume(self.audit.unfinished()))

    @invariant()
    def kills_sent_were_ordered(self) -> None:
        """There are no more kills than orders, and each is of a run that was shown and ordered in earnest."""
        assert len(self.cockpit.sent) <= self.orders
        assert set(self.cockpit.sent) <= self.ordered

    @invariant()
    def every_kill_has_its_intent(self) -> None:
        """Each live intent is sent at most once, and nothing is sent without one."""
        intents = [entry.target for entry in self.audit.entries if entry.stage == "intent" and entry.mode == "live"]
        for subject in set(self.cockpit.sent):
            assert self.cockpit.sent.count(subject) <= intents.count(subject)

    @invariant()
    def nobody_kills_what_the_policy_denies(self) -> None:
        """Payroll is never killed, and Mallory kills nothing but what is harmless."""
        for entry in self.audit.entries:
            if entry.stage == "intent":
                assert entry.target is not None
                assert entry.actor is not None
                assert _may_kill(entry.actor, entry.target)
        assert not [subject for subject in self.cockpit.sent if subject.job_name.startswith("payroll_")]

    @invariant()
    def killed_means_accepted_and_gone(self) -> None:
        """Nothing is confirmed that Cockpit has not accepted, and nothing is said to be gone that is still there."""
        listed = {Subject.of("production", run) for run in self.cockpit.runs.values()}
        for entry in self.audit.entries:
            if entry.stage == "final" and entry.target is not None:
                assert entry.outcome != "confirmed" or entry.target in self.cockpit.accepted
                is_waiting = entry.target.started_at is None
                assert entry.outcome not in {"confirmed", "unknown_gone"} or is_waiting or entry.target not in listed

    @invariant()
    def records_are_in_order(self) -> None:
        """Each kill has at most one intent, one result and one end, in this order."""
        stages: dict[str, list[str]] = {}
        for entry in self.audit.entries:
            if entry.kill_id:
                stages.setdefault(entry.kill_id, []).append(entry.stage)
        for found in stages.values():
            assert found == ["intent", "result", "final"][: len(found)]

    @invariant()
    def orders_end_in_what_pages_know(self) -> None:
        """What an order ends in is a kill that its person may know of, a refusal, an unreadable list or the end."""
        for task, person in [one for one in self.tasks if one[0].done()]:
            self.tasks.remove((task, person))
            with contextlib.suppress(asyncio.CancelledError):
                error = task.exception()
                assert error is None or type(error).__name__ in {"Refused", "ConnectFailed", "Stopping"}, repr(error)
                assert error is not None or _may_kill(person, task.result().subject)


def _may_kill(person: Principal, subject: Subject) -> bool:
    """Tell what the policy above says."""
    if subject.job_name.startswith("payroll_"):
        return False
    return person != MALLORY or subject.job_name.startswith("harmless_")


async def _ended(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what comes of ``work``; what never ends is a failure at once, not when the test's time is up."""
    task = asyncio.ensure_future(work)
    for _ in range(_PATIENCE):
        if task.done():
            return task.result()
        await asyncio.sleep(0)
    task.cancel()
    raise AssertionError(f"it waits for what never comes: {task.get_stack()}")


# A history that is found is printed as it is: to make it shorter takes longer than to read it.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
Machine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None, phases=PHASES, report_multiple_bugs=False, print_blob=True
)
TestMachine = Machine.TestCase
