"""A simulated installation as a whole: put together, and taken away again without leaving anything behind."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from exporter.server import ListenAddress
from exporter.simulator.api import Api
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.runtime import Dumbella
from exporter.simulator.scenario import activities, open_services, populate
from exporter.simulator.scheduler import Scheduler
from exporter.simulator.synthetic import add_synthetic_jobs, synthetic_activity
from exporter.simulator.workspace import Workspace
from exporter.simulator.world import World

_DEFAULT_ADDRESS = ListenAddress("127.0.0.1", 9876)


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What a simulator is started with.

    Attributes:
        listen: addresses to serve on.
        jobs: synthetic jobs besides those of the scenario.
        seed: makes ids, names, the schedule, durations and exit codes repeatable.
        dialect: a name of ``DIALECTS``.
        faults: switched on from the start, each ``NAME[=ARG][@ENDPOINT][@APPLICATION]``.
        token: the bearer token that is accepted; empty for a random one.
        scheduler: whether things happen by themselves from the start.

    Raises:
        ValueError: an unknown dialect or fault, or a negative number of jobs.
    """

    listen: Sequence[ListenAddress] = (_DEFAULT_ADDRESS,)
    jobs: int = 0
    seed: int = 1
    dialect: str = "default"
    faults: tuple[str, ...] = ()
    token: str = ""
    scheduler: bool = True

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise ValueError(f"there is no dialect {self.dialect!r}; there are {', '.join(DIALECTS)}")
        if self.jobs < 0:
            raise ValueError(f"the number of jobs is {self.jobs}, but cannot be negative")
        for fault in self.faults:
            Fault.parse(fault)


class Simulator:
    """A simulated installation; use it as ``async with``, which starts and ends its processes.

    Attributes:
        token: the bearer token that it accepts.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.started_at = time.time()
        self.token = options.token or secrets.token_urlsafe(24)
        self.world = World(options.seed)
        populate(self.world, self.started_at)
        self._scenario = list(self.world.jobs())
        runnable = add_synthetic_jobs(self.world, options.jobs, self.started_at)
        self._workspace = Workspace()
        self.dumbella = Dumbella(self.world, self._workspace)
        self.faults = Faults(map(Fault.parse, options.faults))
        self.api = Api(self.dumbella, self.faults, options.dialect)
        happening = [*activities(self.dumbella)]
        if runnable:
            happening.append(synthetic_activity(self.dumbella, runnable))
        self.scheduler = Scheduler(happening, options.seed, paused=not options.scheduler)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Lay out the jobs' files, start the services and the schedule."""
        for job in self._scenario:
            self._workspace.script(job)
        open_services(self.dumbella)
        self.scheduler.start()

    async def close(self) -> None:
        """End every process and remove the temporary folder."""
        await self.scheduler.close()
        await self.dumbella.close()
        self._workspace.remove()
