"""The way of a kill: looked at again, allowed, on record, sent once, answered, and watched until the run is gone.

There is one kill at a time per execution; whoever asks for the same one meanwhile gets that one. Everything that a kill
does happens in a task of its own: a client that goes away neither stops nor repeats it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from exporter.cockpit.errors import CockpitError
from exporter.cockpit.kill import KillAnswer
from exporter.config.units import format_duration
from exporter.logs import fields
from exporter.model import Execution, Listing
from exporter.sidecar.audit import AuditFailed, Entry, Source, Unfinished, Upstream, seconds_of
from exporter.sidecar.identity import Principal
from exporter.sidecar.limits import Limits
from exporter.sidecar.outcomes import WORDS, Outcome
from exporter.sidecar.policy import Decision, Policy
from exporter.sidecar.subject import Key, Subject, same_start
from exporter.sidecar.telemetry import KillTelemetry

log = logging.getLogger(__name__)

Mode = Literal["dry_run", "live"]

#: Seconds between two looks at whether a killed run is gone.
POLL_INTERVAL = 0.5
#: Why a run of a service job is left alone.
SERVICES_STAY = "Service jobs are stopped in Cockpit; they are never killed."
#: Ended kills that are remembered for their pages.
_REMEMBERED = 1000


class Cockpit(Protocol):
    """One target, as far as kills need it."""

    async def running(self, application: str) -> Listing[Execution]:
        """Return the executions in progress, read after this was called.

        Raises:
            CockpitError: they cannot be read.
        """

    async def services(self, application: str) -> frozenset[str]:
        """Return the ids of the service jobs, as they were listed last.

        Raises:
            CockpitError: they were never listed, and cannot be now.
        """

    async def kill(self, subject: Subject) -> KillAnswer:
        """Send the kill of an execution, once."""


class Audit(Protocol):
    """Where everything is recorded."""

    async def write(self, entry: Entry) -> None:
        """Record ``entry``; it is on the disk when this returns.

        Raises:
            AuditFailed: it is not.
        """

    def write_now(self, entry: Entry) -> None:
        """Do what ``write`` does, without waiting for anything else."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time, passed in.

    Attributes:
        wall: seconds since the epoch.
        steady: seconds that never go back.
        sleep: waits so many seconds.
    """

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Order:
    """Somebody's request to kill a run.

    Attributes:
        principal: who asks.
        source: where the request came from.
        request_id: the id of the request.
        subject: the run that was shown; its job name is not trusted.
        reason: why, in the person's own words.
        dry_run: do everything but the kill itself.
    """

    principal: Principal
    source: Source
    request_id: str
    subject: Subject
    reason: str = ""
    dry_run: bool = False


class Refused(Exception):
    """A request to kill that was not accepted.

    Args:
        outcome: what the request counts as.
        sentence: what the person is told.
        retry_after: seconds after which it may be tried again.
        reason_missing: whether a reason is all that lacks.
    """

    def __init__(
        self, outcome: Outcome, sentence: str = "", *, retry_after: float = 0.0, reason_missing: bool = False
    ) -> None:
        super().__init__(sentence or WORDS[outcome])
        self.outcome = outcome
        self.sentence = sentence or WORDS[outcome]
        self.retry_after = retry_after
        self.reason_missing = reason_missing
        self.decision: Decision | None = None


class Stopping(Exception):
    """The sidecar is about to end and takes no more kills."""


@dataclass(slots=True)
class Kill:
    """One accepted kill and what has come of it so far.

    Attributes:
        id: an id that nobody can guess.
        subject: the run, as listed when the kill was accepted.
        principal: who asked first.
        source: where that request came from.
        request_id: the id of that request.
        reason: why, in the person's own words.
        mode: whether it is sent at all.
        decision: what the policy said.
        requested_at: seconds since the epoch.
        outcome: what has come of it; ``requested`` also while it is on its way.
        detail: what Cockpit said, where that was no yes.
        ended_at: when the outcome became final; ``None`` until then.
        ended_tick: orders that arrived before this tick belong to this kill.
    """

    id: str
    subject: Subject
    principal: Principal
    source: Source
    request_id: str
    reason: str
    mode: Mode
    decision: Decision | None
    requested_at: float
    outcome: Outcome = "requested"
    detail: str = ""
    ended_at: float | None = None
    ended_tick: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about an order.

    Attributes:
        policy: who may kill what.
        limits: how often.
        mode: whether kills are sent at all.
        confirm_timeout: seconds after which a run that is still listed is ``unconfirmed``.
    """

    policy: Policy
    limits: Limits
    mode: Mode
    confirm_timeout: float


class Kills:
    """All kills of one sidecar.

    Args:
        cockpits: the targets by name.
        rules: what decides about an order.
        audit: where everything is recorded.
        telemetry: where everything is counted.
        clocks: time.
        on_confirmed: is told each confirmed kill.
    """

    def __init__(
        self,
        cockpits: Mapping[str, Cockpit],
        rules: Rules,
        audit: Audit,
        telemetry: KillTelemetry,
        *,
        clocks: Clocks | None = None,
        on_confirmed: Callable[[Kill], None] = lambda _: None,
    ) -> None:
        self._cockpits = cockpits
        self._rules = rules
        self._audit = audit
        self._telemetry = telemetry
        self._clocks = clocks or Clocks()
        self._on_confirmed = on_confirmed
        self._ticks = itertools.count()
        self._kills: dict[str, Kill] = {}
        self._latest: dict[Key, Kill] = {}
        self._locks: weakref.WeakValueDictionary[Key, asyncio.Lock] = weakref.WeakValueDictionary()
        self._orders: set[asyncio.Task[Any]] = set()
        self._watches: set[asyncio.Task[Any]] = set()
        self._stopping = False

    def get(self, kill_id: str) -> Kill | None:
        """Return a kill that is going on or ended not long ago."""
        return self._kills.get(kill_id)

    def ongoing(self, subject: Subject) -> Kill | None:
        """Return the kill of a run that has not ended yet."""
        known = self._latest.get(subject.key)
        return known if known is not None and known.ended_at is None and known.subject.is_same_run(subject) else None

    def latest(self, target: str, execution_id: str, started_at: float | None) -> Kill | None:
        """Return the latest kill of a run that is remembered, whether it goes on or has ended.

        Args:
            target: the target's name.
            execution_id: the execution's id.
            started_at: its start in seconds since the epoch, compared to the second.
        """
        for kill in reversed(self._kills.values()):
            subject = kill.subject
            is_same = (subject.target, subject.execution_id) == (target, execution_id)
            if is_same and same_start(subject.started_at, started_at):
                return kill
        return None

    async def refuse(self, order: Order, refused: Refused) -> None:
        """Count and record an order that was refused before it could be submitted."""
        self._telemetry.request(order.subject.target, refused.outcome)
        if refused.outcome != "audit_failed":
            await self._note_refusal(order, refused)

    async def submit(self, order: Order) -> Kill:
        """Kill a run, or join the kill of it that is going on.

        Returns:
            The kill, after Cockpit has answered or its answer is known to be lost.

        Raises:
            Refused: nothing was sent.
            CockpitError: running executions or jobs cannot be read, and nothing was sent.
            Stopping: the sidecar is about to end.
        """
        if self._stopping:
            raise Stopping
        arrived = next(self._ticks)
        return await asyncio.shield(self._task(self._orders, self._submit(order, arrived)))

    def _task(self, tasks: set[asyncio.Task[Any]], work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _submit(self, order: Order, arrived: int) -> Kill:
        try:
            return await self._join_or_begin(order, arrived)
        except Refused as refused:
            await self.refuse(order, refused)
            raise

    async def _join_or_begin(self, order: Order, arrived: int) -> Kill:
        key = order.subject.key
        may_view = self._rules.policy.may_view(order.principal, target=key.target, application=key.application)
        if key.target not in self._cockpits or not may_view:
            raise Refused("denied", "You may not kill anything there.")
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            known = self._same_run(order)
            is_ongoing = known is not None and (known.ended_tick is None or known.ended_tick > arrived)
            if known is not None and is_ongoing and self._is_dry(order, known.decision) == (known.mode == "dry_run"):
                return self._joined(order, known)
            cockpit = self._cockpits[key.target]
            listing, services = await asyncio.gather(
                cockpit.running(key.application), cockpit.services(key.application)
            )
            live = self._find(listing, order.subject)
            if live is None:
                if known is not None:
                    return self._joined(order, known)
                raise Refused("already_finished")
            if live.job_id in services:
                raise Refused("denied", SERVICES_STAY)
            return await self._begin(order, live)

    def _same_run(self, order: Order) -> Kill | None:
        known = self._latest.get(order.subject.key)
        return known if known is not None and known.subject.is_same_run(order.subject) else None

    def _joined(self, order: Order, known: Kill) -> Kill:
        decision = self._decide(order.principal, known.subject)
        if not decision.allowed:
            raise Refused("denied", _denial(decision))
        return known

    def _find(self, listing: Listing[Execution], shown: Subject) -> Subject | None:
        """Return the run as it is listed now, or ``None`` if it is not.

        Raises:
            Refused: another run is listed in its place.
        """
        listed = [Subject.of(shown.target, row) for row in listing.rows if row.id == shown.execution_id]
        for subject in listed:
            if subject.is_same_run(shown):
                return subject
        if listed or shown.execution_id in listing.present:
            raise Refused("stale")
        return None

    def _decide(self, principal: Principal, subject: Subject) -> Decision:
        return self._rules.policy.decide(
            principal, target=subject.target, application=subject.application, job_name=subject.job_name
        )

    def _is_dry(self, order: Order, decision: Decision | None) -> bool:
        return self._rules.mode == "dry_run" or order.dry_run or (decision is not None and decision.dry_run)

    async def _begin(self, order: Order, live: Subject) -> Kill:
        decision = self._decide(order.principal, live)
        now = self._clocks.wall()
        try:
            self._check_conditions(order, live, decision, now)
            self._check_pace(order, live, decision, now)
        except Refused as refused:
            refused.decision = decision
            raise
        kill = Kill(
            id=uuid.uuid4().hex,
            subject=live,
            principal=order.principal,
            source=order.source,
            request_id=order.request_id,
            reason=order.reason,
            mode="dry_run" if self._is_dry(order, decision) else "live",
            decision=decision,
            requested_at=now,
        )
        try:
            await self._audit.write(self._entry(kill, "intent"))
        except AuditFailed:
            raise Refused("audit_failed") from None
        self._remember(kill)
        with self._telemetry.in_flight():
            await self._carry_out(kill)
        return kill

    @staticmethod
    def _check_conditions(order: Order, live: Subject, decision: Decision, now: float) -> None:
        if not decision.allowed:
            raise Refused("denied", _denial(decision))
        if decision.require_reason and not order.reason:
            raise Refused("denied", "A reason is required.", reason_missing=True)
        if decision.min_age and (live.started_at is None or now - live.started_at < decision.min_age):
            age = format_duration(decision.min_age)
            raise Refused("denied", f"The rule {decision.rule} leaves runs alone that are younger than {age}.")

    def _check_pace(self, order: Order, live: Subject, decision: Decision, now: float) -> None:
        before = self._latest.get(live.key)
        if before is not None and before.mode == "live":
            wait = before.requested_at + decision.cooldown - now
            if wait > 0:
                raise Refused("cooldown", retry_after=wait)
        wait = self._rules.limits.kill((order.principal.provider, order.principal.id), live.target)
        if wait:
            raise Refused("rate_limited", retry_after=wait)

    def _remember(self, kill: Kill) -> None:
        self._kills[kill.id] = kill
        self._latest[kill.subject.key] = kill
        while len(self._kills) > _REMEMBERED:
            oldest = next((kill for kill in self._kills.values() if kill.ended_at is not None), None)
            if oldest is None:
                return
            del self._kills[oldest.id]
            if self._latest.get(oldest.subject.key) is oldest:
                del self._latest[oldest.subject.key]

    async def _carry_out(self, kill: Kill) -> None:
        """Send the kill and record what came of it; from here on it is never sent again."""
        if kill.mode == "dry_run":
            kill.outcome = "dry_run"
            await self._record_result(kill, None)
            self._end(kill)
            return
        begun = self._clocks.steady()
        try:
            answer = await self._cockpits[kill.subject.target].kill(kill.subject)
        except asyncio.CancelledError:
            kill.outcome = "unknown"
            with contextlib.suppress(AuditFailed):
                self._audit.write_now(self._entry(kill, "result"))
            raise
        took = round((self._clocks.steady() - begun) * 1000, 3)
        kill.detail = answer.detail
        kill.outcome = await self._outcome_of(answer, kill.subject)
        await self._record_result(kill, Upstream(answer.status, took, answer.detail))
        if kill.outcome in {"requested", "unknown"}:
            self._task(self._watches, self._watch(kill))
        else:
            self._end(kill)

    async def _outcome_of(self, answer: KillAnswer, subject: Subject) -> Outcome:
        match answer.verdict:
            case "accepted":
                return "requested"
            case "unknown":
                return "unknown"
            case "gone" if await self._is_gone(subject):
                return "already_finished"
            case _:
                return "rejected"

    async def _record_result(self, kill: Kill, upstream: Upstream | None) -> None:
        # The kill has happened: that its result is not on record changes nothing about it, and a restart will see an
        # intent without a result.
        with contextlib.suppress(AuditFailed):
            await self._audit.write(self._entry(kill, "result", upstream))

    async def _watch(self, kill: Kill) -> None:
        """Look until the run is gone or time is up."""
        begun = self._clocks.steady()
        until = begun + self._rules.confirm_timeout
        gone = await self._is_gone(kill.subject)
        while not gone and self._clocks.steady() < until:
            await self._clocks.sleep(POLL_INTERVAL)
            gone = await self._is_gone(kill.subject)
        if kill.outcome == "requested":
            kill.outcome = "confirmed" if gone else "unconfirmed"
        elif gone:
            kill.outcome = "unknown_gone"
        if gone:
            self._telemetry.confirmed(kill.subject.target, self._clocks.steady() - begun)
        with contextlib.suppress(AuditFailed):
            await self._audit.write(self._entry(kill, "final"))
        self._end(kill)
        if kill.outcome == "confirmed":
            self._on_confirmed(kill)

    async def _is_gone(self, subject: Subject) -> bool:
        """Tell whether a list that can be trusted lacks the run; one that cannot be read proves nothing."""
        cockpit = self._cockpits.get(subject.target)
        if cockpit is None:
            return False
        try:
            listing = await cockpit.running(subject.application)
        except CockpitError as error:
            log.warning("running executions not read", extra=fields(target=subject.target, error=error.detail))
            return False
        listed = {row.id for row in listing.rows} | listing.present
        return subject.execution_id not in listed and not listing.unidentified

    def _end(self, kill: Kill) -> None:
        kill.ended_at = self._clocks.wall()
        kill.ended_tick = next(self._ticks)
        kill.ended.set()
        self._telemetry.request(kill.subject.target, kill.outcome)
        log.info(
            "kill ended",
            extra=fields(
                kill_id=kill.id,
                target=kill.subject.target,
                application=kill.subject.application,
                execution_id=kill.subject.execution_id,
                outcome=kill.outcome,
                user=kill.principal.login,
            ),
        )

    def _entry(
        self, kill: Kill, stage: Literal["intent", "result", "final"], upstream: Upstream | None = None
    ) -> Entry:
        return Entry(
            stage,
            kill_id=kill.id,
            request_id=kill.request_id,
            actor=kill.principal,
            source=kill.source,
            target=kill.subject,
            reason=kill.reason,
            mode=kill.mode,
            decision=kill.decision,
            upstream=upstream,
            outcome="" if stage == "intent" else kill.outcome,
        )

    async def _note_refusal(self, order: Order, refused: Refused) -> None:
        entry = Entry(
            "denied",
            request_id=order.request_id,
            actor=order.principal,
            source=order.source,
            target=order.subject,
            reason=order.reason,
            mode=self._rules.mode,
            decision=refused.decision,
            outcome=refused.outcome,
        )
        with contextlib.suppress(AuditFailed):
            await self._audit.write(entry)

    async def resume(self, unfinished: Iterable[Unfinished]) -> None:
        """Take up the kills that an earlier process left without an end; none of them is sent again.

        Raises:
            AuditFailed: their results cannot be recorded.
        """
        for left in unfinished:
            kill = _restored(left)
            self._remember(kill)
            if kill.mode == "dry_run":
                kill.outcome = "dry_run"
            if not left.outcome:
                await self._audit.write(self._entry(kill, "result"))
            if kill.mode == "dry_run":
                self._end(kill)
            else:
                self._task(self._watches, self._watch(kill))

    async def close(self, drain: float) -> None:
        """Take no more orders, give those on their way ``drain`` seconds, and stop watching.

        What has no end on record by then is taken up by :meth:`resume` at the next start.
        """
        self._stopping = True
        if self._orders:
            await asyncio.wait(self._orders, timeout=drain)
        left = [*self._orders, *self._watches]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _denial(decision: Decision) -> str:
    if decision.rule:
        return f"The rule {decision.rule} denies it."
    return "No rule of the policy allows you to kill this job."


def _restored(left: Unfinished) -> Kill:
    intent = left.intent
    target, actor, source = intent["target"], intent["actor"], intent["source"] or {}
    started_at = target["started_at"]
    return Kill(
        id=left.kill_id,
        subject=Subject(
            target=target["name"],
            application=target["application"],
            execution_id=target["execution_id"],
            job_id=target["job_id"],
            job_name=target["job_name"],
            started_at=None if started_at is None else seconds_of(started_at),
        ),
        principal=Principal(
            provider=actor["provider"],
            id=actor["id"],
            login=actor["login"],
            role=actor["role"],
            teams=tuple(actor["teams"]),
        ),
        source=Source(**source),
        request_id=intent["request_id"],
        reason=intent["reason"],
        mode=intent["mode"],
        decision=None,
        requested_at=seconds_of(intent["ts"]),
        outcome="requested" if left.outcome == "requested" else "unknown",
    )
