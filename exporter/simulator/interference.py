"""Faults that replace or disturb an answer, in place of or around the right one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from exporter.simulator.faults import Fault
from exporter.simulator.spring import error_answer, error_body, json_answer
from exporter.simulator.transport import OddStatus, Reset, Silence, Trickle
from exporter.simulator.wire import dumps

Answer = Callable[[], Awaitable[Response]]

_LOGIN_PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>Sign in</title></head>
<body><form method="post" action="/login"><h1>Sign in</h1><input name="username"><input name="password" type="password">
<button>Sign in</button></form></body></html>
"""
_GATEWAY_PAGE = (
    "<html><head><title>504 Gateway Time-out</title></head><body><h1>504 Gateway Time-out</h1></body></html>"
)
_MEBIBYTE = 1024 * 1024


async def interfere(request: Request, faults: Mapping[str, Fault], answer: Answer) -> Response:
    """Return what the request gets under ``faults``; ``answer`` gives the right response."""
    for delay in ("slow", "slow_results"):
        if delay in faults:
            await asyncio.sleep(faults[delay].number)
    for name, replace in _REPLACEMENTS.items():
        if name in faults:
            return replace(request, faults[name])
    response = await answer()
    for name, disturb in _DISTURBANCES.items():
        if name in faults:
            response = disturb(response, faults[name])
    return response


def _status(status: int, message: str) -> Callable[[Request, Fault], Response]:
    return lambda request, _: error_answer(request, status, message)


def _legacy(request: Request, _: Fault) -> Response:
    body = error_body(request, 701, "license or session problem")
    return OddStatus(body, 701, media_type="application/json")


def _redirect(request: Request, _: Fault) -> Response:
    prefix = "/cockpit" if request.url.path.startswith("/cockpit") else ""
    return Response(status_code=302, headers={"location": f"{prefix}/login?redirect={request.url.path}"})


def _huge(_: Request, fault: Fault) -> Response:
    return StreamingResponse(_huge_json(round(fault.number * _MEBIBYTE)), media_type="application/json")


async def _huge_json(size: int) -> AsyncIterator[bytes]:
    """Yield an array of well-formed job rows of about ``size`` bytes."""
    row = {"id": 0, "name": "filler_0.1", "type": "JOB", "status": "ENABLED", "execution": "Sequential", "error": None}
    written = 0
    number = 100_000_000_000_000
    opening = b"["
    while written < size:
        rows = []
        for _ in range(500):
            number += 1
            rows.append(dumps({**row, "id": number}))
        piece = opening + b",".join(rows)
        opening = b","
        written += len(piece)
        yield piece
    yield b"]"


#: The first of these that is switched on answers.
_REPLACEMENTS: Mapping[str, Callable[[Request, Fault], Response]] = {
    "hang": lambda _request, _fault: Silence(),
    "reset": lambda _request, _fault: Reset(),
    "html_login": lambda _request, _fault: HTMLResponse(_LOGIN_PAGE),
    "redirect_login": _redirect,
    "unauthorized": _status(401, "the token has expired"),
    "forbidden": _status(403, "Access Denied"),
    "executions_not_found": _status(404, "No static resource executions."),
    "vanished_application": _status(404, "application not found"),
    "application_failure": _status(500, "the application's database cannot be reached"),
    "server_error": _status(500, "Could not open JPA EntityManager for transaction"),
    "unavailable": _status(503, "starting"),
    "gateway_timeout": lambda _request, _fault: HTMLResponse(_GATEWAY_PAGE, 504),
    "legacy_701": _legacy,
    "results_error": _status(500, "Could not open JPA EntityManager for transaction"),
    "results_not_found": _status(404, "execution not found"),
    "empty_body": lambda _request, _fault: Response(b"", media_type="application/json"),
    "null_body": lambda _request, _fault: json_answer(None),
    "unknown_envelope": lambda _request, _fault: json_answer({"status": "UP", "answer": {"rows": 3}}),
    "huge_json": _huge,
}


def _truncate(response: Response, _: Fault) -> Response:
    body = bytes(response.body)
    return Response(body[: max(1, len(body) // 2)], response.status_code, media_type=response.media_type)


#: Applied to the right response, in this order.
_DISTURBANCES: Mapping[str, Callable[[Response, Fault], Response]] = {
    "truncated_json": _truncate,
    "slow_body": lambda response, fault: Trickle(response, fault.number),
    "reset_mid_body": lambda response, _fault: Reset(response),
    "kill_lost": lambda _response, _fault: Reset(),
}
