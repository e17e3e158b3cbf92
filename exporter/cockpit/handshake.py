"""Close connections whose TLS handshake does not come to its end in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

#: Called with the name of each step of a request, and what belongs to it: httpx's ``trace`` extension.
Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class Handshake:
    """A trace that closes the connection of a failed or cancelled handshake.

    httpcore closes a connection when the handshake fails, but not when a deadline cancels it. The event loop would keep
    it open for ever: a server that accepts connections and then hangs would cost a file descriptor at every read.

    Args:
        further: is told of every step too.
    """

    def __init__(self, further: Trace | None = None) -> None:
        self._further = further
        self._connection: Any = None

    async def __call__(self, step: str, details: Mapping[str, Any]) -> None:
        """Take note of a step."""
        # With a proxy, the handshake belongs to another logger, and so to another prefix, than the connection.
        name = step.partition(".")[2]
        if name == "connect_tcp.complete":
            self._connection = details["return_value"]
        elif name == "start_tls.failed" and self._connection is not None:
            await self._connection.aclose()
        if self._further is not None:
            await self._further(step, details)
