"""The exporter's HTTP endpoints.

``/metrics`` hands out bytes that are ready: nothing is rendered in a request, and nothing waits for Dumbella.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter import __version__
from exporter.config import ConfigError
from exporter.exposition import CONTENT_TYPES, Body, Format, Page
from exporter.lifecycle import Exporter
from exporter.negotiation import accepts_gzip, choose_format

#: Bytes handed to the server at a time. Each piece may wait for a read that is at work, so that few are best; what a
#: slow scraper has not taken of its piece stays in memory, so that they are not larger still.
PIECE = 512 * 1024

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


def create_app(exporter: Exporter, *, clock: Callable[[], float]) -> ASGIApp:
    """Return the exporter's web application.

    Args:
        exporter: what to show.
        clock: the time in seconds since the epoch, for "seconds ago" on the landing page.
    """

    async def index(_: Request) -> Response:
        text = _templates.get_template("index.html").render(
            version=__version__, readers=exporter.current.readers, now=clock()
        )
        return HTMLResponse(text, headers=_PAGE_HEADERS)

    async def config(_: Request) -> Response:
        return PlainTextResponse(exporter.current.config.masked(), headers=_PAGE_HEADERS)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("Healthy\n")

    async def ready(_: Request) -> Response:
        if exporter.current.ready:
            return PlainTextResponse("Ready\n")
        return PlainTextResponse("Not ready: the first read of a target has not ended yet\n", status_code=503)

    async def reload(request: Request) -> Response:
        # A page of another site could send this; programs and people at a shell send no such header.
        if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return PlainTextResponse("Refused: asked for by another site's page\n", status_code=403)
        try:
            await exporter.reload()
        except ConfigError as error:
            return PlainTextResponse(
                f"Not reloaded, the configuration before stays in force:\n{error}\n", status_code=500
            )
        return PlainTextResponse("Reloaded\n")

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/metrics", MetricsEndpoint(exporter.page), methods=["GET"]),
            Route("/config", config),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/-/reload", reload, methods=["POST"]),
        ]
    )
    # A redirect to the path without its slash would echo the Host header that the client made up.
    app.router.redirect_slashes = False
    return app


class MetricsEndpoint:
    """Answers scrapes with the page of the format that they ask for."""

    def __init__(self, page: Callable[[Format], Page]) -> None:
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page that the client's headers ask for."""
        request = Request(scope, receive)
        format_ = choose_format(request.headers.get("accept", ""))
        page = self._page(format_)
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
