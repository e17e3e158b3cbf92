"""Keeps something happening: activities that repeat at seeded intervals, until paused."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.logs import fields
from exporter.simulator.runtime import Refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that happens again and again.

    Attributes:
        name: seeds the activity's own randomness, so that the others do not disturb it.
        first: seconds until it happens for the first time.
        every: the shortest and the longest interval after that, in seconds.
        act: what happens; a refusal by Dumbella is taken as "not now".
    """

    name: str
    first: float
    every: tuple[float, float]
    act: Callable[[random.Random], Awaitable[None]]


class Scheduler:
    """Runs activities, each in a task of its own."""

    def __init__(self, activities: Sequence[Activity], seed: int, *, paused: bool = False) -> None:
        self._activities = activities
        self._seed = seed
        self._going = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        if not paused:
            self._going.set()

    @property
    def paused(self) -> bool:
        """Whether nothing happens by itself at the moment."""
        return not self._going.is_set()

    def pause(self) -> None:
        """Let nothing happen any more; what runs goes on."""
        self._going.clear()

    def resume(self) -> None:
        """Let things happen again."""
        self._going.set()

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._repeat(activity)) for activity in self._activities]

    async def close(self) -> None:
        """End all activities."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, activity: Activity) -> None:
        chance = random.Random(f"{self._seed} {activity.name}")  # noqa: S311 - repeatable on purpose, guards nothing
        await asyncio.sleep(activity.first)
        while True:
            await self._going.wait()
            try:
                await activity.act(chance)
            except Refusal as refusal:
                log.debug("an activity had to be skipped", extra=fields(activity=activity.name, reason=refusal))
            await asyncio.sleep(chance.uniform(*activity.every))
