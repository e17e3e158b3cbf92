"""The way of a kill, in memory: every answer that Cockpit can give, and everybody who asks at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from exporter.cockpit.errors import CockpitError
from exporter.config.kill import Rule
from exporter.sidecar.kills import Kill, Kills, Refused, Rules, Stopping
from exporter.sidecar.subject import Subject
from tests.sidecar.fakes import (
    ALICE,
    BOB,
    MALLORY,
    FakeAudit,
    FakeCockpit,
    FakeTime,
    kills,
    order,
    outcomes,
    pass_time,
    rules,
    settle,
)

Result = TypeVar("Result")

#: What an order is that Cockpit has accepted, depending on how quickly the list follows.
ACCEPTED = frozenset({"requested", "confirmed"})


@dataclass
class World:
    """Everything around one ``Kills``."""

    time: FakeTime
    audit: FakeAudit
    cockpit: FakeCockpit
    kills: Kills
    run: Subject

    async def refused(self, subject: Subject | None = None, **options: object) -> Refused:
        """Submit an order that is refused and return the refusal."""
        with pytest.raises(Refused) as caught:
            await self.kills.submit(order(subject or self.run, **options))  # type: ignore[arg-type] # passed through
        return caught.value

    async def killed(self, answer: str, seconds: float = 31) -> Kill:
        """Kill the run while Cockpit answers in some way, and let time pass."""
        self.cockpit.answer = answer
        kill = await self.kills.submit(order(self.run))
        await pass_time(self.time, seconds)
        return kill


def play(scene: Callable[[World], Awaitable[Result]], rules_of: Callable[[FakeTime], Rules] = rules) -> Result:
    """Run a scene on an event loop of its own, with one run on the list."""

    async def run() -> Result:
        time = FakeTime()
        audit = FakeAudit(time)
        cockpit = FakeCockpit(audit)
        subject = cockpit.start("e-1")
        return await scene(World(time, audit, cockpit, kills(cockpit, audit, time, rules_of(time)), subject))

    return asyncio.run(run())


class TestAnswers:
    """What Cockpit answers, and what it is called."""

    @pytest.mark.parametrize(
        ("answer", "records"),
        [
            ("accepted", ["", "requested", "confirmed"]),
            ("ignored", ["", "requested", "unconfirmed"]),
            ("lost", ["", "unknown", "unknown_gone"]),
            ("error", ["", "unknown", "unknown"]),
            ("gone", ["", "already_finished"]),
            ("not_found", ["", "rejected"]),
            ("rejected", ["", "rejected"]),
        ],
    )
    def test_answer_has_its_word(self, answer: str, records: list[str]) -> None:
        """Each answer has one word at first and one in the end, and both are on record."""

        async def scene(world: World) -> None:
            kill = await world.killed(answer)
            assert (records[-1], True) == (kill.outcome, kill.ended_at is not None)
            assert records == [outcome for _, outcome in world.audit.stages()]
            assert [world.run] == world.cockpit.sent

        play(scene)

    def test_unreadable_list_confirms_nothing(self) -> None:
        """While the list cannot be read, a kill is neither confirmed nor given up before its time."""

        async def scene(world: World) -> list[str]:
            world.cockpit.answer = "breaking"
            kill = await world.kills.submit(order(world.run))
            await pass_time(world.time, 20)
            found = [kill.outcome]
            world.cockpit.readable = True
            await pass_time(world.time, 1)
            return [*found, kill.outcome]

        assert ["requested", "confirmed"] == play(scene)

    def test_waiting_run_that_begins_is_still_there(self) -> None:
        """A run without a start that has one after the kill is not gone."""

        async def scene(world: World) -> str:
            waiting = world.cockpit.start("e-2", started_at=None)
            world.cockpit.answer = "ignored"
            kill = await world.kills.submit(order(waiting))
            world.cockpit.start("e-2", started_at=world.time.now)
            await pass_time(world.time, 31)
            return kill.outcome

        assert "unconfirmed" == play(scene)


class TestRefusals:
    """Orders that send nothing."""

    def test_gone_run_has_already_finished(self) -> None:
        """A run that is no longer listed is not killed."""

        async def scene(world: World) -> None:
            world.cockpit.runs.clear()
            assert "already_finished" == (await world.refused()).outcome
            assert ([("denied", "already_finished")], []) == (world.audit.stages(), world.cockpit.sent)

        play(scene)

    @pytest.mark.parametrize("change", [{"started_at": 1_699_999_001.0}, {"started_at": None}, {"job_id": "1"}])
    def test_other_run_is_stale(self, change: dict[str, float | str | None]) -> None:
        """An id that now belongs to a run with another start or job is not killed."""

        async def scene(world: World) -> None:
            refused = await world.refused(replace(world.run, **change))  # type: ignore[arg-type] # fields of Subject
            assert ("stale", []) == (refused.outcome, world.cockpit.sent)

        play(scene)

    def test_policy_is_asked_about_the_live_name(self) -> None:
        """Whoever sends another job's name does not get that job's rule."""

        async def scene(world: World) -> None:
            secret = world.cockpit.start("e-2", job="payroll_0.1")
            refused = await world.refused(replace(secret, job_name="etl_load_0.1"))
            assert ("denied", []) == (refused.outcome, world.cockpit.sent)

        etl = Rule(name="etl", effect="allow", principals=("team:sre",), jobs=("etl_*",))
        play(scene, lambda time: rules(time, etl))

    def test_stranger_learns_nothing(self) -> None:
        """Somebody whom no rule names is denied before Cockpit is asked."""

        async def scene(world: World) -> None:
            world.cockpit.readable = False
            assert "denied" == (await world.refused(principal=MALLORY)).outcome
            assert "denied" == (await world.refused(replace(world.run, target="nowhere"))).outcome

        play(scene)

    def test_run_of_a_service_is_left_alone(self) -> None:
        """A job that turned out to be a service after the page was shown is not killed, whatever the policy says."""

        async def scene(world: World) -> None:
            world.cockpit.services_listed = frozenset({world.run.job_id})
            refused = await world.refused()
            assert ("denied", []) == (refused.outcome, world.cockpit.sent)
            assert [("denied", "denied")] == world.audit.stages()

        play(scene)

    def test_young_run_is_left_alone(self) -> None:
        """A rule's least age holds, and a run without a start is of no age."""

        async def scene(world: World) -> None:
            young = world.cockpit.start("e-2", started_at=world.time.now - 59)
            waiting = world.cockpit.start("e-3", started_at=None)
            for subject in (young, waiting):
                refused = await world.refused(subject)
                assert ("denied", "The rule old leaves runs alone that are younger than 1m.") == (
                    refused.outcome,
                    refused.sentence,
                )
            world.time.advance(1)
            assert (await world.kills.submit(order(young))).outcome in ACCEPTED

        old = Rule(name="old", effect="allow", principals=("team:sre",), min_age=60)
        play(scene, lambda time: rules(time, old))

    def test_reason_may_be_required(self) -> None:
        """A rule can demand a reason."""

        async def scene(world: World) -> None:
            refused = await world.refused()
            assert ("A reason is required.", True) == (refused.sentence, refused.reason_missing)
            assert (await world.kills.submit(order(world.run, reason="hangs"))).outcome in ACCEPTED

        strict = Rule(name="strict", effect="allow", principals=("team:sre",), require_reason=True)
        play(scene, lambda time: rules(time, strict))

    def test_cooldown_is_per_execution(self) -> None:
        """A run that was just killed in vain is left alone for a while, another one is not."""

        async def scene(world: World) -> None:
            other = world.cockpit.start("e-2")
            await world.killed("rejected", 10)
            refused = await world.refused()
            assert ("cooldown", 20) == (refused.outcome, round(refused.retry_after))
            assert "rejected" == (await world.kills.submit(order(other))).outcome
            world.time.advance(20)
            assert "rejected" == (await world.kills.submit(order(world.run))).outcome

        play(scene)

    def test_limits_hold(self) -> None:
        """A user's kills are limited, refusals do not count."""

        async def scene(world: World) -> None:
            for number in range(3):
                world.cockpit.start(f"n-{number}")
            runs = [Subject.of("production", run) for run in world.cockpit.runs.values()]
            await world.refused(replace(world.run, started_at=None))
            got = [(await world.kills.submit(order(run))).outcome for run in runs[:2]]
            assert set(got) <= ACCEPTED
            refused = await world.refused(runs[2])
            assert ("rate_limited", 600) == (refused.outcome, round(refused.retry_after))
            assert (await world.kills.submit(order(runs[3], BOB))).outcome in ACCEPTED

        play(scene, lambda time: rules(time, kills_per_user_10m=2))

    def test_without_a_record_nothing_is_sent(self) -> None:
        """A full disk keeps kills from being sent, and nothing else."""

        async def scene(world: World) -> None:
            world.audit.broken = True
            assert ("audit_failed", []) == ((await world.refused()).outcome, world.cockpit.sent)
            world.audit.broken = False
            assert (await world.kills.submit(order(world.run))).outcome in ACCEPTED

        play(scene)

    def test_unreadable_list_sends_nothing(self) -> None:
        """A run that cannot be looked at again is not killed."""

        async def scene(world: World) -> None:
            world.cockpit.readable = False
            with pytest.raises(CockpitError):
                await world.kills.submit(order(world.run))
            assert ([], []) == (world.cockpit.sent, world.audit.stages())

        play(scene)


class TestDryRun:
    """Everything but the kill itself."""

    @pytest.mark.parametrize("how", ["mode", "rule", "order"])
    def test_dry_run_sends_nothing(self, how: str) -> None:
        """The mode, a rule and the order itself can each make it a dry run, which is on record."""

        async def scene(world: World) -> None:
            kill = await world.kills.submit(order(world.run, dry_run=how == "order"))
            assert ("dry_run", [], "dry_run") == (kill.outcome, world.cockpit.sent, kill.mode)
            assert [("intent", ""), ("result", "dry_run")] == world.audit.stages()

        rule = Rule(name="sre", effect="allow", principals=("team:sre",), dry_run=how == "rule")
        play(scene, lambda time: rules(time, rule, mode="dry_run" if how == "mode" else "live"))

    def test_dry_run_keeps_nobody_from_a_kill(self) -> None:
        """After a dry run the run can be killed at once."""

        async def scene(world: World) -> str:
            await world.kills.submit(order(world.run, dry_run=True))
            return (await world.kills.submit(order(world.run))).outcome

        assert play(scene) in ACCEPTED


class TestTogether:
    """Several orders at once."""

    def test_double_click_is_one_kill(self) -> None:
        """Two orders of the same person at the same time share a kill."""

        async def scene(world: World) -> None:
            first, second = await asyncio.gather(*(world.kills.submit(order(world.run)) for _ in range(2)))
            assert (True, [world.run]) == (first is second, world.cockpit.sent)

        play(scene)

    @pytest.mark.parametrize("answer", ["accepted", "ignored", "rejected", "gone", "error", "lost"])
    def test_many_orders_of_many_people_are_one_kill_each(self, answer: str) -> None:
        """50 orders for 10 runs send 10 kills, whatever comes of them, and everybody gets theirs."""

        async def scene(world: World) -> None:
            world.cockpit.answer = answer
            runs = [world.cockpit.start(f"n-{number}") for number in range(10)]
            orders = [order(run, who) for who in (ALICE, BOB, ALICE, BOB, ALICE) for run in runs]
            got = await asyncio.gather(*(world.kills.submit(one) for one in orders))
            assert sorted(runs, key=str) == sorted(world.cockpit.sent, key=str)
            assert [one.subject for one in orders] == [kill.subject for kill in got]
            assert 10 == len({kill.id for kill in got})

        play(scene)

    def test_late_order_joins_what_is_going_on(self) -> None:
        """An order for a run whose kill has not ended yet gets that kill, not a refusal."""

        async def scene(world: World) -> None:
            world.cockpit.answer = "ignored"
            first = await world.kills.submit(order(world.run))
            await pass_time(world.time, 10)
            assert first is await world.kills.submit(order(world.run, BOB))
            assert first is world.kills.ongoing(world.run) is world.kills.get(first.id)

        play(scene)

    def test_order_after_the_end_gets_the_kill(self) -> None:
        """Whoever sends the same form again after the run is gone sees what became of it."""

        async def scene(world: World) -> None:
            first = await world.killed("accepted", 1)
            assert ("confirmed", True) == (first.outcome, first is await world.kills.submit(order(world.run)))

        play(scene)

    def test_stranger_does_not_join(self) -> None:
        """Somebody whom the policy denies the job does not get its kill."""

        async def scene(world: World) -> None:
            world.cockpit.answer = "ignored"
            await world.kills.submit(order(world.run))
            assert "denied" == (await world.refused(principal=MALLORY)).outcome

        other = Rule(name="other", effect="allow", principals=("user:mallory",), jobs=("other_*",))
        sre = Rule(name="sre", effect="allow", principals=("team:sre",))
        play(scene, lambda time: rules(time, other, sre))

    def test_refused_leader_takes_nobody_along(self) -> None:
        """Of two orders at once, the one that is denied does not keep the other from its kill."""

        async def scene(world: World) -> list[str]:
            orders = (order(world.run, who) for who in (MALLORY, ALICE))
            got = await asyncio.gather(*(world.kills.submit(one) for one in orders), return_exceptions=True)
            return outcomes(got)

        deny = Rule(name="deny", effect="deny", principals=("user:mallory",), jobs=("etl_*",))
        may_look = Rule(name="look", effect="allow", principals=("user:mallory",))
        sre = Rule(name="sre", effect="allow", principals=("team:sre",))
        assert ["denied", "confirmed"] == play(scene, lambda time: rules(time, deny, may_look, sre))


class TestEnd:
    """A client that goes away, a sidecar that ends, and the next one."""

    def test_client_that_goes_away_stops_nothing(self) -> None:
        """A kill whose client has hung up is carried out and recorded."""

        async def scene(world: World) -> list[tuple[str, str]]:
            world.cockpit.hold = asyncio.Event()
            task = asyncio.create_task(world.kills.submit(order(world.run)))
            await settle()
            task.cancel()
            await settle()
            world.cockpit.hold.set()
            await pass_time(world.time, 1)
            return world.audit.stages()

        assert [("intent", ""), ("result", "requested"), ("final", "confirmed")] == play(scene)

    def test_end_waits_for_answers(self) -> None:
        """A sidecar that is to end waits for the answer to what it has sent, and takes nothing new."""

        async def scene(world: World) -> None:
            world.cockpit.hold = asyncio.Event()
            task = asyncio.create_task(world.kills.submit(order(world.run)))
            await settle()
            closing = asyncio.create_task(world.kills.close(60))
            await settle()
            with pytest.raises(Stopping):
                await world.kills.submit(order(world.run))
            assert not closing.done()
            world.cockpit.hold.set()
            await closing
            assert (await task).outcome in ACCEPTED

        play(scene)

    def test_answer_that_does_not_come_in_time_is_unknown(self) -> None:
        """What is still on its way when time is up is recorded as unknown."""

        async def scene(world: World) -> list[tuple[str, str]]:
            world.cockpit.hold = asyncio.Event()
            task = asyncio.create_task(world.kills.submit(order(world.run)))
            await settle()
            await world.kills.close(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            return world.audit.stages()

        assert [("intent", ""), ("result", "unknown")] == play(scene)

    @pytest.mark.parametrize(
        ("records", "still_there", "outcome"),
        [
            (1, True, "unknown"),
            (1, False, "unknown_gone"),
            (2, True, "unconfirmed"),
            (2, False, "confirmed"),
        ],
    )
    def test_next_sidecar_takes_up_what_was_left(self, records: int, still_there: bool, outcome: str) -> None:
        """After a crash, a kill without a result is unknown, one without an end is watched, and none is sent again."""

        async def scene(world: World) -> None:
            world.cockpit.answer = "ignored" if still_there else "accepted"
            kill = await world.kills.submit(order(world.run))
            audit = FakeAudit(world.time, world.audit.entries[:records])
            cockpit = FakeCockpit(audit)
            cockpit.runs = world.cockpit.runs
            again = kills(cockpit, audit, world.time)
            await again.resume(audit.unfinished())
            await pass_time(world.time, 31)
            found = again.get(kill.id)
            assert found is not None
            assert (outcome, [], ("final", outcome)) == (found.outcome, cockpit.sent, audit.stages()[-1])
            assert (kill.subject, kill.principal, kill.reason) == (found.subject, found.principal, found.reason)
            assert [] == audit.unfinished()

        play(scene)

    def test_dry_run_without_a_result_was_one(self) -> None:
        """A dry run that a crash interrupted is not unknown: nothing was to be sent."""

        async def scene(world: World) -> list[tuple[str, str]]:
            await world.kills.submit(order(world.run, dry_run=True))
            audit = FakeAudit(world.time, world.audit.entries[:1])
            await kills(FakeCockpit(audit), audit, world.time).resume(audit.unfinished())
            return audit.stages()

        assert [("intent", ""), ("result", "dry_run")] == play(scene)
