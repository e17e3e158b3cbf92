"""Plain HTTP to the programs under test, all of which listen on the loopback interface."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from tests.processes import DEADLINE

# Loading the system's certificates takes longer than most requests, and plain HTTP needs none.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**options: Any) -> httpx.Client:
    """Return a client with the patience that a busy machine needs.

    Args:
        options: those of ``httpx.Client``.
    """
    return httpx.Client(**{"trust_env": False, "timeout": DEADLINE, "verify": _NO_CERTIFICATES, **options})


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """Return the answer to one request, which has a connection of its own.

    Args:
        method: of HTTP.
        url: whom to ask.
        options: those of ``httpx.Client.request``.
    """
    with client() as asking:
        return asking.request(method, url, **options)


def get(url: str, **options: Any) -> httpx.Response:
    """Return the answer to one GET request; the rest is as with ``request``."""
    return request("GET", url, **options)
