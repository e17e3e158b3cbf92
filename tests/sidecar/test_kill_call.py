"""The kill call on the wire: what is sent, once, and what its answer or its absence is called."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.cockpit.kill import Csrf, KillAnswer, KillCall
from exporter.config import Auth, Target
from exporter.config.profiles import resolve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
EMPTY_LIST = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"


@dataclass
class Server:
    """A server that answers each connection with the next of its answers, and keeps what it was sent."""

    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def serving(*answers: bytes | None) -> Iterator[Server]:
    """Serve ``answers``, one a connection; ``None`` resets the connection, an empty one never comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}/cockpit")
    held = []

    def work() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            held.append(connection)
            connection.settimeout(10)
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            server.requests.append(request.decode("latin-1"))
            if answer is None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
            elif answer:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield server
    thread.join(10)
    for connection in held:
        connection.close()
    listener.close()


def killed(url: str, *, csrf: Csrf = "none", seconds: float = 5, execution: str = "e-1", **auth: Any) -> KillAnswer:
    """Send a kill and return what came of it."""

    async def run() -> KillAnswer:
        target = Target(name="t", url=url, applications=("K7SALES",), auth=Auth(**auth))
        call = KillCall(target, resolve("cockpit", {}), csrf=csrf)
        try:
            return await call.kill("K7SALES", execution, asyncio.get_running_loop().time() + seconds)
        finally:
            await call.aclose()

    return asyncio.run(run())


def answering(status: str, body: bytes = b"") -> bytes:
    """Return an answer as it stands on the wire."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_kill_is_one_post_with_the_credential(tmp_path: Path) -> None:
    """A kill is a POST without a body to the execution's own path, with the target's token."""
    (tmp_path / "key").write_text("a-kill-key")
    with serving(OK) as server:
        assert KillAnswer("accepted", 200) == killed(server.url, bearer_token_file=tmp_path / "key")
    (request,) = server.requests
    assert request.startswith("POST /cockpit/api/rest/services/jobs/execution/e-1/kill HTTP/1.1\r\n")
    headers = set(request.lower().splitlines())
    assert {"content-length: 0", "authorization: bearer a-kill-key"} <= headers


@pytest.mark.parametrize(
    ("answer", "verdict", "status"),
    [
        (answering("204 No Content"), "accepted", 204),
        (answering("200 OK", b'{"ok":true}'), "accepted", 200),
        (answering("200 OK", b"  <!DOCTYPE html><title>Login</title>"), "unknown", 200),
        (answering("302 Found"), "rejected", 302),
        (answering("400 Bad Request"), "rejected", 400),
        (answering("401 Unauthorized"), "rejected", 401),
        (answering("403 Forbidden"), "rejected", 403),
        (answering("404 Not Found"), "gone", 404),
        (answering("405 Method Not Allowed"), "rejected", 405),
        (answering("409 Conflict"), "gone", 409),
        (answering("410 Gone"), "gone", 410),
        (answering("500 Internal Server Error"), "unknown", 500),
        (answering("502 Bad Gateway", b"<html>"), "unknown", 502),
        (answering("504 Gateway Timeout"), "unknown", 504),
        (answering("701 Odd"), "unknown", 701),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "unknown", None),
        (b"not HTTP at all\r\n\r\n", "unknown", None),
        (None, "unknown", None),
    ],
)
def test_answer_has_its_verdict(answer: bytes | None, verdict: str, status: int | None) -> None:
    """Each answer, and each way to lose it, has one verdict; the request is sent once whatever comes."""
    with serving(answer) as server:
        found = killed(server.url)
    assert (verdict, status, 1) == (found.verdict, found.status, len(server.requests))


def test_silence_after_sending_is_unknown() -> None:
    """A server that takes the request and never answers leaves the kill unknown, in time."""
    with serving(b"") as server:
        found = killed(server.url, seconds=2)
    assert ("unknown", None, 1) == (found.verdict, found.status, len(server.requests))


def test_refused_connection_sends_nothing() -> None:
    """Where nobody listens, nothing was sent, and that is known."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    found = killed(url)
    assert ("rejected", None, True) == (found.verdict, found.status, found.detail.startswith("nothing was sent: "))


def test_silence_before_sending_is_a_rejection() -> None:
    """A server that accepts no connection within the time was sent nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        # A full queue of connections keeps the next one from being made.
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        found = killed(f"http://127.0.0.1:{address[1]}", seconds=0.5)
        for filler in fillers:
            filler.close()
    assert ("rejected", None) == (found.verdict, found.status)


def test_spring_gets_back_what_it_set(tmp_path: Path) -> None:
    """With csrf: spring a GET comes first; its cookies and the token's header go with the kill."""
    (tmp_path / "cookie").write_text("tenant=blue")
    cookies = b"Set-Cookie: XSRF-TOKEN=t0ken; Path=/\r\nSet-Cookie: JSESSIONID=s; HttpOnly\r\n\r\n[]"
    with serving(EMPTY_LIST + cookies, OK) as server:
        found = killed(server.url, csrf="spring", cookie_file=tmp_path / "cookie")
    headers = server.requests[1].lower().splitlines()
    assert ("accepted", "GET ", True, True) == (
        found.verdict,
        server.requests[0][:4],
        "x-xsrf-token: t0ken" in headers,
        "cookie: tenant=blue; xsrf-token=t0ken; jsessionid=s" in headers,
    )


def test_spring_without_its_cookie_sends_nothing() -> None:
    """Where Cockpit sets no token, no kill is sent."""
    with serving(EMPTY_LIST + b"\r\n[]") as server:
        found = killed(server.url, csrf="spring")
    assert ("rejected", 1, "GET ") == (found.verdict, len(server.requests), server.requests[0][:4])


@pytest.mark.parametrize("execution", [".", "..", ""])
def test_id_that_is_no_path_segment_is_not_sent(execution: str) -> None:
    """An id that would change the path goes nowhere."""
    assert "rejected" == killed("http://127.0.0.1:1", execution=execution).verdict


@pytest.mark.parametrize("execution", ["a/b", "%2e%2e", "http://evil.example.com/", "?x#y", "\r\nHost: evil"])
def test_odd_id_stays_one_segment(execution: str) -> None:
    """Whatever an id holds, it is one segment of the path on the target's own server."""
    with serving(OK) as server:
        killed(server.url, execution=execution)
    path = server.requests[0].splitlines()[0].split(" ")[1]
    assert ["cockpit", "api", "rest", "services", "jobs", "execution", "kill"] == [
        *path.split("/")[1:7],
        path.split("/")[-1],
    ]
    assert 9 == len(path.split("/"))
