"""Ask one target's REST API: deadlines, paging, and facts instead of JSON."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import httpx

from exporter.cockpit.answers import Result, application_codes, execution_result, release
from exporter.cockpit.bodies import decode
from exporter.cockpit.envelopes import Page
from exporter.cockpit.errors import ClientError, CockpitError
from exporter.cockpit.fetch import Body, Fetcher, address
from exporter.cockpit.lists import Made, PagedList, Understood, understood
from exporter.cockpit.mapping import ExecutionMapper, JobMapper
from exporter.config import Target
from exporter.config.profiles import Endpoint, ListEndpoint, Profile
from exporter.model import Execution, Job, Listing

#: The values of the ``endpoint`` label that reading has; killing adds its own.
AskedEndpoint = Literal["jobs", "executions", "results", "version", "applications"]
#: Called after every request with its endpoint, the seconds it took, and the reason of its failure or ``None``.
ObserveRequest = Callable[[AskedEndpoint, float, str | None], None]

#: Statuses of a result that say "later" rather than "no".
_TRANSIENT_CLIENT_ERRORS = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Inspection:
    """One raw answer of a list endpoint, for ``check --online``.

    Attributes:
        url: what was asked; it holds no credential.
        status: the HTTP status.
        content_type: the header, empty if there is none.
        size: bytes of the body, decompressed.
        envelope: what the rows came in, for people.
        page: where the answer stands in a paged list; only this page's rows are here.
        rows: the elements of the list, decoded.
    """

    url: str
    status: int
    content_type: str
    size: int
    envelope: str
    page: Page | None
    rows: list[Any]


class CockpitClient:
    """The API of one target, read only.

    Every method takes a deadline, a moment on the event loop's clock, and raises a ``CockpitError`` when there is no
    usable answer by then. Methods may run at the same time, but not twice for the same application and endpoint.

    Args:
        target: the target's section of the configuration.
        profile: the target's profile, resolved.
        transport: replaces the network in tests.
        observe_request: called after every request.
    """

    def __init__(
        self,
        target: Target,
        profile: Profile,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        observe_request: ObserveRequest | None = None,
    ) -> None:
        self._target = target
        self._profile = profile
        self._fetcher = Fetcher(target, transport)
        self._observe_request = observe_request or _unobserved
        self._jobs: dict[str, PagedList[Listing[Job]]] = {}
        self._executions: dict[str, PagedList[Listing[Execution]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._fetcher.aclose()

    async def jobs(self, application: str, deadline: float) -> Listing[Job]:
        """Return the jobs of an application; those that did not change are the same objects as before."""
        if application not in self._jobs:
            mapper = JobMapper(application, self._profile, target=self._target.name)
            self._jobs[application] = self._list("jobs", mapper.map, application=application)
        return await self._jobs[application].read(deadline)

    async def executions(self, application: str, deadline: float) -> Listing[Execution]:
        """Return an application's executions in progress; those that did not change are the same objects as before."""
        if application not in self._executions:
            mapper = ExecutionMapper(application, self._profile)
            self._executions[application] = self._list("executions", mapper.map, application=application)
        return await self._executions[application].read(deadline)

    async def applications(self, deadline: float) -> tuple[str, ...]:
        """Return the codes of all applications, where the profile has a path for them."""
        return await self._list("applications", application_codes).read(deadline)

    async def version(self, deadline: float) -> dict[str, str]:
        """Return what the installation tells about its release, where the profile has a path for it."""

        def understand(body: Body) -> dict[str, str]:
            return release(decode(body.content, self._fetcher.mask))

        url = address(self._target.url, self._path("version"))
        return await self._ask("version", url, deadline, self._target.limits.response_bytes, understand)

    async def result(self, execution_id: str, deadline: float) -> Result:
        """Return how an execution ended.

        An execution that Dumbella does not know (any more), an answer of an unknown form and a missing address are
        ``unresolved``; what may pass, such as a refused connection or a 503, is raised.
        """
        if self._target.results is None:
            return Result("unresolved", "the target has no results.url")

        def understand(body: Body) -> Result:
            return execution_result(
                decode(body.content, self._fetcher.mask), execution_id, self._profile.values.outcome
            )

        try:
            url = address(self._target.results.url, self._path("result"), id=execution_id)
            return await self._ask("results", url, deadline, self._target.limits.response_bytes, understand)
        except ClientError as error:
            if error.status in _TRANSIENT_CLIENT_ERRORS:
                raise
            return Result("unresolved", error.detail)

    async def inspect(self, endpoint: ListEndpoint, deadline: float, application: str = "") -> Inspection:
        """Return one raw answer of a list endpoint; ``application`` matters only where the path has one."""
        asked = self._list(endpoint, tuple, application=application)

        def understand(body: Body) -> Inspection:
            answer = asked.answer(body.content)
            return Inspection(
                url=str(asked.url),
                status=body.status,
                content_type=body.content_type,
                size=len(body.content),
                envelope=answer.envelope,
                page=answer.page,
                rows=answer.rows,
            )

        return await self._ask(endpoint, asked.url, deadline, self._target.limits.response_bytes, understand)

    def _list(self, endpoint: ListEndpoint, make: Callable[[Sequence[Any]], Made], **values: str) -> PagedList[Made]:
        return PagedList(
            endpoint=endpoint,
            url=address(self._target.url, self._path(endpoint), **values),
            profile=self._profile,
            ask=functools.partial(self._ask, endpoint),
            mask=self._fetcher.mask,
            limit=self._target.limits.response_bytes,
            make=make,
        )

    def _path(self, endpoint: Endpoint) -> str:
        template: str | None = getattr(self._profile.paths, endpoint)
        if template is None:
            raise ClientError(f"the profile {self._target.profile!r} has no path for {endpoint}")
        return template

    async def _ask(
        self,
        endpoint: AskedEndpoint,
        url: httpx.URL,
        deadline: float,
        limit: int,
        understand: Callable[[Body], Understood],
    ) -> Understood:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            body = await self._fetcher.get(url, deadline, limit)
            arrived = clock()
            result = await understood(understand, body)
        except CockpitError as error:
            self._observe_request(endpoint, clock() - started, error.reason)
            raise
        self._observe_request(endpoint, arrived - started, None)
        return result


def _unobserved(_endpoint: AskedEndpoint, _seconds: float, _reason: str | None) -> None:
    """Stand in where nobody counts requests."""
