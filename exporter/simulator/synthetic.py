"""Any number of synthetic jobs: plain rows, of which a few are run now and then."""

from __future__ import annotations

import random

from exporter.simulator.runtime import Dumbella
from exporter.simulator.scheduler import Activity
from exporter.simulator.stacktrace import stack_trace
from exporter.simulator.workspace import duration_parameters
from exporter.simulator.world import Job, World

_VERBS = ("load", "export", "merge", "clean", "check", "enrich", "split", "archive")
_NOUNS = ("orders", "invoices", "customers", "prices", "returns", "shipments", "ledgers", "contracts")
# (type, status), and how many in a hundred jobs are like that.
_KINDS = (
    (("JOB", "ENABLED"), 86),
    (("SERVICE", "STOPPED"), 3),
    (("SERVICE", "STARTED"), 3),
    (("SERVICE", "ERROR"), 1),
    (("NONE", "DISABLED"), 4),
    (("JOB", "DELETED"), 3),
)
_HALF_A_YEAR = 180 * 86400.0
_MOST_RUNNABLE = 20


def add_synthetic_jobs(world: World, count: int, now: float) -> list[Job]:
    """Spread ``count`` jobs over the applications and return those that may be run."""
    chance = random.Random(f"{world.seed} synthetic jobs")  # noqa: S311 - repeatable on purpose, guards nothing
    codes = list(world.applications)
    kinds, weights = zip(*_KINDS, strict=True)
    jobs = []
    for number, (job_type, status) in enumerate(chance.choices(kinds, weights, k=count)):
        code = codes[number % len(codes)]
        version = chance.randrange(40)
        drifted = not chance.randrange(20)
        has_started = status in {"STARTED", "RESTARTED"}
        job = Job(
            application=code,
            id=_free_id(world, code),
            name=_name(chance, number),
            type=job_type,
            status=status,
            mode=chance.choice(("SEQUENTIAL", "SEQUENTIAL", "PARALLEL")),
            current_version=None if status == "DELETED" else version + drifted,
            published_version=None if status == "DISABLED" else version,
            last_update=None if status == "DISABLED" else now - chance.uniform(0, _HALF_A_YEAR),
            started_at=now - chance.uniform(0, 86400) if has_started else None,
            error=stack_trace(f"synthetic_{number}", number) if status == "ERROR" else None,
        )
        jobs.append(world.add_job(job))
    runnable = [job for job in jobs if (job.type, job.status) == ("JOB", "ENABLED")]
    return runnable[: min(_MOST_RUNNABLE, -(-len(runnable) // 50))]


def synthetic_activity(dumbella: Dumbella, runnable: list[Job]) -> Activity:
    """Return the activity that runs one of ``runnable`` every few seconds."""

    async def act(chance: random.Random) -> None:
        job = chance.choice(runnable)
        parameters = {**duration_parameters(chance.uniform(1, 6)), "exit_code": str(int(not chance.randrange(10)))}
        if not dumbella.world.waiting(job):
            dumbella.run(job, parameters=parameters)

    return Activity("synthetic", 3, (2, 5), act)


def _free_id(world: World, code: str) -> int:
    while (job_id := world.new_job_id()) in world.applications[code].jobs:
        pass
    return job_id


def _name(chance: random.Random, number: int) -> str:
    suffix = chance.choice(("", ".zip"))
    return f"{chance.choice(_VERBS)}_{chance.choice(_NOUNS)}_{number:05d}_0.{chance.randrange(1, 10)}{suffix}"
