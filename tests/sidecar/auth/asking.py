"""Requests as the server hands them to the providers."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest
from starlette.requests import Request

from exporter.sidecar.identity import AuthFailed, Principal, Provider


def request(*headers: tuple[str, str | bytes], peer: str = "192.0.2.7") -> Request:
    """Return a request from ``peer`` with these headers, a name as often as it is given."""
    raw = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in headers
    ]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "client": (peer, 50_000)})


def ask(provider: Provider, asked: Request, *, fresh: bool = False) -> Principal | None:
    """Return what a provider answers."""
    return asyncio.run(provider.authenticate(asked, fresh=fresh))


def failure(provider: Provider, asked: Request) -> tuple[HTTPStatus, str]:
    """Return with which status and sentence a provider fails."""
    with pytest.raises(AuthFailed) as caught:
        ask(provider, asked)
    return caught.value.status, caught.value.sentence
