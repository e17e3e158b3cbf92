"""Plain HTTP on the loopback interface: to the programs under test, ports for them, and servers that stand in."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.processes import DEADLINE

# Loading the system's certificates takes longer than most requests, and plain HTTP needs none.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


# Ports that any process may be given by the system, as its own or for a connection, begin here on most systems.
_FIRST_GIVEN = 32768
_RANGE_OF_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port that nobody listens on, for a program that has to know its port before it starts.

    The system gives it to nobody else meanwhile, since it is outside the range from which the system chooses.
    """
    first_given = int(_RANGE_OF_GIVEN.read_text().split()[0]) if _RANGE_OF_GIVEN.exists() else _FIRST_GIVEN
    while True:
        port = random.randrange(first_given - 8192, first_given)  # noqa: S311 - no secret
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with a thread for each connection, on a port that the system chooses, and yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
