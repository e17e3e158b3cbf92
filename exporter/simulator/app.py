"""The HTTP application: routes, who may call them, faults, and errors as Spring Boot shows them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.simulator import openapi
from exporter.simulator.actuator import Actuator
from exporter.simulator.api import Operation
from exporter.simulator.control import Control
from exporter.simulator.interference import interfere
from exporter.simulator.runtime import Refusal
from exporter.simulator.simulation import Simulator
from exporter.simulator.spring import error_answer, json_answer
from exporter.simulator.transport import ending_quietly

_Endpoint = Callable[[Request], Awaitable[Response]]

#: Where Cockpit lives; the same operations without it are those of Pages and App Composer.
CONTEXT_PATH = "/cockpit"

_PROTECTED = (CONTEXT_PATH, "/api/", "/v3/")
_CSRF_COOKIE = "XSRF-TOKEN"
_CSRF_HEADER = "X-XSRF-TOKEN"

_HOME = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Dumbella simulator</title></head>
<body>
<h1>Dumbella simulator</h1>
<p>This is not Decisyon App Composer: it is a simulator of its Cockpit and of Dumbella, built from public facts and,
where those are silent, from guesses. It runs real processes.</p>
<ul>
<li><a href="/-/state">/-/state</a>: all jobs and executions, as they are</li>
<li><a href="/-/history">/-/history</a>: every execution and how it ended</li>
<li><a href="/-/faults/available">/-/faults/available</a>: what can be broken</li>
<li><code>/cockpit/api/rest/application/K7SALES/services/jobs</code>: as Cockpit answers it; needs the bearer token
that the simulator showed when it started</li>
</ul>
</body>
</html>
"""


def application(simulator: Simulator) -> ASGIApp:
    """Return the ASGI application of ``simulator``."""
    gate = _Gate(simulator)
    cockpit, dumbella = simulator.api.cockpit(), simulator.api.dumbella()
    documents = _documents(simulator, cockpit)
    routes = [
        Route("/", _home),
        *Control(simulator).routes(),
        *Actuator(simulator.started_at).routes(),
        *gate.routes(dumbella, "", protected=False),
        *gate.routes([*cockpit, *documents], CONTEXT_PATH, protected=True),
        *gate.routes([*cockpit, *documents], "", protected=True),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: gate.http_error, Refusal: _refused})
    app.router.redirect_slashes = False
    return ending_quietly(app)


class _Gate:
    """Stands before every operation: faults, then the bearer token, then CSRF protection where it is switched on."""

    def __init__(self, simulator: Simulator) -> None:
        self._token = simulator.token
        self._faults = simulator.faults

    def routes(self, operations: Iterable[Operation], prefix: str, *, protected: bool) -> list[Route]:
        return [
            Route(prefix + operation.path, self._endpoint(operation, protected=protected), methods=[operation.method])
            for operation in operations
        ]

    def _endpoint(self, operation: Operation, *, protected: bool) -> _Endpoint:
        async def endpoint(request: Request) -> Response:
            faults = self._faults.at(operation.endpoint, request.path_params.get("application", ""))

            async def answer() -> Response:
                if protected and not self._may_pass(request):
                    return _unauthorized(request)
                if "csrf" in faults and not _has_csrf_token(request):
                    return error_answer(request, HTTPStatus.FORBIDDEN, "Invalid CSRF token")
                try:
                    return await operation.handler(request, faults)
                except Refusal as refusal:
                    return error_answer(request, refusal.status, str(refusal))

            return self._with_csrf_cookie(request, await interfere(request, faults, answer))

        return endpoint

    async def http_error(self, request: Request, error: Exception) -> Response:
        """Answer what no route takes: 404 and 405, or 401 to those who may not even know."""
        status, headers = HTTPStatus.INTERNAL_SERVER_ERROR, None
        if isinstance(error, HTTPException):
            status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
        if request.url.path.startswith(_PROTECTED) and not self._may_pass(request):
            return _unauthorized(request)
        return error_answer(request, status, f"{request.method} {request.url.path}", headers)

    def _may_pass(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), self._token.encode())

    def _with_csrf_cookie(self, request: Request, response: Response) -> Response:
        switched_on = any(fault.name == "csrf" for fault in self._faults.active)
        if switched_on and _CSRF_COOKIE not in request.cookies:
            path = CONTEXT_PATH if request.url.path.startswith(CONTEXT_PATH) else "/"
            response.set_cookie(_CSRF_COOKIE, secrets.token_hex(16), path=path)
        return response


def _has_csrf_token(request: Request) -> bool:
    cookie = request.cookies.get(_CSRF_COOKIE, "")
    return bool(cookie) and secrets.compare_digest(cookie.encode(), request.headers.get(_CSRF_HEADER, "").encode())


def _unauthorized(request: Request) -> Response:
    headers = {"www-authenticate": "Bearer"}
    return error_answer(request, HTTPStatus.UNAUTHORIZED, "Full authentication is required", headers)


async def _refused(request: Request, error: Exception) -> Response:
    """Answer a refused control call."""
    status = error.status if isinstance(error, Refusal) else HTTPStatus.INTERNAL_SERVER_ERROR
    return error_answer(request, status, str(error))


async def _home(_: Request) -> Response:
    return HTMLResponse(_HOME)


def _documents(simulator: Simulator, operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations that describe ``operations``: all of them, and in App Composer's two groups."""
    groups = {
        "/v3/api-docs": list(operations),
        "/v3/api-docs/Version 1": [part for part in operations if part.tag in {"Application", "Instance"}],
        "/v3/api-docs/Version 2": [part for part in operations if part.tag == "Job"],
    }

    def describe(path: str, described: list[Operation]) -> Operation:
        async def handler(request: Request, _: object) -> Response:
            server = str(request.base_url).rstrip("/") + request.url.path.partition("/v3/")[0]
            title = "Cockpit API" if request.url.path.startswith(CONTEXT_PATH) else "Application API"
            return json_answer(openapi.document(described, simulator.api.dialect, server=server, title=title))

        return Operation("GET", path, "openapi", "OpenAPI", "This document", handler)

    return [describe(path, described) for path, described in groups.items()]
