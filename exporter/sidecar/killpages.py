"""The confirmation page, the form that kills, and the page that tells what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from exporter.model import Execution, Job
from exporter.sidecar.guard import is_own_form, request_id, source
from exporter.sidecar.identity import Principal
from exporter.sidecar.kills import SERVICES_STAY, Kill, Order, Refused
from exporter.sidecar.outcomes import WORDS
from exporter.sidecar.pages import Pages, Told
from exporter.sidecar.pagetoken import TokenRefused, is_nonce, new_nonce
from exporter.sidecar.parameters import LONGEST_REASON, Form, Link, link_query, read_form, read_link, read_page
from exporter.sidecar.sidecar import STATUS_OF
from exporter.sidecar.subject import Subject, same_start

#: Seconds between two looks at a kill that has not ended.
_REFRESH = 2


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the confirmation page is about: the link that led to it, the run as listed now, and its job if known."""

    link: Link
    live: Subject
    job: Job | None = None


class KillPages:
    """The pages about kills of one sidecar.

    Args:
        pages: what all pages share.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sidecar = pages.sidecar
        self._prefix = pages.prefix
        parts = urlsplit(self._sidecar.settings.public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        # A cookie with this prefix cannot be set by another host or over plain HTTP; browsers want TLS for it.
        self._cookie = "__Host-dumbella-kill" if self._sidecar.settings.secure else "dumbella-kill"

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{self._prefix}/kill", self._pages.page(self._confirm_or_kill), methods=["GET", "POST"]),
            Route(f"{self._prefix}/kills/{{kill_id}}", self._pages.page(self._state), methods=["GET"]),
        ]

    async def _confirm_or_kill(self, request: Request) -> Response:
        return await (self._kill(request) if request.method == "POST" else self._confirm(request))

    async def _confirm(self, request: Request) -> Response:
        principal = await self._sidecar.person(request, fresh=False)
        link = read_link(request.url.query)
        self._pages.count_page(principal)
        upstream = await self._pages.viewed(principal, link.target, link.application)
        listing, jobs = await asyncio.gather(
            upstream.running(link.application), upstream.jobs(link.application), return_exceptions=True
        )
        if isinstance(listing, BaseException):
            raise listing
        live = self._live(principal, link, listing.rows)
        job = None
        if not isinstance(jobs, BaseException):
            job = next((job for job in jobs.rows if job.id == live.job_id), None)
        if job is not None and job.job_type == "SERVICE":
            raise Told(HTTPStatus.FORBIDDEN, "A service", SERVICES_STAY)
        return self._confirmation(request, principal, _Shown(link, live, job))

    def _confirmation(self, request: Request, principal: Principal, shown: _Shown, complaint: str = "") -> Response:
        live = shown.live
        decision = self._sidecar.policy.decide(
            principal, target=live.target, application=live.application, job_name=live.job_name
        )
        if not decision.allowed:
            rule = f"The rule {decision.rule} denies it." if decision.rule else "No rule of the policy allows it."
            raise Told(HTTPStatus.FORBIDDEN, "Not for you", f"You may not kill this job. {rule}")
        ongoing = self._sidecar.kills.ongoing(live)
        nonce = request.cookies.get(self._cookie, "")
        is_known = is_nonce(nonce)
        if not is_known:
            nonce = new_nonce()
        # What is sealed is what the form can carry: milliseconds.
        milliseconds = None if live.started_at is None else round(live.started_at * 1000)
        sealed = replace(live, started_at=None if milliseconds is None else milliseconds / 1000)
        now = self._sidecar.clock()
        response = self._pages.rendered(
            "kill.html",
            principal,
            status=HTTPStatus.UNPROCESSABLE_ENTITY if complaint else HTTPStatus.OK,
            link=shown.link,
            live=live,
            milliseconds="" if milliseconds is None else milliseconds,
            job=shown.job,
            decision=decision,
            dry_run=self._sidecar.settings.mode == "dry_run" or decision.dry_run,
            ongoing=ongoing,
            too_young=_too_young(live, decision.min_age, now),
            token=self._sidecar.tokens.make(principal, nonce, sealed),
            token_lifetime=self._sidecar.settings.timeouts.page_token,
            longest_reason=LONGEST_REASON,
            complaint=complaint,
            back=self._dashboard_url(shown.link.dashboard) or f"{self._prefix}/",
            now=now,
        )
        if not is_known:
            response.set_cookie(
                self._cookie, nonce, path="/", secure=self._sidecar.settings.secure, httponly=True, samesite="lax"
            )
        return response

    async def _kill(self, request: Request) -> Response:
        if not is_own_form(request, self._origin):
            sentence = "This form was not sent by a page of this sidecar. Nothing was sent."
            raise Told(HTTPStatus.FORBIDDEN, "Not our form", sentence)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise Told(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a form", "Only our own form can be sent here.")
        principal = await self._sidecar.person(request, fresh=True)
        form = read_form(await request.body())
        again = (f"{self._prefix}/kill?{form.link.query}", "Look at the run again")
        try:
            nonce = request.cookies.get(self._cookie, "")
            self._sidecar.tokens.check(form.token, principal, nonce, form.subject)
        except TokenRefused as refused:
            sentence = f"{refused} Nothing was sent."
            raise Told(HTTPStatus.FORBIDDEN, "Please look again", sentence, link=again) from None
        order = Order(principal, source(request), request_id(request), form.subject, form.reason)
        try:
            kill = await self._sidecar.kills.submit(order)
        except Refused as refused:
            if not refused.reason_missing:
                raise _told(refused, again) from None
            return await self._reason_wanted(request, principal, form, refused)
        return RedirectResponse(self._place(kill, form.link.dashboard), HTTPStatus.SEE_OTHER)

    async def _reason_wanted(self, request: Request, principal: Principal, form: Form, refused: Refused) -> Response:
        listing = await self._sidecar.upstreams[form.link.target].running(form.link.application)
        shown = _Shown(form.link, self._live(principal, form.link, listing.rows))
        return self._confirmation(request, principal, shown, complaint=refused.sentence)

    def _live(self, principal: Principal, link: Link, rows: Sequence[Execution]) -> Subject:
        """Return the run that a link means, as it is listed now.

        Raises:
            Told: it is not listed.
        """
        listed = [Subject.of(link.target, row) for row in rows if row.id == link.execution]
        same = [subject for subject in listed if same_start(subject.started_at, link.started)]
        if len(same) == 1:
            return same[0]
        if listed:
            sentence = "This is not the run that you clicked: another one has its id now. Look at the list again."
            raise Told(HTTPStatus.CONFLICT, "Not the run you clicked", sentence)
        latest = self._sidecar.kills.latest(link.target, link.execution, link.started)
        kill = self._sidecar.shown_to(principal, latest)
        raise Told(
            HTTPStatus.OK,
            "Already finished",
            "This run is no longer listed: there is nothing to kill.",
            link=(self._place(kill, link.dashboard), "See what came of its kill") if kill else None,
        )

    def _place(self, kill: Kill, dashboard: str) -> str:
        query = f"?{urlencode({'from': dashboard})}" if dashboard else ""
        return f"{self._prefix}/kills/{kill.id}{query}"

    async def _state(self, request: Request) -> Response:
        principal = await self._sidecar.person(request, fresh=False)
        dashboard = read_page(request.url.query, ("from",))["from"]
        kill = self._sidecar.shown_to(principal, self._sidecar.kills.get(request.path_params["kill_id"]))
        if kill is None:
            sentence = "This sidecar knows no such kill (any more). The audit file has all of them."
            raise Told(HTTPStatus.NOT_FOUND, "No such kill", sentence)
        return self._pages.rendered(
            "state.html",
            principal,
            kill=kill,
            words=WORDS[kill.outcome],
            refresh=_REFRESH if kill.ended_at is None else None,
            dashboard_url=self._dashboard_url(dashboard),
            again=self._again(kill, dashboard),
        )

    def _again(self, kill: Kill, dashboard: str) -> str:
        """Return the address at which to look at a run that was perhaps not killed; empty if that needs no look."""
        if kill.ended_at is None or kill.outcome not in {"rejected", "unconfirmed", "unknown", "dry_run"}:
            return ""
        run = kill.subject
        query = link_query(run.target, run.application, run.execution_id, run.started_at, dashboard)
        return f"{self._prefix}/kill?{query}"

    def _dashboard_url(self, dashboard: str) -> str:
        grafana = self._sidecar.settings.grafana_url
        return f"{grafana}/d/{dashboard}" if grafana and dashboard else ""


def _too_young(live: Subject, min_age: float, now: float) -> float:
    """Return the seconds until a run is old enough to be killed; 0 if it is."""
    if not min_age:
        return 0.0
    return min_age if live.started_at is None else max(0.0, live.started_at + min_age - now)


def _told(refused: Refused, again: tuple[str, str]) -> Told:
    is_over = refused.outcome == "already_finished"
    return Told(
        HTTPStatus.OK if is_over else STATUS_OF[refused.outcome],
        "Already finished" if is_over else "Not killed",
        refused.sentence,
        link=None if is_over else again,
        retry_after=refused.retry_after,
    )
