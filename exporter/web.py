"""The exporter's HTTP endpoints.

``/metrics`` hands out bytes that are ready: nothing is rendered in a request, and nothing waits for Dumbella.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter import __version__
from exporter.config import Config
from exporter.exposition import CONTENT_TYPES, Body, Page
from exporter.negotiation import accepts_gzip, choose_format
from exporter.publisher import Publisher
from exporter.reader import TargetReader

#: Bytes handed to the server at a time: large enough to be cheap, small enough that a slow scraper fills no memory.
PIECE = 256 * 1024

_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("exporter", "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _moment(value: float) -> str:
    return dt.datetime.fromtimestamp(value, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_templates.filters["moment"] = _moment


@dataclass(frozen=True, slots=True)
class Exporter:
    """What the endpoints show: one running exporter."""

    config: Config
    publisher: Publisher
    readers: Sequence[TargetReader]

    @property
    def ready(self) -> bool:
        """Whether the first read of every target has been attempted, whatever came of it."""
        return all(reader.report is not None for reader in self.readers)


def create_app(exporter: Exporter, *, clock: Callable[[], float]) -> ASGIApp:
    """Return the exporter's web application.

    Args:
        exporter: what to show.
        clock: the time in seconds since the epoch, for "seconds ago" on the landing page.
    """

    async def index(_: Request) -> Response:
        text = _templates.get_template("index.html").render(
            version=__version__, targets=exporter.config.targets, readers=exporter.readers, now=clock()
        )
        return HTMLResponse(text, headers=_PAGE_HEADERS)

    async def config(_: Request) -> Response:
        return PlainTextResponse(exporter.config.masked(), headers=_PAGE_HEADERS)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("Healthy\n")

    async def ready(_: Request) -> Response:
        if exporter.ready:
            return PlainTextResponse("Ready\n")
        return PlainTextResponse("Not ready: the first read of a target has not ended yet\n", status_code=503)

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/metrics", MetricsEndpoint(exporter.publisher), methods=["GET"]),
            Route("/config", config),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
        ]
    )
    # A redirect to the path without its slash would echo the Host header that the client made up.
    app.router.redirect_slashes = False
    return app


class MetricsEndpoint:
    """Answers scrapes from the publisher's pages."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page that the client's headers ask for."""
        request = Request(scope, receive)
        format_ = choose_format(request.headers.get("accept", ""))
        page: Page = self._publisher.page(format_)
        headers = [(b"content-type", CONTENT_TYPES[format_].encode()), (b"vary", b"Accept, Accept-Encoding")]
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            body = page.gzip
            headers.append((b"content-encoding", b"gzip"))
        else:
            body = page.plain
        headers.append((b"content-length", str(body.length).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        else:
            await send_body(body, send)


async def send_body(body: Body, send: Send) -> None:
    """Send the parts in pieces of moderate size: small ones joined, large ones without a copy of the whole."""
    pending: list[bytes] = []
    size = 0
    for part in body.parts:
        if size + len(part) <= PIECE:
            pending.append(part)
            size += len(part)
            continue
        await send({"type": "http.response.body", "body": b"".join(pending), "more_body": True})
        pending, size = [], 0
        if len(part) <= PIECE:
            pending, size = [part], len(part)
            continue
        for start in range(0, len(part), PIECE):
            piece = part[start : start + PIECE]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"".join(pending)})
