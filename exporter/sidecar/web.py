"""The sidecar's HTTP endpoints as one application."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.exposition import CONTENT_TYPES
from exporter.negotiation import choose_format
from exporter.sidecar.api import BASE, Api
from exporter.sidecar.guard import LOOPBACK_NAMES, Guard
from exporter.sidecar.jobmanager import JobManager
from exporter.sidecar.killpages import KillPages
from exporter.sidecar.pages import Pages, Told, style
from exporter.sidecar.problem import Problem
from exporter.sidecar.sidecar import Sidecar

#: Paths that monitoring asks, whatever it calls this host.
MONITORING = ("/-/healthy", "/-/ready", "/metrics")


def create_app(sidecar: Sidecar, *, loopback: bool) -> ASGIApp:
    """Return the sidecar's web application.

    Args:
        sidecar: what it serves.
        loopback: whether only loopback addresses are listened on, so that their names may be used.
    """
    pages = Pages(sidecar)
    metrics = _Metrics(sidecar)

    async def refused(request: Request, error: Exception) -> Response:
        status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        headers = list((getattr(error, "headers", None) or {}).items())
        sentence = _SENTENCES.get(status, status.description)
        if request.url.path.startswith(f"{pages.prefix}{BASE}/"):
            return Problem(status, sentence, headers=headers).response()
        return pages.told(Told(status, status.phrase, sentence, headers=headers))

    app = Starlette(
        routes=[
            *JobManager(pages).routes(),
            *KillPages(pages).routes(),
            *Api(sidecar).routes(),
            Route(f"{pages.prefix}/style.css", style, methods=["GET"]),
            Route("/-/healthy", _healthy, methods=["GET"]),
            Route("/-/ready", metrics.ready, methods=["GET"]),
            Route("/metrics", metrics.scrape, methods=["GET"]),
        ],
        exception_handlers={HTTPException: refused},
    )
    # A redirect to the path without its slash would echo the Host header that the client made up.
    app.router.redirect_slashes = False
    return Guard(app, hosts(sidecar, loopback=loopback), MONITORING)


def hosts(sidecar: Sidecar, *, loopback: bool) -> frozenset[str]:
    """Return the host names by which the sidecar may be called."""
    public = urlsplit(sidecar.settings.public_url).hostname or ""
    return frozenset({public.lower(), *sidecar.settings.allowed_hosts, *(LOOPBACK_NAMES if loopback else ())})


_SENTENCES = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method.",
}


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("Healthy\n")


class _Metrics:
    """What monitoring asks."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def ready(self, _: Request) -> Response:
        if self._sidecar.audit.usable:
            return PlainTextResponse("Ready\n")
        return PlainTextResponse("Not ready: the audit file cannot be written\n", HTTPStatus.SERVICE_UNAVAILABLE)

    async def scrape(self, request: Request) -> Response:
        format_ = choose_format(request.headers.get("accept", ""))
        body = self._sidecar.telemetry.render(format_)
        return Response(body, headers={"Content-Type": CONTENT_TYPES[format_], "Vary": "Accept"})
