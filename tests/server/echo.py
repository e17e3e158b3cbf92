"""An application that tells what reached it, behind the project's server; tests run it as a program.

Its first argument is a JSON object with the limits that differ from the usual ones, its second, which may be missing,
a web configuration file. It logs what becomes of requests that take longer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

from starlette.types import Receive, Scope, Send

from exporter import logs
from exporter.server import ListenAddress, bind, serve
from exporter.server.passwords import PasswordCheck
from exporter.server.protocol import Limits
from exporter.server.webaccess import WebAccess, WebConfigFile

log = logging.getLogger(__name__)

LARGE = 64 * 1024 * 1024


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``/early`` at once, ``/large`` with more than any buffer holds, and the rest with what was received."""
    if scope["path"] == "/early":
        await _answer(send, 401, b"early\n")
    elif scope["path"] == "/large":
        await _send_much(send)
        log.info("large has ended")
    else:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                log.info("disconnected after %d bytes", len(body))
                return
            body += message["body"]
            if not message["more_body"]:
                break
        seen = {
            "method": scope["method"],
            "path": scope["path"],
            "headers": [name.decode() for name, _ in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        await _answer(send, 200, json.dumps(seen).encode())


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_much(send: Send) -> None:
    headers = [(b"content-length", str(LARGE).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    piece = bytes(256 * 1024)
    for sent in range(len(piece), LARGE + len(piece), len(piece)):
        await send({"type": "http.response.body", "body": piece, "more_body": sent < LARGE})


async def main(limits: Limits, web_config_file: Path | None) -> None:
    """Serve until a signal."""
    listeners = [bind(ListenAddress("127.0.0.1", 0))]
    if web_config_file is None:
        await serve(echo, listeners, drain=1, limits=limits)
    else:
        web = WebConfigFile(web_config_file)
        await serve(WebAccess(echo, web, PasswordCheck()), listeners, drain=1, limits=limits, tls=web.tls())


if __name__ == "__main__":
    logs.configure("debug")
    asyncio.run(main(Limits(**json.loads(sys.argv[1])), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
