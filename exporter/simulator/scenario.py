"""The default content: two applications whose jobs cover every type, status and oddity, and what happens to them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence

from exporter.simulator.runtime import Dumbella, NotFound
from exporter.simulator.scheduler import Activity
from exporter.simulator.stacktrace import stack_trace
from exporter.simulator.workspace import duration_parameters
from exporter.simulator.world import Behaviour, Job, World

SALES = "K7SALES"
STOCK = "M2STOCK"

_HOUR = 3600.0
_DAY = 24 * _HOUR


def populate(world: World, now: float) -> None:
    """Add the two applications and their jobs; nothing runs yet."""
    world.add_application(SALES, "Sales")
    world.add_application(STOCK, "Stock")
    sales, stock = _sales(now), _stock(now)
    for job in [*sales, *stock]:
        job.id = world.new_job_id()
    # The key of a job is its id together with its application: the same id in both is no mistake.
    stock[0].id = sales[0].id
    for job in [*sales, *stock]:
        world.add_job(job)


def _sales(now: float) -> list[Job]:
    return [
        Job(SALES, 0, "load_orders_0.1.zip", current_version=7, published_version=7, last_update=now - 3 * _DAY),
        Job(
            SALES,
            0,
            "refresh_prices_1.0",
            current_version=12,
            published_version=12,
            last_update=now - 9 * _DAY,
            behaviour=Behaviour(duration=3, exit_code=1),
        ),
        Job(
            SALES,
            0,
            "nightly_close_0.3",
            current_version=4,
            published_version=4,
            last_update=now - 40 * _DAY,
            behaviour=Behaviour(duration=8),
        ),
        Job(
            SALES,
            0,
            "sync_customers_2.1.zip",
            mode="PARALLEL",
            current_version=31,
            published_version=31,
            last_update=now - 5 * _HOUR,
            behaviour=Behaviour(duration=12),
        ),
        Job(
            SALES,
            0,
            "import_leads_0.1.zip",
            status="DELETED",
            current_version=None,
            published_version=3,
            last_update=now - 90 * _DAY,
        ),
        Job(SALES, 0, "import_leads_0.1", current_version=0, published_version=0, last_update=now - 12 * _DAY),
        Job(
            SALES,
            0,
            "order_events_0.2",
            type="SERVICE",
            status="STOPPED",
            mode="PARALLEL",
            current_version=5,
            published_version=5,
            last_update=now - 2 * _DAY,
        ),
        Job(SALES, 0, "draft_forecast_0.1", type="NONE", status="DISABLED", current_version=2, published_version=None),
    ]


def _stock(now: float) -> list[Job]:
    return [
        Job(
            STOCK,
            0,
            "count_stock_0.4",
            mode="PARALLEL",
            current_version=9,
            published_version=8,
            last_update=now - 20 * _DAY,
            behaviour=Behaviour(duration=150, child=True),
        ),
        Job(
            STOCK,
            0,
            "rebuild_index_0.9",
            current_version=2,
            published_version=2,
            last_update=now - 33 * _DAY,
            behaviour=Behaviour(duration=120, ignore_term=True),
        ),
        Job(
            STOCK,
            0,
            'Größen "Übersee"_0.1.zip',
            current_version=1,
            published_version=1,
            last_update=now - 8 * _DAY,
            behaviour=Behaviour(duration=4),
        ),
        Job(
            STOCK,
            0,
            "archive_invoices_0.1",
            status="ERROR",
            current_version=6,
            published_version=6,
            last_update=now - 15 * _DAY,
            error=stack_trace("archive_invoices", 0),
        ),
        Job(
            STOCK,
            0,
            "reserve_stock_1.1.zip",
            type="SERVICE",
            status="ERROR",
            current_version=14,
            published_version=14,
            last_update=now - 7 * _HOUR,
            error=stack_trace("reserve_stock", 0, 6000),
        ),
        Job(
            STOCK,
            0,
            "stock_feed_0.1",
            type="SERVICE",
            status="STOPPED",
            current_version=3,
            published_version=2,
            last_update=now - 60 * _DAY,
        ),
        Job(
            STOCK,
            0,
            "shelf_sensor_1.0",
            type="SERVICE",
            status="STOPPED",
            mode="PARALLEL",
            current_version=1,
            published_version=1,
            last_update=now - 4 * _DAY,
        ),
    ]


def open_services(dumbella: Dumbella) -> None:
    """Start the services that run from the beginning, one of them taken over from a crash long ago."""
    events = _job(dumbella.world, SALES, "order_events_0.2")
    sensor = _job(dumbella.world, STOCK, "shelf_sensor_1.0")
    for service in (events, sensor):
        dumbella.start_service(service)
    sensor.status = "RESTARTED"
    dumbella.world.touch(sensor)


def activities(dumbella: Dumbella) -> Sequence[Activity]:
    """Return what happens to the default jobs; something of each kind within the first half minute."""
    world = dumbella.world
    return [
        Activity("short", 1, (3, 6), _run(dumbella, SALES, "load_orders_0.1", lambda chance: chance.uniform(1, 4))),
        Activity(
            "failing",
            3,
            (15, 25),
            _run(
                dumbella, SALES, "refresh_prices_1.0", lambda chance: chance.uniform(2, 4), exit_code=_mostly_failing()
            ),
        ),
        Activity("hung", 2, (6, 15), _run(dumbella, SALES, "nightly_close_0.3", _hanging(), most_waiting=3)),
        Activity(
            "overlapping",
            2,
            (4, 9),
            _run(dumbella, SALES, "sync_customers_2.1", lambda chance: chance.uniform(8, 25), exit_code=lambda _: 0),
        ),
        Activity("long", 4, (70, 140), _run(dumbella, STOCK, "count_stock_0.4", lambda c: c.uniform(120, 300))),
        Activity("stubborn", 8, (180, 300), _run(dumbella, STOCK, "rebuild_index_0.9", lambda c: c.uniform(60, 150))),
        Activity(
            "umlauts",
            5,
            (20, 40),
            _run(dumbella, STOCK, 'Größen "Übersee"_0.1', lambda chance: chance.uniform(3, 7)),
        ),
        Activity("crash", 25, (150, 300), _crash(dumbella, SALES, "order_events_0.2")),
        Activity("operator", 75, (150, 300), _restart(dumbella, SALES, "order_events_0.2")),
        Activity("repair", 20, (90, 150), _start(dumbella, STOCK, "reserve_stock_1.1")),
        Activity("relapse", 45, (90, 150), _fail(dumbella, STOCK, "reserve_stock_1.1")),
        Activity("versions", 8, (40, 80), _publish_or_upload(dumbella, _job(world, STOCK, "count_stock_0.4"))),
    ]


_Act = Callable[[random.Random], Awaitable[None]]


def _run(
    dumbella: Dumbella,
    application: str,
    name: str,
    duration: Callable[[random.Random], float | None],
    *,
    exit_code: Callable[[random.Random], int] = lambda chance: int(not chance.randrange(30)),
    most_waiting: int = 5,
) -> _Act:
    async def act(chance: random.Random) -> None:
        # Drawn before anything else, so that what happens to the job does not shift what comes later.
        parameters = {**duration_parameters(duration(chance)), "exit_code": str(exit_code(chance))}
        job = dumbella.world.applications[application].find(name)
        if job is not None and len(dumbella.world.waiting(job)) < most_waiting:
            dumbella.run(job, "Production", parameters)

    return act


def _mostly_failing() -> Callable[[random.Random], int]:
    """Fail at first, so that a failure is seen soon, and then twice in three times."""
    count = itertools.count()
    return lambda chance: chance.choice((0, 1, 3)) if next(count) else 1


def _hanging() -> Callable[[random.Random], float | None]:
    """Hang at first, and then once in four times."""
    count = itertools.count()
    return lambda chance: None if (not next(count)) | (not chance.randrange(4)) else chance.uniform(5, 10)


def _crash(dumbella: Dumbella, application: str, name: str) -> _Act:
    async def act(_: random.Random) -> None:
        dumbella.crash_service(_job(dumbella.world, application, name))

    return act


def _restart(dumbella: Dumbella, application: str, name: str) -> _Act:
    async def act(_: random.Random) -> None:
        job = _job(dumbella.world, application, name)
        if job.status == "RESTARTED":
            await dumbella.stop_service(job)
            dumbella.start_service(job)

    return act


def _start(dumbella: Dumbella, application: str, name: str) -> _Act:
    async def act(_: random.Random) -> None:
        dumbella.start_service(_job(dumbella.world, application, name))

    return act


def _fail(dumbella: Dumbella, application: str, name: str) -> _Act:
    async def act(_: random.Random) -> None:
        await dumbella.fail_service(_job(dumbella.world, application, name))

    return act


def _publish_or_upload(dumbella: Dumbella, job: Job) -> _Act:
    async def act(_: random.Random) -> None:
        if job.current_version == job.published_version:
            job.current_version = (job.current_version or 0) + 1
            dumbella.world.touch(job)
        else:
            dumbella.publish(job)

    return act


def _job(world: World, application: str, name: str) -> Job:
    job = world.applications[application].find(name)
    if job is None:
        raise NotFound(f"the scenario's job {name} has been removed from {application}")
    return job
