"""Answers as Spring Boot writes them."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from exporter.simulator.wire import dumps


def json_answer(value: Any, status: int = 200) -> Response:
    """Return ``value`` as an answer in JSON."""
    return Response(dumps(value), status, media_type="application/json")


def error_answer(request: Request, status: int, message: str = "", headers: dict[str, str] | None = None) -> Response:
    """Return Spring Boot's error body with the request's path."""
    return Response(error_body(request, status, message), status, headers, media_type="application/json")


def error_body(request: Request, status: int, message: str = "") -> bytes:
    """Return the body of ``error_answer``."""
    phrases = {known.value: known.phrase for known in HTTPStatus}
    return dumps(
        {
            "timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "status": status,
            "error": phrases.get(status, f"Http Status {status}"),
            "message": message or "No message available",
            "path": request.url.path,
        }
    )
