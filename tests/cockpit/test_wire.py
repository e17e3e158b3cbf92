"""The client on a real connection: resets, torn and slow bodies, compression, TLS, proxies."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from exporter.cockpit import (
    CockpitClient,
    CockpitError,
    ConnectFailed,
    NotJSON,
    Redirected,
    RequestTimeout,
    ServerError,
    TLSFailed,
    TooLarge,
)
from exporter.config import Auth, Limits, Tls
from exporter.config.profiles import resolve
from tests.cockpit.asking import soon, target
from tests.processes import DEADLINE

#: What is told is the time that was left when the request began.
WITHIN_HALF_A_SECOND = r"no complete answer within 0\.\d+ s"

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LIST = b'[{"id": 1, "name": "load_orders_0.1", "status": "ENABLED"}]'


def response(body: bytes = LIST, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(*pieces: bytes, then: str = "close") -> Answering:
    """Return a server's side of a connection: it takes a request, sends ``pieces``, and closes, resets or hangs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        if then == "hang":
            # Until the client has gone.
            await reader.read()
        elif then == "reset":
            writer.transport.abort()
        else:
            writer.close()

    return answer


@contextlib.asynccontextmanager
async def serving(answer: Answering, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port, and wait at the end until every connection is done."""
    connections: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*connections, return_exceptions=True)


def asked(answer: Answering, *, context: ssl.SSLContext | None = None, seconds: float = 20.0, **settings: Any) -> Any:
    """Return the jobs that a server on the loopback interface answers with."""

    async def run() -> Any:
        async with serving(answer, context) as port:
            scheme = "http" if context is None else "https"
            site = target(**{"url": f"{scheme}://127.0.0.1:{port}", **settings})
            async with CockpitClient(site, resolve("cockpit", {})) as client:
                return await client.jobs("K7SALES", soon(seconds))

    return asyncio.run(run())


def failing(answer: Answering, **settings: Any) -> CockpitError:
    """Return the error that a server's answer leads to."""
    with pytest.raises(CockpitError) as caught:
        asked(answer, **settings)
    return caught.value


def test_answer_over_the_wire() -> None:
    """An answer that arrives in small pieces is whole."""
    pieces = [response()[place : place + 7] for place in range(0, len(response()), 7)]

    assert [job.name for job in asked(answering(*pieces)).rows] == ["load_orders_0.1"]


def test_chunked_answer() -> None:
    """A chunked answer is whole."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert asked(answering(head + b"5\r\n" + LIST[:5] + b"\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(LIST) - 5, LIST[5:])))


@pytest.mark.parametrize(
    ("answer", "error", "detail"),
    [
        (answering(), ConnectFailed, "the connection broke: Server disconnected without sending a response."),
        (answering(then="reset"), ConnectFailed, "the connection broke: "),
        (answering(b"SSH-2.0-OpenSSH\r\n\r\n"), ConnectFailed, "the connection broke: "),
        (answering(response()[:-10]), ConnectFailed, "the connection broke: peer closed connection without sending"),
        (answering(response()[:-10], then="reset"), ConnectFailed, "the connection broke: "),
        (answering(response(b"", "200 OK")), NotJSON, "the body is empty"),
        (
            answering(response(b"<html>", "302 Found", "Location: /login?a=b")),
            Redirected,
            "answered 302 Found to /login",
        ),
        (answering(response(b"busy", "503 No")), ServerError, "answered 503 Service Unavailable: busy"),
        (answering(response(b"old", "701 Old")), ServerError, "answered 701: old"),
        (answering(response(b"busy", "500 No")[:-2]), ServerError, "answered 500 Internal Server Error"),
    ],
)
def test_broken_answers(answer: Answering, error: type[CockpitError], detail: str) -> None:
    """Resets, torn bodies and foreign protocols are failed connections; a status counts even with a torn body."""
    raised = failing(answer)

    assert isinstance(raised, error)
    assert raised.detail.startswith(detail)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(answering(then="hang"), id="no answer"),
        pytest.param(answering(response()[:20], then="hang"), id="half a head"),
        pytest.param(answering(response()[:-10], then="hang"), id="half a body"),
    ],
)
def test_slow_answers(answer: Answering) -> None:
    """Whatever hangs is given up at the deadline."""
    raised = failing(answer, seconds=0.5)

    assert isinstance(raised, RequestTimeout)
    assert re.fullmatch(WITHIN_HALF_A_SECOND, raised.detail)


def test_body_that_trickles() -> None:
    """A body that keeps arriving without end is given up at the deadline, however lively it is."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n[")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    assert isinstance(failing(trickle, seconds=0.3), RequestTimeout)


def test_error_with_endless_body() -> None:
    """An error's status is told without waiting for the end of its body."""
    endless = b"HTTP/1.1 500 No\r\n\r\n" + b"out of memory " * 10_000

    raised = failing(answering(endless, then="hang"))

    assert raised.detail.startswith("answered 500 Internal Server Error: out of memory out of")


def test_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    """A body without end is cut off at the limit."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n[")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b" " * 65_536)
                await writer.drain()

    raised = failing(flood, limits=Limits(response_bytes=1_000_000))

    assert (type(raised), raised.detail) == (TooLarge, "the body has more than 1000000 bytes")


def test_refused_connection() -> None:
    """A port on which nobody listens is a failed connection, with the system's reason."""
    with socket.socket() as bound:
        # Taken, so that nobody else listens on it meanwhile.
        bound.bind(("127.0.0.1", 0))

        raised = failing(answering(), url=f"http://127.0.0.1:{bound.getsockname()[1]}")

    assert (type(raised), raised.detail) == (ConnectFailed, "cannot connect: Connection refused")


def test_name_that_does_not_resolve() -> None:
    """A host that does not exist is a failed connection."""
    # Where no name server answers, the system gives up after a while.
    raised = failing(answering(), url="http://nowhere.invalid", seconds=120)

    assert isinstance(raised, ConnectFailed)
    assert raised.detail.startswith("cannot connect: ")


def test_environment_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment changes nothing."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert asked(answering(response())).listed == 1


def test_proxy_of_the_target() -> None:
    """With proxy_url the request goes to the proxy, with the whole address."""
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(response())

    async def run() -> Any:
        async with serving(proxy) as port:
            site = target(url="http://apps.example.com/cockpit", proxy_url=SecretStr(f"http://127.0.0.1:{port}"))
            async with CockpitClient(site, resolve("cockpit", {})) as client:
                return await client.jobs("K7SALES", soon())

    assert asyncio.run(run()).listed == 1
    path = b"/cockpit/api/rest/application/K7SALES/services/jobs"
    assert lines == [b"GET http://apps.example.com" + path + b" HTTP/1.1"]


# --- TLS -----------------------------------------------------------------------------------------------------------


class Authority:
    """A throw-away certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._openssl("req", "-x509", "-days", "2", "-subj", "/CN=Test CA", "-out", self.certificate, key=self._key)

    def issue(self, name: str, subject_alternative_name: str) -> tuple[Path, Path]:
        """Return a new certificate and its key."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request: list[str | Path] = [
            "req", "-x509", "-days", "2", "-subj", f"/CN={name}", "-CA", self.certificate, "-CAkey", self._key,
            "-addext", f"subjectAltName={subject_alternative_name}", "-addext", "basicConstraints=critical,CA:false",
            "-out", certificate,
        ]  # fmt: skip
        self._openssl(*request, key=key)
        return certificate, key

    def _openssl(self, *arguments: str | Path, key: Path) -> None:
        new_key: list[str | Path] = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-noenc",
            "-keyout",
            key,
        ]
        subprocess.run(["openssl", *arguments, *new_key], check=True, capture_output=True)  # noqa: S603, S607 - our own arguments; openssl from the path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def loopback(authority: Authority) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 and apps.example.com."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "IP:127.0.0.1,DNS:apps.example.com"))
    return context


@pytest.fixture(scope="module")
def elsewhere(authority: Authority) -> ssl.SSLContext:
    """A server's context with a certificate for another host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("elsewhere", "DNS:elsewhere.example.com"))
    return context


def test_trusted_certificate(authority: Authority, loopback: ssl.SSLContext) -> None:
    """A certificate of the configured authority is accepted."""
    listed = asked(answering(response()), context=loopback, tls=Tls(ca_file=authority.certificate))

    assert listed.listed == 1


def test_untrusted_certificate(loopback: ssl.SSLContext) -> None:
    """A certificate of an unknown authority is refused with the reason."""
    raised = failing(answering(response()), context=loopback)

    assert isinstance(raised, TLSFailed)
    assert raised.detail == "the certificate is not acceptable: unable to get local issuer certificate"


def test_certificate_of_another_host(authority: Authority, elsewhere: ssl.SSLContext) -> None:
    """A certificate for another host is refused with the reason."""
    raised = failing(answering(response()), context=elsewhere, tls=Tls(ca_file=authority.certificate))

    assert isinstance(raised, TLSFailed)
    assert raised.detail.startswith("the certificate is not acceptable: IP address mismatch")


def test_server_name(authority: Authority, elsewhere: ssl.SSLContext) -> None:
    """server_name is the name that the certificate must have."""
    tls = Tls(ca_file=authority.certificate, server_name="elsewhere.example.com")

    assert asked(answering(response()), context=elsewhere, tls=tls).listed == 1


def test_skipped_verification(elsewhere: ssl.SSLContext) -> None:
    """insecure_skip_verify accepts any certificate."""
    assert asked(answering(response()), context=elsewhere, tls=Tls(insecure_skip_verify=True)).listed == 1


def test_https_to_a_plain_server() -> None:
    """A server that does not speak TLS is a TLS failure."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def run() -> None:
        async with (
            serving(plain) as port,
            CockpitClient(target(url=f"https://127.0.0.1:{port}"), resolve("cockpit", {})) as client,
        ):
            await client.jobs("K7SALES", soon())

    with pytest.raises(TLSFailed, match=r"^the handshake failed: "):
        asyncio.run(run())


def test_handshake_that_hangs() -> None:
    """A server that never ends the handshake is given up at the deadline, and the connection to it is closed."""
    closed: list[bool] = []

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        closed.append(True)

    async def run() -> None:
        async with (
            serving(hang) as port,
            CockpitClient(target(url=f"https://127.0.0.1:{port}"), resolve("cockpit", {})) as client,
        ):
            await client.jobs("K7SALES", soon(0.5))

    with pytest.raises(RequestTimeout, match=f"^{WITHIN_HALF_A_SECOND}$"):
        asyncio.run(run())
    assert closed == [True]


def test_torn_tls_connection(authority: Authority, loopback: ssl.SSLContext) -> None:
    """A connection that is torn after the handshake is a failed connection, not a TLS failure."""
    raised = failing(
        answering(response()[:-10], then="reset"), context=loopback, tls=Tls(ca_file=authority.certificate)
    )

    assert isinstance(raised, ConnectFailed)


@pytest.fixture
def demanding(authority: Authority) -> ssl.SSLContext:
    """A server's context that wants to see a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "IP:127.0.0.1"))
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    # TLS 1.3 refuses only after the client's handshake is over, when a reset may outrun the refusal.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_client_certificate(authority: Authority, demanding: ssl.SSLContext) -> None:
    """The configured certificate is shown to a server that wants one."""
    certificate, key = authority.issue("client", "DNS:client.example.com")
    tls = Tls(ca_file=authority.certificate, cert_file=certificate, key_file=key)

    assert asked(answering(response()), context=demanding, tls=tls).listed == 1


def test_missing_client_certificate(authority: Authority, demanding: ssl.SSLContext) -> None:
    """A server that wants a certificate and gets none ends the handshake: a TLS failure."""
    raised = failing(answering(response()), context=demanding, tls=Tls(ca_file=authority.certificate))

    assert isinstance(raised, TLSFailed)
    assert raised.detail.startswith("the handshake failed: ")


def test_rotated_authority(authority: Authority, loopback: ssl.SSLContext, tmp_path: Path) -> None:
    """A ca_file that changes takes effect with the next connection."""
    ca_file = tmp_path / "ca.pem"
    (tmp_path / "other").mkdir()
    ca_file.write_bytes(Authority(tmp_path / "other").certificate.read_bytes())

    async def run() -> tuple[str, int]:
        async with serving(answering(response()), loopback) as port:
            site = target(url=f"https://127.0.0.1:{port}", tls=Tls(ca_file=ca_file))
            async with CockpitClient(site, resolve("cockpit", {})) as client:
                with pytest.raises(TLSFailed) as caught:
                    await client.jobs("K7SALES", soon())
                ca_file.write_bytes(authority.certificate.read_bytes() + b"\n")
                return caught.value.reason, (await client.jobs("K7SALES", soon())).listed

    assert asyncio.run(run()) == ("tls", 1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be used: No such file or directory"), ("no certificate", "a file under tls cannot be used: ")],
)
def test_unusable_authority(tmp_path: Path, loopback: ssl.SSLContext, content: str | None, sentence: str) -> None:
    """A ca_file that cannot be used is a TLS failure that says so."""
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)

    raised = failing(answering(response()), context=loopback, tls=Tls(ca_file=tmp_path / "ca.pem"))

    assert isinstance(raised, TLSFailed)
    assert sentence in raised.detail


def test_credential_is_not_sent_before_the_certificate_is_accepted(
    tmp_path: Path, authority: Authority, elsewhere: ssl.SSLContext
) -> None:
    """A server with a wrong certificate never sees the token."""
    (tmp_path / "token").write_text("api-key-1")
    received: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.append(await reader.read())

    failing(
        listen,
        context=elsewhere,
        tls=Tls(ca_file=authority.certificate),
        auth=Auth(bearer_token_file=tmp_path / "token"),
    )

    assert [content for content in received if content] == []
