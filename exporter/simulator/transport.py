"""Answers below HTTP's good manners: reset connections, silence, and a status that no HTTP library knows."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request and what may be done to the connection that it came on."""

    scope: Scope
    receive: Receive
    send: Send

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; ``None`` when no uvicorn is there (an in-process client)."""
        # ASGI has no way to a connection; uvicorn's receive is a method of the object that holds it.
        transport = getattr(getattr(self.receive, "__self__", None), "transport", None)
        return transport if isinstance(transport, asyncio.Transport) else None

    async def gone(self) -> None:
        """Wait until the client, or our end of the connection, has gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def begin(self, response: Response) -> None:
        """Send the status and headers of ``response``."""
        start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        await self.send(start)

    async def piece(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})


class _Direct(Response):
    """A response that decides itself what happens to the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI wants it."""
        await self._answer(_Exchange(scope, receive, send))

    async def _answer(self, exchange: _Exchange) -> None:
        raise NotImplementedError


class Reset(_Direct):
    """Reset the connection, after half of ``sent`` where there is any; in process, raise ``ConnectionResetError``."""

    def __init__(self, sent: Response | None = None) -> None:
        super().__init__()
        self._sent = sent

    async def _answer(self, exchange: _Exchange) -> None:
        transport = exchange.transport
        if transport is None:
            raise ConnectionResetError("reset by the simulator")
        if self._sent is not None:
            await exchange.begin(self._sent)
            await exchange.piece(bytes(self._sent.body)[: len(self._sent.body) // 2])
            # A reset throws away what the client has not read yet: give it time to read that half.
            await asyncio.sleep(0.2)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
        await exchange.gone()


class Silence(_Direct):
    """Answer nothing until the client goes away, or the simulator ends."""

    async def _answer(self, exchange: _Exchange) -> None:
        await exchange.gone()


class OddStatus(_Direct):
    """A response whose status is outside the range that uvicorn can write."""

    async def _answer(self, exchange: _Exchange) -> None:
        transport = exchange.transport
        if transport is None:
            await exchange.begin(self)
            await exchange.piece(bytes(self.body), more=False)
            return
        head = [f"HTTP/1.1 {self.status_code} ".encode(), *(b"%b: %b" % header for header in self.raw_headers)]
        transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(self.body)]))
        transport.close()
        await exchange.gone()


class Trickle(_Direct):
    """Send another response's body in ``pieces`` over ``duration`` seconds."""

    def __init__(self, whole: Response, duration: float, pieces: int = 20) -> None:
        super().__init__()
        self._whole = whole
        self._pause = duration / pieces
        self._pieces = pieces

    async def _answer(self, exchange: _Exchange) -> None:
        body = bytes(self._whole.body)
        step = max(1, -(-len(body) // self._pieces))
        await exchange.begin(self._whole)
        for first in range(0, len(body), step):
            await asyncio.sleep(self._pause)
            await exchange.piece(body[first : first + step])
        await exchange.piece(b"", more=False)


def ending_quietly(app: ASGIApp) -> ASGIApp:
    """Return ``app`` with requests that are still open when the server ends dropped without a traceback in the log."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            exchange = _Exchange(scope, receive, send)
            if exchange.transport is None:
                raise
            exchange.transport.abort()
            await exchange.gone()

    return quiet
