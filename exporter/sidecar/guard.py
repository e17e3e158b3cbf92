"""What holds for every request and every answer, before and after anything else looks at them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.sidecar.audit import Source

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer the browser would send "Origin: null" with our own form.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
#: Headers by which browsers, chats and crawlers say that nobody looks at the answer yet.
_PREFETCH = ("sec-purpose", "purpose", "x-moz", "x-purpose")
_AHEAD = re.compile(r"\b(prefetch|preview|prerender)\b", re.IGNORECASE)
_HOST = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
#: Names by which a loopback listener may be called.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Checks the host, refuses prefetches, numbers requests, and adds the headers of every answer.

    Args:
        app: the application.
        hosts: host names by which it may be called; ports are ignored.
        exempt: tells paths for which the host does not matter.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], exempt: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        headers = Headers(scope=scope)
        scope.setdefault("state", {})["request_id"] = uuid.uuid4().hex
        app = self._app
        if scope["path"] not in self._exempt and not self._is_ours(headers.getlist("host")):
            app = PlainTextResponse("This is not the name of this server.\n", 400)
        elif any(_AHEAD.search(value) for name in _PREFETCH for value in headers.getlist(name)):
            app = PlainTextResponse("Nothing is answered ahead of time.\n", 503)
        await app(scope, receive, _with_headers(send))

    def _is_ours(self, hosts: list[str]) -> bool:
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        return match is not None and match["name"].strip("[]").lower().removesuffix(".") in self._hosts


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending


def source(request: Request) -> Source:
    """Return where a request came from."""
    return Source(
        peer_ip=request.client.host if request.client else "",
        forwarded_for=", ".join(request.headers.getlist("x-forwarded-for")),
        user_agent=request.headers.get("user-agent", ""),
    )


def request_id(request: Request) -> str:
    """Return the id that the guard gave a request."""
    number: str = request.state.request_id
    return number


def is_own_form(request: Request, public_origin: str) -> bool:
    """Tell whether a POST comes from a page of ours, as far as the browser says.

    Args:
        request: the request.
        public_origin: scheme, host and port of the public address.
    """
    sites = request.headers.getlist("sec-fetch-site")
    if sites:
        return sites == ["same-origin"]
    origins = request.headers.getlist("origin")
    if len(origins) != 1:
        return False
    return origins[0] in {public_origin, f"{request.url.scheme}://{request.headers.get('host', '')}"}
