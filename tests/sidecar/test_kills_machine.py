"""Whatever happens in whatever order: what the sidecar promises about kills holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.config.kill import Rule
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

#: Mallory may look, and kill what is called harmless; nobody may kill payroll.
POLICY = (
    Rule(name="never", effect="deny", principals=("team:sre", "user:mallory"), jobs=("payroll_*",)),
    Rule(name="sre", effect="allow", principals=("team:sre",), cooldown=5),
    Rule(name="harmless", effect="allow", principals=("user:mallory",), jobs=("harmless_*",), cooldown=0),
)
JOBS = ("etl_load_0.1", "payroll_0.1", "harmless_0.1")
EXECUTIONS = ("e-1", "e-2", "e-3")
people = st.sampled_from([ALICE, BOB, MALLORY])


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
        self.tasks: list[asyncio.Task[Any]] = []
        self.starts = 0

    def teardown(self) -> None:
        """Let everything come to its end; then every live kill has exactly one."""
        if self.cockpit.hold is not None:
            self.cockpit.hold.set()
        self.audit.broken = False
        self._run(pass_time(self.time, 40))
        self._run(self.kills.close(0))
        self._run(self._answered())
        self.loop.close()

    async def _answered(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _sidecar(self) -> Any:
        async def make() -> Any:
            return kills(self.cockpit, self.audit, self.time, rules(self.time, *POLICY))

        return self._run(make())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @rule(execution=st.sampled_from(EXECUTIONS), job=st.sampled_from(JOBS), waiting=st.booleans())
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

    @rule(answer=st.sampled_from(sorted(ANSWERS)), slow=st.booleans())
    def cockpit_changes(self, answer: str, *, slow: bool) -> None:
        """Cockpit answers kills in another way from now on, perhaps not at once."""
        if self.cockpit.hold is not None:
            self.cockpit.hold.set()
        self.cockpit.hold = asyncio.Event() if slow else None
        self.cockpit.answer = answer

    @rule(readable=st.booleans())
    def list_changes(self, *, readable: bool) -> None:
        """The list can be read, or not."""
        self.cockpit.readable = readable

    @rule(full=st.booleans())
    def disk_changes(self, *, full: bool) -> None:
        """The audit can be written, or not."""
        self.audit.broken = full

    @precondition(lambda self: self.shown)
    @rule(data=st.data(), who=st.lists(people, min_size=1, max_size=4), dry_run=st.booleans(), wait=st.booleans())
    def people_order(self, data: st.DataObject, who: list[Any], *, dry_run: bool, wait: bool) -> None:
        """Some people order the end of a run that was shown at some time, all at once."""
        subject = data.draw(st.sampled_from(self.shown))

        async def submit() -> None:
            for person in who:
                one = order(subject, person, dry_run=dry_run)
                self.tasks.append(asyncio.create_task(self.kills.submit(one)))
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
        self.tasks[-1].cancel()

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
        self.cockpit.runs, self.cockpit.sent = old.runs, old.sent
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
                assert not entry.target.job_name.startswith("payroll_")
                assert entry.actor != MALLORY or entry.target.job_name.startswith("harmless_")
        assert not [subject for subject in self.cockpit.sent if subject.job_name.startswith("payroll_")]

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
    def refusals_are_errors_that_pages_know(self) -> None:
        """What an order ends in is a kill, a refusal, an unreadable list or the sidecar's end."""
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            with contextlib.suppress(asyncio.CancelledError):
                error = task.exception()
                assert error is None or type(error).__name__ in {"Refused", "ConnectFailed", "Stopping"}


Machine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
