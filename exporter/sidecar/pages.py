"""What all pages have in common: how they look, who may open them, and what is told in place of them."""

from __future__ import annotations

import importlib.resources
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter import __version__
from exporter.cockpit.errors import CockpitError
from exporter.sidecar import text
from exporter.sidecar.identity import AuthFailed, Principal
from exporter.sidecar.kills import Stopping
from exporter.sidecar.parameters import BadParameters
from exporter.sidecar.sidecar import Sidecar, status_of
from exporter.sidecar.upstream import Upstream

Endpoint = Callable[[Request], Awaitable[Response]]

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("exporter.sidecar", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "visible": text.visible,
    "moment": text.moment,
    "machine_moment": text.machine_moment,
    "duration": text.duration,
}
_STYLE = importlib.resources.files("exporter.sidecar").joinpath("templates/style.css").read_text(encoding="utf-8")


class Told(Exception):
    """A page that only tells something, in place of the one that was asked for.

    Args:
        status: the HTTP status.
        title: what it says in a few words.
        sentence: what it says, and what to do.
        link: where to go from here: an address and its words.
        retry_after: seconds after which to try again.
    """

    def __init__(
        self,
        status: HTTPStatus,
        title: str,
        sentence: str,
        *,
        link: tuple[str, str] | None = None,
        retry_after: float = 0.0,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.title = title
        self.sentence = sentence
        self.link = link
        self.headers = list(headers)
        if retry_after:
            self.headers.append(("Retry-After", str(int(retry_after) + 1)))


class Pages:
    """What the pages of one sidecar share.

    Args:
        sidecar: the sidecar.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar
        self.prefix = sidecar.settings.prefix

    def page(self, answer: Endpoint) -> Endpoint:
        """Return an endpoint that answers with ``answer``, or tells why not; for HEAD nobody is asked anything."""

        async def endpoint(request: Request) -> Response:
            if request.method == "HEAD":
                return HTMLResponse()
            try:
                return await answer(request)
            except (Told, AuthFailed, BadParameters, CockpitError, Stopping) as reason:
                return self.told(self._telling(reason))

        return endpoint

    def _telling(self, reason: Told | AuthFailed | BadParameters | CockpitError | Stopping) -> Told:
        match reason:
            case Told():
                return reason
            case AuthFailed():
                return self._unknown_person(reason)
            case BadParameters():
                return Told(HTTPStatus.BAD_REQUEST, "Not a link of ours", str(reason))
            case CockpitError():
                return _unreadable(reason)
            case Stopping():
                sentence = "The sidecar is about to end. Nothing was sent. Try again in a moment."
                return Told(HTTPStatus.SERVICE_UNAVAILABLE, "Stopping", sentence, retry_after=5)

    def told(self, told: Told) -> Response:
        """Return a page that only tells something."""
        response = self.rendered("told.html", None, status=told.status, title=told.title, told=told)
        for name, value in told.headers:
            response.headers.append(name, value)
        return response

    def _unknown_person(self, failed: AuthFailed) -> Told:
        challenges = self.sidecar.authentication.page_challenges if failed.status == HTTPStatus.UNAUTHORIZED else ()
        title = {
            HTTPStatus.UNAUTHORIZED: "Who are you?",
            HTTPStatus.FORBIDDEN: "Not for you",
        }.get(failed.status, "Nobody can be asked who you are")
        headers = [("WWW-Authenticate", challenge) for challenge in challenges]
        return Told(failed.status, title, failed.sentence, headers=headers)

    def rendered(
        self, template: str, principal: Principal | None, *, status: HTTPStatus = HTTPStatus.OK, **facts: Any
    ) -> HTMLResponse:
        """Return a page made from a template.

        Args:
            template: the template's name.
            principal: who is looking; ``None`` where that is not known.
            status: the HTTP status.
            facts: what the template shows.
        """
        settings = self.sidecar.settings
        common = {
            "prefix": self.prefix,
            "version": __version__,
            "principal": principal,
            "mode": settings.mode,
            "grafana_url": settings.grafana_url or "",
            "open_to_all": not settings.auth,
        }
        return HTMLResponse(_templates.get_template(template).render(common | facts), status)

    async def visitor(self, request: Request) -> Principal:
        """Return who asks, if they may enter and have not asked too often.

        Raises:
            AuthFailed: nobody who may enter.
            Told: why they may not see this now.
        """
        principal = await self.sidecar.person(request, fresh=False)
        if not self.sidecar.policy.may_enter(principal):
            raise Told(
                HTTPStatus.FORBIDDEN,
                "Not for you",
                f"You are {text.visible(principal.login)}, and no rule of the policy names you. Ask whoever runs this"
                " sidecar.",
            )
        self.count_page(principal)
        return principal

    def count_page(self, principal: Principal) -> None:
        """Count a page that asks Cockpit.

        Raises:
            Told: it is one too many.
        """
        wait = self.sidecar.limits.page((principal.provider, principal.id))
        if wait:
            sentence = f"You have opened many pages. Try again in {text.duration(wait + 1)}."
            raise Told(HTTPStatus.TOO_MANY_REQUESTS, "Too many pages", sentence, retry_after=wait)

    async def viewed(self, principal: Principal, target: str, application: str) -> Upstream:
        """Return a target whose application somebody wants to see.

        Raises:
            Told: there is no such target or application, or they may not.
            CockpitError: the applications are to be discovered, and cannot be read.
        """
        upstream = self.sidecar.upstreams.get(target)
        if upstream is None:
            raise Told(HTTPStatus.NOT_FOUND, "No such target", "This sidecar serves no target of this name.")
        if not self.sidecar.policy.may_view(principal, target=target, application=application):
            raise Told(HTTPStatus.FORBIDDEN, "Not for you", "No rule of the policy lets you see this application.")
        if not await upstream.has(application):
            raise Told(HTTPStatus.NOT_FOUND, "No such application", "This target has no application of this code.")
        return upstream


def _unreadable(error: CockpitError) -> Told:
    sentence = f"Cockpit's lists cannot be read: {text.visible(error.detail)}. Nothing was sent."
    return Told(status_of(error), "Cockpit does not answer", sentence)


async def style(_: Request) -> Response:
    """Answer with the style sheet."""
    return Response(_STYLE, media_type="text/css")
