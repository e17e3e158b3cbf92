"""What the server takes from a connection, byte by byte, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.processes import DEADLINE, Process, poll, running

ECHO = Path(__file__).parent / "echo.py"
KIB = 1024


@dataclass(frozen=True, slots=True)
class Server:
    """A running echo."""

    process: Process
    port: int

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def answers(self, *pieces: bytes) -> list[Answer]:
        """Send ``pieces`` on one connection, read until the server ends it, and return the answers."""
        with self.connect() as connection:
            # A refused client gets its answer while it still sends, as one that reads and writes at once does.
            sender = threading.Thread(target=send, args=(connection, pieces))
            sender.start()
            received = read_to_end(connection)
            sender.join()
        return parsed(received)

    def answer(self, *pieces: bytes) -> Answer:
        """Send ``pieces`` on one connection and return the only answer."""
        (answer,) = self.answers(*pieces)
        return answer


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seen(self) -> Any:
        """What the application saw."""
        return json.loads(self.body)


def send(connection: socket.socket, pieces: tuple[bytes, ...]) -> None:
    """Send ``pieces`` one after the other, as far as the server takes them."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for piece in pieces:
            connection.sendall(piece)


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything until the server ends the connection."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(64 * KIB):
            received += piece
    return bytes(received)


def read_answer(connection: socket.socket) -> Answer:
    """Return the next answer of a connection that stays open."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        received += connection.recv(1)
    length = next(int(line[15:]) for line in received.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while length:
        piece = connection.recv(length)
        assert piece
        received += piece
        length -= len(piece)
    (answer,) = parsed(bytes(received))
    return answer


def parsed(received: bytes) -> list[Answer]:
    """Return the answers that stand one after the other in ``received``."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        assert len(rest) >= length
        answers.append(Answer(int(status.split(" ")[1]), headers, rest[:length]))
        received = rest[length:]
    return answers


@contextlib.contextmanager
def echoing(folder: Path, **limits: float) -> Iterator[Server]:
    """Run an echo with some limits of its own."""
    with running([sys.executable, ECHO, json.dumps(limits)], folder, name="echo") as process:
        yield Server(process, int(process.listening_url().rpartition(":")[2]))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An echo with the limits that all of the project's servers have."""
    with echoing(tmp_path_factory.mktemp("usual")) as server:
        yield server


#: Seconds in which a server with a limit of a second or two is through with a client, and one with the usual is not.
MUCH_LONGER = 25.0


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An echo that waits two seconds for a client to send, and less for it to read; the usual one waits for many."""
    with echoing(tmp_path_factory.mktemp("hasty"), arrival=2, departure=0.5) as server:
        yield server


def request(*lines: str, target: str = "/", method: str = "GET", version: str = "HTTP/1.1", body: str = "") -> bytes:
    """Return a request as bytes, whatever it may hold."""
    return "\r\n".join([f"{method} {target} {version}", *lines, "", body]).encode("latin-1")


CLOSE = "Connection: close"

REFUSED = {
    "no-host": (request(CLOSE), 400, "the request has 0 Host headers, expected one"),
    "two-hosts": (request("Host: a", "host: b", CLOSE), 400, "the request has 2 Host headers, expected one"),
    "the-same-host-twice": (request("Host: a", "Host: a"), 400, "the request has 2 Host headers, expected one"),
    "two-hosts-in-http-1.0": (
        request("Host: a", "Host: b", version="HTTP/1.0"),
        400,
        "the request has 2 Host headers, expected one",
    ),
    "empty-host": (request("Host:"), 400, "the Host header is not HOST or HOST:PORT"),
    "host-with-a-user": (request("Host: good@bad"), 400, "the Host header is not HOST or HOST:PORT"),
    "host-with-a-path": (request("Host: good/bad"), 400, "the Host header is not HOST or HOST:PORT"),
    "two-hosts-in-one": (request("Host: good, bad"), 400, "the Host header is not HOST or HOST:PORT"),
    "host-with-odd-port": (request("Host: good:80a"), 400, "the Host header is not HOST or HOST:PORT"),
    "length-and-chunked": (
        request("Host: a", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST", body="0\r\n\r\n"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "chunked-and-length": (
        request("Host: a", "Transfer-Encoding: chunked", "Content-Length: 5", method="POST", body="0\r\n\r\n"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "two-lengths": (
        request("Host: a", "Content-Length: 1", "Content-Length: 1", method="POST", body="a"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "signed-length": (
        request("Host: a", "Content-Length: +1", method="POST", body="a"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "length-beyond-64-bits": (
        request("Host: a", "Content-Length: 99999999999999999999", method="POST"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "chunked-twice": (
        request("Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", method="POST"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "chunked-before-another-coding": (
        request("Host: a", "Transfer-Encoding: chunked, gzip", method="POST"),
        400,
        "the request is not valid HTTP/1.1",
    ),
    "compressed-transfer": (
        request("Host: a", "Transfer-Encoding: gzip, chunked", method="POST", body="0\r\n\r\n"),
        501,
        "the only Transfer-Encoding understood is chunked",
    ),
    "chunked-in-http-1.0": (
        request("Host: a", "Transfer-Encoding: chunked", method="POST", version="HTTP/1.0", body="0\r\n\r\n"),
        400,
        "HTTP/1.0 has no Transfer-Encoding",
    ),
    "folded-header": (request("Host: a", "X-A: b", " c"), 400, "the request is not valid HTTP/1.1"),
    "space-before-colon": (request("Host : a"), 400, "the request is not valid HTTP/1.1"),
    "nameless-header": (request("Host: a", ": b"), 400, "the request is not valid HTTP/1.1"),
    "nul-in-header": (request("Host: a", "X-A: b\0c"), 400, "the request is not valid HTTP/1.1"),
    "bare-carriage-return": (request("Host: a\rX-A: b"), 400, "the request is not valid HTTP/1.1"),
    "bare-line-feed": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "the request is not valid HTTP/1.1"),
    "not-ascii-target": (request("Host: a", target="/\xe9"), 400, "the request is not valid HTTP/1.1"),
    "absolute-target": (
        request("Host: a", target="http://a/"),
        400,
        "the request target is not a path with an optional query",
    ),
    "asterisk-target": (
        request("Host: a", target="*", method="OPTIONS"),
        400,
        "the request target is not a path with an optional query",
    ),
    "authority-target": (
        request("Host: a", target="a:80", method="CONNECT"),
        400,
        "the request target is not a path with an optional query",
    ),
    "fragment-in-target": (
        request("Host: a", target="/-/healthy#/metrics"),
        400,
        "the request target is not a path with an optional query",
    ),
    "http-0.9": (request("Host: a", version="HTTP/0.9"), 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
    "http-2": (request("Host: a", version="HTTP/2.0"), 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
    "http-2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "the request is not valid HTTP/1.1"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "the request is not valid HTTP/1.1"),
    "unknown-method": (request("Host: a", method="BREW"), 400, "the request is not valid HTTP/1.1"),
    "long-target": (
        request("Host: a", target="/" + "a" * 8 * KIB),
        414,
        "the request target has more than 8192 bytes",
    ),
    "large-header": (request("Host: a", "X-A: " + "a" * 32 * KIB), 431, "the headers have more than 32768 bytes"),
    "many-headers": (
        request("Host: a", *(f"X-{number}: a" for number in range(10_000))),
        431,
        "the headers have more than 32768 bytes",
    ),
    "large-body": (
        request("Host: a", f"Content-Length: {64 * KIB + 1}", method="POST", body="a" * (64 * KIB + 1)),
        413,
        "the body has more than 65536 bytes",
    ),
    "large-body-announced": (
        request("Host: a", "Content-Length: 9999999999", method="POST"),
        413,
        "the body has more than 65536 bytes",
    ),
    "large-chunked-body": (
        request("Host: a", "Transfer-Encoding: chunked", method="POST", body="10001\r\n" + "a" * 65537 + "\r\n"),
        413,
        "the body has more than 65536 bytes",
    ),
    "large-body-of-a-get": (
        request("Host: a", "Transfer-Encoding: chunked", body="10001\r\n" + "a" * 65537 + "\r\n"),
        413,
        "the body has more than 65536 bytes",
    ),
}


@pytest.mark.parametrize(("sent", "status", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_requests(usual: Server, sent: bytes, status: int, sentence: str) -> None:
    """A request that is malformed, ambiguous or too large gets one answer that says why, and nothing else."""
    answer = usual.answer(sent)
    assert (status, f"{sentence}\n") == (answer.status, answer.body.decode())
    assert "close" == answer.headers["connection"]


def test_refusals_carry_the_headers_of_every_answer(usual: Server) -> None:
    """A refusal is not cached, sniffed, framed or indexed, and names no server software."""
    answer = usual.answer(request())
    assert {
        "connection": "close",
        "content-length": "45",
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": ("default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "x-robots-tag": "noindex",
    } == {name: value for name, value in answer.headers.items() if name != "date"}


ACCEPTED = {
    "get": (request("Host: a", CLOSE), "GET", "/"),
    "host-with-port": (request("Host: a.example.com:9877", CLOSE), "GET", "/"),
    "ipv6-host": (request("Host: [::1]:9877", CLOSE), "GET", "/"),
    "http-1.0-without-host": (request(version="HTTP/1.0"), "GET", "/"),
    "empty-lines-first": (b"\r\n\r\n" + request("Host: a", CLOSE), "GET", "/"),
    "escaped-path": (request("Host: a", CLOSE, target="/%2e%2e/%00"), "GET", "/../\0"),
    "double-slash": (request("Host: a", CLOSE, target="//b/c"), "GET", "//b/c"),
    "longest-target": (request("Host: a", CLOSE, target="/" + "a" * 8191), "GET", "/" + "a" * 8191),
}


@pytest.mark.parametrize(("sent", "method", "path"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_requests(usual: Server, sent: bytes, method: str, path: str) -> None:
    """A request within the limits reaches the application as it was sent."""
    answer = usual.answer(sent)
    assert (200, method, path) == (answer.status, answer.seen["method"], answer.seen["path"])


def test_largest_head_and_body(usual: Server) -> None:
    """Headers of 32 KiB and a body of 64 KiB are taken."""
    fixed = len("Host: aConnection: closeContent-Length: 65536X-A: ") + 4 * 4 - 4 * 2
    sent = request(
        "Host: a",
        CLOSE,
        "Content-Length: 65536",
        "X-A: " + "a" * (32 * KIB - fixed),
        method="POST",
        body="b" * 64 * KIB,
    )
    answer = usual.answer(sent)
    assert 200 == answer.status
    assert "b" * 64 * KIB == answer.seen["body"]


def test_request_in_single_bytes(usual: Server) -> None:
    """A request whose bytes arrive one by one is the same request."""
    sent = request("Host: a", CLOSE, "Content-Length: 3", target="/a", method="POST", body="abc")
    answer = usual.answer(*(bytes([byte]) for byte in sent))
    assert ("/a", "abc", ["host", "connection", "content-length"]) == (
        answer.seen["path"],
        answer.seen["body"],
        answer.seen["headers"],
    )


@pytest.mark.parametrize(
    ("begin", "piece", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"a" * KIB, 431, id="one-header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: aaaaaaaaaa\r\n" * 64, 431, id="headers"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", b"a" * KIB, 431, id="header-name"),
        pytest.param(b"GET /", b"a" * KIB, 414, id="target"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 64, 413, id="chunks"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * KIB, 413, id="extension"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X-A: aaaaaaaaaa\r\n" * 64,
            431,
            id="trailers",
        ),
    ],
)
def test_endless_requests(usual: Server, begin: bytes, piece: bytes, status: int) -> None:
    """A request that never ends is refused when it exceeds its limit, not kept in memory."""
    assert status == usual.answer(begin, *[piece] * 60 * KIB).status


def test_trailers_are_no_headers(usual: Server) -> None:
    """What follows a chunked body never shows up among the headers that the application sees."""
    sent = request(
        "Host: a",
        CLOSE,
        "Transfer-Encoding: chunked",
        method="POST",
        body="3\r\nabc\r\n0\r\nX-WEBAUTH-USER: admin\r\n\r\n",
    )
    answer = usual.answer(sent)
    assert (["host", "connection", "transfer-encoding"], "abc") == (answer.seen["headers"], answer.seen["body"])


def test_trailers_that_come_late_are_no_headers(usual: Server) -> None:
    """The same holds when they arrive while the application already reads the body."""
    head = request("Host: a", CLOSE, "Transfer-Encoding: chunked", method="POST", body="3\r\nabc\r\n")
    answer = usual.answer(*(bytes([byte]) for byte in head + b"0\r\nX-WEBAUTH-USER: admin\r\n\r\n"))
    assert ["host", "connection", "transfer-encoding"] == answer.seen["headers"]


def test_keep_alive(usual: Server) -> None:
    """Several requests, with and without bodies, are answered one after the other on one connection."""
    with usual.connect() as connection:
        for path, body in (("/a", ""), ("/b", "xyz"), ("/c", "")):
            connection.sendall(
                request("Host: a", f"Content-Length: {len(body)}", target=path, method="POST", body=body)
            )
            assert (path, body) == ((answer := read_answer(connection)).seen["path"], answer.seen["body"])


def test_pipelined_requests(usual: Server) -> None:
    """Requests that do not wait for the answer before are answered in their order."""
    sent = b"".join(request("Host: a", target=f"/{number}") for number in range(10))
    answers = usual.answers(sent + request("Host: a", CLOSE, target="/last"))
    assert [*(f"/{number}" for number in range(10)), "/last"] == [answer.seen["path"] for answer in answers]


def test_too_many_pipelined_requests(usual: Server) -> None:
    """Of a thousand requests at once the first few are answered, then the connection ends."""
    answers = usual.answers(request("Host: a") * 1000)
    assert [200] * 17 == [answer.status for answer in answers]


def test_refusal_waits_for_the_answer_before(usual: Server) -> None:
    """What is wrong with a second request does not disturb the answer to the first."""
    answers = usual.answers(request("Host: a", target="/first") + request(target="/no-host"))
    assert ["/first"] == [answer.seen["path"] for answer in answers]


def test_smuggled_request_is_not_answered(usual: Server) -> None:
    """What stands behind an ambiguous request is not taken for a request."""
    ambiguous = request("Host: a", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST", body="0\r\n\r\n")
    assert [400] == [answer.status for answer in usual.answers(ambiguous + request("Host: a", target="/smuggled"))]


def test_upgrade_is_ignored(usual: Server) -> None:
    """A request that offers another protocol is answered in this one, and what follows it is not interpreted."""
    upgrade = request("Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", target="/a")
    answers = usual.answers(upgrade + request("Host: a", target="/b"))
    assert ["/a"] == [answer.seen["path"] for answer in answers]
    assert "close" == answers[0].headers["connection"]


def test_early_answer_to_a_large_body(usual: Server) -> None:
    """A body beyond the limit adds no second answer to one that is already sent."""
    head = request("Host: a", "Transfer-Encoding: chunked", method="POST", target="/early")
    with usual.connect() as connection:
        connection.sendall(head)
        assert 401 == read_answer(connection).status
        send(connection, (b"10000\r\n" + b"a" * 65536 + b"\r\n",) * 2)
        assert b"" == read_to_end(connection)


#: What slow clients begin with, and what they send again and again.
SLOW = {
    "headers": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"a"),
    "target": (b"GET /", b"a"),
    "body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b"a"),
    "chunks": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}
#: The same of clients that begin no request.
WITHOUT_REQUEST = {"silence": (b"", b""), "empty-lines": (b"", b"\r\n")}


@pytest.fixture(scope="module")
def given_up(hasty: Server) -> dict[str, bytes]:
    """What slow clients of every kind, all at the same time, were sent until their connections ended."""
    clients = SLOW | WITHOUT_REQUEST
    with ThreadPoolExecutor(len(clients)) as pool:
        return dict(zip(clients, pool.map(lambda client: trickled(hasty, *client), clients.values()), strict=True))


@pytest.mark.parametrize("client", WITHOUT_REQUEST)
def test_connection_without_request_ends(given_up: dict[str, bytes], client: str) -> None:
    """A connection on which nothing is sent, or only empty lines, is closed without a word."""
    assert b"" == given_up[client]


@pytest.mark.parametrize("client", SLOW)
def test_slow_requests(given_up: dict[str, bytes], client: str) -> None:
    """A request that trickles in is given up when its time is over, however steadily it trickles."""
    (answer,) = parsed(given_up[client])
    assert (408, b"the request took too long to arrive\n") == (answer.status, answer.body)


def trickled(server: Server, begin: bytes, more: bytes) -> bytes:
    """Send ``begin`` and then ``more`` again and again, until the server ends the connection; return what it sent."""
    received = bytearray()
    with server.connect() as connection, contextlib.suppress(ConnectionResetError):
        connection.settimeout(0.05)
        send(connection, (begin,))
        while True:
            try:
                piece = connection.recv(64 * KIB)
            except TimeoutError:
                # Where the server has hung up meanwhile, its answer is still to be read.
                send(connection, (more,))
                continue
            if not piece:
                break
            received += piece
    return bytes(received)


def test_application_sees_no_part_of_a_body_as_the_whole(hasty: Server) -> None:
    """An application that waits for a body that does not come is told that the client is gone."""
    hasty.answer(request("Host: a", "Content-Length: 777", method="POST", body="a" * 333))
    hasty.process.wait_for("disconnected after 333 bytes")


def test_second_request_that_stops_is_given_up(hasty: Server) -> None:
    """On a connection that has been used before, a request that does not end is given up, too."""
    with hasty.connect() as connection:
        connection.sendall(request("Host: a"))
        assert 200 == read_answer(connection).status
        connection.sendall(b"GET / HTTP")
        (answer,) = parsed(read_to_end(connection))
    assert 408 == answer.status


def test_idle_connection_ends(tmp_path: Path) -> None:
    """A connection that is idle after an answer is closed without a word."""
    with echoing(tmp_path, keep_alive=0.5) as server, server.connect() as connection:
        connection.sendall(request("Host: a"))
        assert 200 == read_answer(connection).status
        connection.settimeout(MUCH_LONGER)
        assert b"" == read_to_end(connection)


def test_unread_answer_is_given_up(hasty: Server) -> None:
    """A client that does not read what it asked for loses its connection, and the application goes on."""
    with hasty.connect() as connection:
        connection.sendall(request("Host: a", target="/large"))
        hasty.process.wait_for("large has ended", deadline=MUCH_LONGER)


def test_too_many_connections(tmp_path: Path) -> None:
    """Beyond its limit of connections the server answers 503, and serves again when one of them ends."""
    with echoing(tmp_path, connections=2) as server:
        with server.connect() as first, server.connect() as second:
            for connection in (first, second):
                connection.sendall(request("Host: a"))
                assert 200 == read_answer(connection).status
            refused = server.answer()
            assert (503, b"too many connections are open\n") == (refused.status, refused.body)
        assert 200 == poll(lambda: served(server)).status


def served(server: Server) -> Answer | None:
    """Return the answer to a request unless it is 503."""
    answer = server.answer(request("Host: a", CLOSE))
    return None if answer.status == 503 else answer


def test_refusals_are_no_flood_in_the_log(usual: Server) -> None:
    """What clients send wrong is logged for those who look for it, one line each and without its content."""
    usual.answer(request("Host: very@odd"))
    line = usual.process.wait_for(r".*msg=.request refused. status=400 reason=.the Host header is not.*")[0]
    assert "level=debug" in line
    assert "odd" not in usual.process.log
