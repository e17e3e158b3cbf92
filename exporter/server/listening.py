"""Serve an ASGI application on one or several addresses until SIGTERM or SIGINT, then end cleanly.

Stock uvicorn raises the signal again before clean-up code runs; here a signal only asks the server to stop: it answers
what is in flight, then ``serve`` returns and the caller cleans up and exits with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from exporter.logs import fields
from exporter.server.protocol import Limits, protocol_with

log = logging.getLogger(__name__)


class ListenError(Exception):
    """An address cannot be listened on; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """``HOST:PORT``, ``[IPv6]:PORT`` or ``:PORT`` (all interfaces); port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """Read an address.

        Raises:
            ValueError: with what was wrong and what was expected.
        """
        host, separator, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is ambiguous: put an IPv6 address in brackets, as in [::1]:9877")
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - ports
            raise ValueError(f"{text!r} is not HOST:PORT or :PORT with a port from 0 to 65535")
        return cls(host, int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def bind(address: ListenAddress) -> socket.socket:
    """Return a listening socket; an empty host listens on IPv6 and IPv4 where the system has both.

    Raises:
        ListenError: the address is taken, not ours, or does not resolve.
    """
    try:
        listener = _listener(address)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}") from error
    # Connections inherit this, and asyncio does not set it for them: without it the body of each answer on a
    # connection that is kept waits about 40 ms for the client's acknowledgement of the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _listener(address: ListenAddress) -> socket.socket:
    if not address.host:
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):
                return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", address.port))
    family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((address.host, address.port), family=family)


def bound_url(listener: socket.socket, scheme: str = "http") -> str:
    """Return the address under which a person on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    if host in {"::", "0.0.0.0"}:  # noqa: S104 - compared with, not bound to
        host = "localhost"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Server(uvicorn.Server):
    """A server that leaves signals to its caller, and gives TLS handshakes no more time than requests."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None, limits: Limits) -> None:
        super().__init__(config)
        self._protocol = protocol_with(limits)
        self._tls: dict[str, Any] = {}
        if tls is not None:
            self._tls = {"ssl": tls, "ssl_handshake_timeout": limits.arrival, "ssl_shutdown_timeout": limits.linger}

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(self._connection, sock=listener, backlog=self.config.backlog, **self._tls)
            for listener in sockets or ()
        ]
        self.started = True

    def _connection(self) -> asyncio.Protocol:
        return self._protocol(self.config, self.server_state, app_state={})


async def serve(
    app: ASGIApp,
    listeners: Sequence[socket.socket],
    *,
    drain: float = 10.0,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve ``app`` on ``listeners`` until SIGTERM or SIGINT, or until the surrounding task is cancelled.

    Args:
        app: the ASGI application.
        listeners: bound sockets, closed on return.
        drain: seconds that requests in flight have to end after a signal; a second signal ends them at once.
        tls: what connections are encrypted with; plain HTTP without.
        limits: what a connection may take, instead of the usual limits.
    """
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain)),
    )
    server = _Server(config, tls, limits or Limits())

    def stop(received: signal.Signals) -> None:
        log.info("stopping", extra=fields(signal=received.name))
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    for listener in listeners:
        log.info("listening", extra=fields(url=bound_url(listener, "https" if tls else "http")))
    try:
        await server.serve(sockets=list(listeners))
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        for listener in listeners:
            listener.close()
