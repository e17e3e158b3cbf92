"""Health endpoints, asked on real connections."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.health import Unhealthy, ask, parse_url, tls_context
from tests.certificates import Authority

#: Seconds, where an answer is to arrive.
PATIENCE = 60.0
#: Trusts the system's authorities.
SYSTEM = tls_context(None, None, None)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "'' is not of the form http://HOST:PORT/PATH"),
        ("localhost:9877/-/healthy", "'localhost:9877/-/healthy' is not of the form http://HOST:PORT/PATH"),
        ("ftp://localhost/", "'ftp://localhost/' is not of the form http://HOST:PORT/PATH"),
        ("http:///-/healthy", "'http:///-/healthy' is not of the form http://HOST:PORT/PATH"),
        ("http://localhost:99999/", "'http://localhost:99999/' names a port that does not exist"),
        ("http://[::1/", "'http://[::1/' is not a URL: Invalid port: ':1'"),
        ("http://localhost/\r\nHost: other", "is not a URL: Invalid non-printable ASCII character"),
        ("http://monitor:s3cret@localhost/", "the URL holds a login, which a health endpoint does not need"),
    ],
)
def test_odd_urls(url: str, problem: str) -> None:
    """What is not a whole URL of HTTP is refused with the reason; a password in it is not repeated."""
    with pytest.raises(ValueError, match=re.escape(problem)) as raised:
        parse_url(url)
    assert "s3cret" not in str(raised.value)


@contextlib.asynccontextmanager
async def serving(
    answer: bytes, *, open_: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer every request, and yield the port and the requests so far.

    Args:
        answer: what is sent.
        open_: leave the connection open.
        tls: encrypt.
    """
    requests: list[bytes] = []
    over = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if open_:
                await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], requests
        over.set()


def outcome(answer: bytes, *, open_: bool = False, within: float = PATIENCE) -> str:
    """Return what is said of a service that answers so; nothing where it is well."""

    async def run() -> str:
        async with serving(answer, open_=open_) as (port, _):
            try:
                await ask(parse_url(f"http://127.0.0.1:{port}"), within=within, context=SYSTEM)
            except Unhealthy as unhealthy:
                return str(unhealthy)
        return ""

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OK, ""),
        (b"HTTP/1.0 200 Fine\r\n\r\n", ""),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "it answered 503"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "it answered 204"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", "it answered 302"),
        (b"", "Server disconnected without sending a response."),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "illegal status line: bytearray(b'SSH-2.0-OpenSSH_9.2')"),
        (b"HTTP/1.1 2000 Odd\r\n\r\n", "illegal status line: bytearray(b'HTTP/1.1 2000 Odd')"),
        (b"HTTP/1.1 200", "Server disconnected without sending a response."),
        (b"\x15\x03\x01\x00\x02\x02\x46", "illegal request line"),
    ],
)
def test_answers(answer: bytes, said: str) -> None:
    """Only an answer with status 200 is healthy; of every other it is said what came."""
    assert outcome(answer) == said


def test_a_healthy_service_need_not_close_the_connection() -> None:
    """The status is enough."""
    assert outcome(OK, open_=True) == ""


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 20"])
def test_silence(beginning: bytes) -> None:
    """A service that does not tell its status in time is not healthy."""
    assert outcome(beginning, open_=True, within=0.1) == "no answer within 0.1 seconds"


def test_nobody_there() -> None:
    """A port on which nothing listens is not healthy."""

    async def run() -> None:
        async with serving(OK) as (port, _):
            pass
        with pytest.raises(Unhealthy, match="All connection attempts failed"):
            await ask(parse_url(f"http://127.0.0.1:{port}"), within=PATIENCE, context=SYSTEM)

    asyncio.run(run())


def test_a_name_that_is_none() -> None:
    """A host that cannot be looked up is not healthy."""
    with pytest.raises(Unhealthy):
        asyncio.run(ask(parse_url("http://a..b/"), within=PATIENCE, context=SYSTEM))


def test_the_request() -> None:
    """The request is a GET of the path and query, and names the host and the port."""

    async def run() -> list[bytes]:
        async with serving(OK) as (port, requests):
            await ask(parse_url(f"http://localhost:{port}/-/healthy?a=b"), within=PATIENCE, context=SYSTEM)
        return [request.replace(b"%d" % port, b"PORT") for request in requests]

    (sent,) = asyncio.run(run())
    assert sent.startswith(b"GET /-/healthy?a=b HTTP/1.1\r\nHost: localhost:PORT\r\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, and certificates of the first: of a service under its public name, and of a client."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority.make(folder)
    authority.issue(folder, "service", "DNS:exporter.example.com")
    authority.issue(folder, "client")
    Authority.make(folder, "stranger")
    return folder


class TestTls:
    """Services that encrypt."""

    def outcome(
        self,
        folder: Path,
        *,
        trusted: str | None = "authority",
        server_name: str | None = "exporter.example.com",
        demanded: bool = False,
        shown: str | None = None,
    ) -> str:
        """Return what is said of a service.

        Args:
            folder: of the certificates.
            trusted: the authority.
            server_name: that is expected.
            demanded: whether the service lets in only clients with a certificate.
            shown: the certificate that it is shown.
        """
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(folder / "service.pem", folder / "service.key")
        if demanded:
            # With version 1.3 a client learns only after its request, and not always, that it is not let in.
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            tls.load_verify_locations(folder / "authority.pem")
            tls.verify_mode = ssl.CERT_REQUIRED
        context = tls_context(
            None if trusted is None else folder / f"{trusted}.pem",
            None if shown is None else folder / f"{shown}.pem",
            None if shown is None else folder / f"{shown}.key",
        )

        async def run() -> str:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            async with serving(OK, tls=tls) as (port, _):
                endpoint = parse_url(f"https://127.0.0.1:{port}/")
                try:
                    await ask(endpoint, within=PATIENCE, context=context, server_name=server_name)
                except Unhealthy as unhealthy:
                    return str(unhealthy)
            return ""

        return asyncio.run(run())

    def test_another_name(self, folder: Path) -> None:
        """A certificate is accepted for the name that is expected, whatever host the URL has."""
        assert self.outcome(folder) == ""

    def test_the_wrong_name(self, folder: Path) -> None:
        """Without a name, the certificate has to be for the URL's host."""
        said = self.outcome(folder, server_name=None)
        assert "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'." in said

    @pytest.mark.parametrize("trusted", ["stranger", None])
    def test_the_wrong_authority(self, folder: Path, trusted: str | None) -> None:
        """A certificate of an authority that is not trusted, here or by the system, is not accepted."""
        said = self.outcome(folder, trusted=trusted)
        assert "certificate verify failed: unable to get local issuer certificate" in said

    def test_a_client_certificate(self, folder: Path) -> None:
        """A service that asks for a certificate is shown one."""
        assert self.outcome(folder, demanded=True, shown="client") == ""

    def test_no_client_certificate(self, folder: Path) -> None:
        """A service that does not let a client in is not healthy."""
        assert self.outcome(folder, demanded=True) == "it broke off the connection"

    def test_files_that_are_missing(self, folder: Path) -> None:
        """A file that cannot be read is named."""
        with pytest.raises(ValueError, match=r"none\.pem cannot be used: No such file or directory"):
            tls_context(folder / "none.pem", None, None)

    def test_files_that_are_something_else(self, folder: Path) -> None:
        """A file that holds no certificate is named."""
        with pytest.raises(ValueError, match=r"authority\.pem, .*service\.key cannot be used: "):
            tls_context(folder / "authority.pem", folder / "service.key", None)
