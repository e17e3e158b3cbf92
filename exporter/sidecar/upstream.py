"""One target as the sidecar uses it: lists read anew for everybody who asks, and the kill."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Self, TypeVar
from urllib.parse import quote

from exporter.cockpit import CockpitClient
from exporter.cockpit.errors import CockpitError
from exporter.cockpit.kill import KillAnswer, KillCall
from exporter.config import Target
from exporter.config.kill import KillTarget, Timeouts
from exporter.config.profiles import Profile
from exporter.logs import fields
from exporter.model import Execution, Job, Listing
from exporter.sidecar.subject import Subject

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
#: Called after every request with its operation and the seconds it took.
Observe = Callable[[str, float], None]

#: Seconds for which the list of applications is not asked for again.
_APPLICATIONS_KEPT = 60.0


class Fresh(Generic[Answer]):
    """A question whose answer is shared by all who asked before it was put.

    Nobody gets an answer to a question that was put before they asked; at most one is under way and one waits.

    Args:
        ask: puts the question.
    """

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._current: asyncio.Task[Answer] | None = None
        self._next: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """Return an answer to a question that is put from now on."""
        if self._current is None or self._current.done():
            self._current = asyncio.create_task(self._put())
            return await asyncio.shield(self._current)
        if self._next is None:
            self._next = asyncio.create_task(self._put_after(self._current))
        return await asyncio.shield(self._next)

    async def _put(self) -> Answer:
        return await self._ask()

    async def _put_after(self, before: asyncio.Task[Answer]) -> Answer:
        await asyncio.wait([before])
        self._current, self._next = self._next, None
        return await self._ask()


class Upstream:
    """A target that the sidecar serves.

    Args:
        target: the target's section of the configuration.
        own: the sidecar's section about it; its credential is used in place of the target's where it has one.
        profile: the target's profile, resolved.
        timeouts: seconds for a list and for a kill.
        observe: called after every request.
    """

    def __init__(self, target: Target, own: KillTarget, profile: Profile, timeouts: Timeouts, observe: Observe) -> None:
        self.target = target.model_copy(update={"auth": own}) if own.configured else target
        self._profile = profile
        self._timeouts = timeouts
        self._observe = observe
        self._client = CockpitClient(
            self.target, profile, observe_request=lambda endpoint, seconds, _: observe(endpoint, seconds)
        )
        self._kill = KillCall(self.target, profile, csrf=own.csrf)
        self._running: dict[str, Fresh[Listing[Execution]]] = {}
        self._jobs: dict[str, Fresh[Listing[Job]]] = {}
        self._listed: dict[str, Listing[Job]] = {}
        self._applications: tuple[str, ...] = ()
        self._applications_until = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self._kill.aclose()

    async def applications(self) -> tuple[str, ...]:
        """Return the codes of the target's applications; where they are discovered, they are asked for once a minute.

        Raises:
            CockpitError: they are to be discovered, and have never been read.
        """
        if self.target.applications != "discover":
            return self.target.applications
        if time.monotonic() >= self._applications_until:
            await self._discover()
        return self._applications

    async def has(self, application: str) -> bool:
        """Tell whether the target has an application; one that is not known yet is asked for at once.

        Raises:
            CockpitError: applications are to be discovered, and have never been read.
        """
        if application in await self.applications():
            return True
        if self.target.applications == "discover":
            await self._discover()
        return application in self._applications

    async def _discover(self) -> None:
        try:
            self._applications = await self._client.applications(self._deadline(self._timeouts.read))
        except CockpitError as error:
            # Whoever wants to kill something must not wait for a list that is known well enough.
            if not self._applications:
                raise
            log.warning("applications not read", extra=fields(target=self.target.name, error=error.detail))
        else:
            self._applications_until = time.monotonic() + _APPLICATIONS_KEPT

    async def running(self, application: str) -> Listing[Execution]:
        """Return the executions in progress, read after this was called.

        Raises:
            CockpitError: they cannot be read.
        """
        if application not in self._running:
            self._running[application] = Fresh(
                lambda: self._client.executions(application, self._deadline(self._timeouts.read))
            )
        return await self._running[application].get()

    async def jobs(self, application: str) -> Listing[Job]:
        """Return the jobs, read after this was called.

        Raises:
            CockpitError: they cannot be read.
        """
        if application not in self._jobs:
            self._jobs[application] = Fresh(lambda: self._client.jobs(application, self._deadline(self._timeouts.read)))
        self._listed[application] = listing = await self._jobs[application].get()
        return listing

    async def services(self, application: str) -> frozenset[str]:
        """Return the ids of the service jobs, as they were listed last.

        Raises:
            CockpitError: they were never listed, and cannot be now.
        """
        try:
            listing = await self.jobs(application)
        except CockpitError:
            # What a job is hardly ever changes; a list that fails must not protect a run that hangs.
            if application not in self._listed:
                raise
            listing = self._listed[application]
        return frozenset(job.id for job in listing.rows if job.job_type == "SERVICE")

    async def kill(self, subject: Subject) -> KillAnswer:
        """Send the kill of an execution, once."""
        begun = time.monotonic()
        try:
            return await self._kill.kill(subject.application, subject.execution_id, self._deadline(self._timeouts.kill))
        finally:
            self._observe("kill", time.monotonic() - begun)

    def run_url(self, application: str, job_id: str) -> str:
        """Return the address by which a job is run; empty if the profile has none."""
        template = self._profile.paths.run
        if template is None or not job_id:
            return ""
        path = template.replace("{application}", quote(application, safe="")).replace("{id}", quote(job_id, safe=""))
        return f"{self.target.url}{path}"

    @staticmethod
    def _deadline(seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds
