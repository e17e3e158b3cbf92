"""A Cockpit, an audit and a clock in memory, for kills that go nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from exporter.cockpit.errors import ConnectFailed
from exporter.cockpit.kill import KillAnswer
from exporter.config.kill import KillLimits, Rule, View
from exporter.model import Execution, Listing
from exporter.sidecar.audit import AuditFailed, Entry, Source, Unfinished, moment
from exporter.sidecar.identity import Principal
from exporter.sidecar.kills import Clocks, Kills, Mode, Order, Rules
from exporter.sidecar.limits import Limits
from exporter.sidecar.policy import Policy
from exporter.sidecar.subject import Subject
from exporter.sidecar.telemetry import KillTelemetry

ALICE = Principal("grafana", "7", "alice", teams=("sre",))
BOB = Principal("grafana", "8", "bob", teams=("sre",))
MALLORY = Principal("grafana", "9", "mallory")

#: Everything that happens at once has happened after so many turns of the event loop.
_TURNS = 60
#: Whoever slept has looked at the list and sleeps again after so many.
_TURNS_OF_A_LOOK = 12


#: What Cockpit answers to a kill, by what really happens.
ANSWERS = {
    "accepted": KillAnswer("accepted", 200),
    "breaking": KillAnswer("accepted", 200),
    "ignored": KillAnswer("accepted", 200),
    "lost": KillAnswer("unknown", None, "the connection broke"),
    "error": KillAnswer("unknown", 500, "answered 500"),
    "gone": KillAnswer("gone", 404, "answered 404"),
    "not_found": KillAnswer("gone", 404, "answered 404"),
    "rejected": KillAnswer("rejected", 403, "answered 403"),
}


class FakeTime:
    """Clocks that tests move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []
        self.clocks = Clocks(lambda: self.now, lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.now + seconds, future))
        await future

    def advance(self, seconds: float) -> None:
        """Move on, and wake whoever has slept enough."""
        self.now += seconds
        awake = [future for until, future in self._sleeping if until <= self.now]
        self._sleeping = [(until, future) for until, future in self._sleeping if until > self.now]
        for future in awake:
            if not future.done():
                future.set_result(None)


class FakeAudit:
    """Records in memory, and fails when it is told to."""

    def __init__(self, time: FakeTime, entries: Iterable[Entry] = ()) -> None:
        self._time = time
        self.entries = list(entries)
        self.broken = False
        self.lost: list[Entry] = []

    async def write(self, entry: Entry) -> None:
        """Record after a moment, as a disk does."""
        await asyncio.sleep(0)
        self.write_now(entry)

    def write_now(self, entry: Entry) -> None:
        """Record at once."""
        if self.broken:
            self.lost.append(entry)
            raise AuditFailed("the disk is full")
        self.entries.append(entry)

    def stages(self) -> list[tuple[str, str]]:
        """Return stage and outcome of every record."""
        return [(entry.stage, entry.outcome) for entry in self.entries]

    def unfinished(self) -> list[Unfinished]:
        """Return the kills without an end, as the file would tell."""
        found: dict[str, Unfinished] = {}
        for entry in self.entries:
            if entry.stage == "intent":
                found[entry.kill_id] = Unfinished(entry.kill_id, self._as_written(entry))
            elif entry.stage == "result" and entry.outcome in {"requested", "unknown"}:
                found[entry.kill_id].outcome = entry.outcome
            elif entry.stage in {"result", "final"}:
                found.pop(entry.kill_id, None)
        return [*found.values()]

    def _as_written(self, entry: Entry) -> dict[str, Any]:
        subject, actor = entry.target, entry.actor
        assert subject is not None
        assert actor is not None
        return {
            "ts": moment(self._time.now),
            "request_id": entry.request_id,
            "reason": entry.reason,
            "mode": entry.mode,
            "source": None,
            "actor": {
                "id": actor.id,
                "login": actor.login,
                "provider": actor.provider,
                "role": actor.role,
                "teams": [*actor.teams],
            },
            "target": {
                "name": subject.target,
                "application": subject.application,
                "execution_id": subject.execution_id,
                "job_id": subject.job_id,
                "job_name": subject.job_name,
                "started_at": None if subject.started_at is None else moment(subject.started_at),
            },
        }


class FakeCockpit:
    """A list of runs, and a way to answer kills."""

    def __init__(self, audit: FakeAudit) -> None:
        self.audit = audit
        self.runs: dict[str, Execution] = {}
        self.answer = "accepted"
        self.readable = True
        self.services_listed: frozenset[str] = frozenset()
        self.sent: list[Subject] = []
        self.accepted: set[Subject] = set()
        self.under_way: list[str] = []
        self.hold: asyncio.Event | None = None

    def start(
        self, execution_id: str, *, started_at: float | None = 1_699_999_000.0, job: str = "etl_load_0.1"
    ) -> Subject:
        """Begin a run and return it; a job's id follows from its name."""
        job_id = str(4711 + sum(job.encode()))
        self.runs[execution_id] = Execution("K7SALES", execution_id, job_id, job, started_at)
        return Subject.of("production", self.runs[execution_id])

    async def running(self, application: str) -> Listing[Execution]:
        """List the runs."""
        await asyncio.sleep(0)
        if not self.readable:
            raise ConnectFailed("refused")
        rows = tuple(run for run in self.runs.values() if run.application == application)
        return Listing(rows, len(rows))

    async def services(self, _: str) -> frozenset[str]:
        """Return the ids of the service jobs."""
        return self.services_listed

    async def kill(self, subject: Subject) -> KillAnswer:
        """Kill a run the way ``answer`` says; every kill must have its own intent on record."""
        intents = [entry for entry in self.audit.entries if entry.stage == "intent" and entry.mode == "live"]
        self.sent.append(subject)
        assert len([entry for entry in intents if entry.target == subject]) >= self.sent.count(subject)
        assert subject.execution_id not in self.under_way
        self.under_way.append(subject.execution_id)
        try:
            if self.hold is not None:
                await self.hold.wait()
            await asyncio.sleep(0)
            return self._answer(subject)
        finally:
            self.under_way.remove(subject.execution_id)

    def _answer(self, subject: Subject) -> KillAnswer:
        ends = {"accepted", "breaking", "lost", "gone"}
        if self.answer in ends:
            self.runs.pop(subject.execution_id, None)
        if self.answer == "breaking":
            self.readable = False
        if ANSWERS[self.answer].verdict == "accepted":
            self.accepted.add(subject)
        return ANSWERS[self.answer]


def rules(time: FakeTime, *policy: Rule, mode: Mode = "live", **limits: int) -> Rules:
    """Return rules that let the team sre kill everything, unless ``policy`` says otherwise."""
    usual = (Rule(name="sre", effect="allow", principals=("team:sre",)),)
    wide = {"kills_per_user_10m": 1000, "kills_per_target_10m": 1000, "kills_per_hour": 1000}
    return Rules(
        Policy(policy or usual, View()),
        Limits(KillLimits(**{**wide, **limits}), time.clocks.steady),
        mode,
        30.0,
    )


def kills(cockpit: FakeCockpit, audit: FakeAudit, time: FakeTime, rules_: Rules | None = None) -> Kills:
    """Return the kills of one target called production."""
    telemetry = KillTelemetry("http://localhost", ["production"], ["grafana"], dry_run=False)
    return Kills({"production": cockpit}, rules_ or rules(time), audit, telemetry, clocks=time.clocks)


def order(subject: Subject, principal: Principal = ALICE, *, reason: str = "", dry_run: bool = False) -> Order:
    """Return an order to kill ``subject``."""
    return Order(principal, Source(), "r", subject, reason, dry_run)


async def settle(turns: int = _TURNS) -> None:
    """Let everything happen that needs no time."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def pass_time(time: FakeTime, seconds: float) -> None:
    """Let time pass in steps that nobody sleeps through."""
    for _ in range(int(seconds * 2)):
        time.advance(0.5)
        await settle(_TURNS_OF_A_LOOK)
    await settle()


def outcomes(results: Sequence[object]) -> list[str]:
    """Return what came of gathered orders: outcomes of kills, and of refusals."""
    return [getattr(result, "outcome", type(result).__name__) for result in results]
