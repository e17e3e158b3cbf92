"""The Job Manager: what runs now, per target and application, for people without Grafana at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.cockpit.errors import CockpitError
from exporter.model import Execution
from exporter.sidecar.identity import Principal
from exporter.sidecar.kills import Kill
from exporter.sidecar.pages import Pages, Told
from exporter.sidecar.parameters import BadParameters, link_query, read_page
from exporter.sidecar.subject import ID, Subject
from exporter.sidecar.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Row:
    """One run as the Job Manager shows it."""

    execution: Execution
    running_for: float | None
    kill_query: str
    run_url: str
    job_query: str
    ongoing: Kill | None


@dataclass(frozen=True, slots=True)
class Section:
    """One application of one target as the Job Manager shows it.

    Attributes:
        target: the target's name.
        application: the application's code; empty where the applications could not be discovered.
        updated_at: when they were read, in seconds since the epoch.
        rows: its runs.
        problem: why they could not be read.
        unreadable: how many more there are that could not be read.
    """

    target: str
    application: str
    updated_at: float
    rows: Sequence[Row] = ()
    problem: str = ""
    unreadable: int = 0

    @property
    def query(self) -> str:
        """The query of the page that shows only this."""
        named = {"target": self.target, "application": self.application}
        return urlencode({key: value for key, value in named.items() if value})


class JobManager:
    """The Job Manager of one sidecar.

    Args:
        pages: what all pages share.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sidecar = pages.sidecar

    def routes(self) -> list[Route]:
        """Return the routes."""
        prefix = self._pages.prefix
        return [
            Route(f"{prefix}/", self._pages.page(self._jobs), methods=["GET"]),
            Route(f"{prefix}/job", self._pages.page(self._job), methods=["GET"]),
        ]

    async def _jobs(self, request: Request) -> Response:
        principal = await self._pages.visitor(request)
        asked = read_page(request.url.query, ("target", "application"))
        by_target = await asyncio.gather(
            *(
                self._sections(principal, upstream, asked["application"])
                for name, upstream in self._sidecar.upstreams.items()
                if asked["target"] in {"", name} and self._sidecar.policy.may_view_target(principal, name)
            )
        )
        return self._pages.rendered(
            "jobs.html",
            principal,
            sections=[section for sections in by_target for section in sections],
            asked=asked,
        )

    async def _sections(self, principal: Principal, upstream: Upstream, wanted: str) -> Sequence[Section]:
        policy, name = self._sidecar.policy, upstream.target.name
        try:
            codes = await upstream.applications()
        except CockpitError as error:
            return [Section(name, "", self._sidecar.clock(), problem=error.detail)]
        return await asyncio.gather(
            *(
                self._section(principal, upstream, code)
                for code in codes
                if wanted in {"", code} and policy.may_view(principal, target=name, application=code)
            )
        )

    async def _section(self, principal: Principal, upstream: Upstream, application: str) -> Section:
        name = upstream.target.name
        try:
            listing = await upstream.running(application)
        except CockpitError as error:
            return Section(name, application, self._sidecar.clock(), problem=error.detail)
        rows = [self._row(principal, upstream, execution) for execution in listing.rows]
        return Section(name, application, self._sidecar.clock(), rows, unreadable=listing.invalid)

    def _row(self, principal: Principal, upstream: Upstream, execution: Execution) -> Row:
        name, code, started = upstream.target.name, execution.application, execution.started_at
        decision = self._sidecar.policy.decide(principal, target=name, application=code, job_name=execution.job_name)
        may_kill = decision.allowed and ID.fullmatch(execution.id) is not None
        return Row(
            execution=execution,
            running_for=None if started is None else self._sidecar.clock() - started,
            kill_query=link_query(name, code, execution.id, started) if may_kill else "",
            run_url=upstream.run_url(code, execution.job_id),
            job_query=urlencode({"target": name, "application": code, "job": execution.job_id})
            if ID.fullmatch(execution.job_id)
            else "",
            ongoing=self._sidecar.kills.ongoing(Subject.of(name, execution)),
        )

    async def _job(self, request: Request) -> Response:
        principal = await self._pages.visitor(request)
        asked = read_page(request.url.query, ("target", "application", "job"))
        if not all(asked.values()):
            raise BadParameters("Exactly these parameters are expected: target, application, job.")
        upstream = await self._pages.viewed(principal, asked["target"], asked["application"])
        jobs, listing = await asyncio.gather(
            upstream.jobs(asked["application"]), upstream.running(asked["application"])
        )
        job = next((job for job in jobs.rows if job.id == asked["job"]), None)
        rows = [
            self._row(principal, upstream, execution) for execution in listing.rows if execution.job_id == asked["job"]
        ]
        if job is None and not rows:
            raise Told(HTTPStatus.NOT_FOUND, "No such job", "Cockpit lists no job with this id in this application.")
        return self._pages.rendered(
            "job.html",
            principal,
            job=job,
            asked=asked,
            section=Section(asked["target"], asked["application"], self._sidecar.clock(), rows),
            run_url=upstream.run_url(asked["application"], asked["job"]),
            query=request.url.query,
        )
