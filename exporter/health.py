"""Ask a health endpoint, for container engines and supervisors that run a command to know whether a service is well."""

from __future__ import annotations

import asyncio
import http
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
#: How an answer begins, as far as the status, and the number of bytes of that.
_BEGINNING = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_LENGTH = len(b"HTTP/1.1 200 ")


class Unhealthy(Exception):
    """The endpoint did not answer with 200; the message says what happened instead."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service tells how it is.

    Attributes:
        tls: whether to encrypt.
        host: a name or an address.
        port: of TCP.
        path: with the query, percent-encoded.
    """

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read an address.

        Raises:
            ValueError: it is not a whole http or https URL; the message says why.
        """
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError(f"{url!r} has characters that belong percent-encoded")
        scheme = url.partition("://")[0]
        if scheme not in _PORTS:
            raise ValueError(f"{url!r} does not begin with http:// or https://")
        try:
            parts = urlsplit(url)
            port = _PORTS[scheme] if parts.port is None else parts.port
        except ValueError as error:
            raise ValueError(f"{url!r} is not a URL: {error}") from None
        if "@" in parts.netloc:
            raise ValueError("the URL holds a login, which a health endpoint does not need")
        if not parts.hostname or "#" in url:
            raise ValueError(f"{url!r} is not of the form http://HOST:PORT/PATH")
        path = parts.path or "/"
        return cls(scheme == "https", parts.hostname, port, f"{path}?{parts.query}" if parts.query else path)

    @property
    def authority(self) -> str:
        """Host and port as in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def tls_context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return how to judge a service's certificate, and what to show it.

    Args:
        ca_file: the authorities to trust, instead of the system's.
        cert_file: a client certificate.
        key_file: its key, where ``cert_file`` does not hold it.

    Raises:
        ValueError: a file cannot be read or does not hold what it should.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
    except OSError as error:
        files = ", ".join(str(file) for file in (ca_file, cert_file, key_file) if file is not None)
        raise ValueError(f"{files} cannot be used: {error.strerror or error}") from None
    return context


def _no_password() -> str:
    # Without this, OpenSSL asks on the terminal for the password of an encrypted key.
    raise ValueError("the key is encrypted; expected one without a password")


async def ask(
    endpoint: Endpoint, *, within: float, context: ssl.SSLContext | None = None, server_name: str | None = None
) -> None:
    """Return once the endpoint has answered 200; proxies and redirects are not followed.

    Args:
        endpoint: whom to ask.
        within: seconds that all of it may take.
        context: from ``tls_context``, for an endpoint with TLS.
        server_name: whom the certificate has to name, instead of the host.

    Raises:
        Unhealthy: it answered something else, or nothing.
    """
    try:
        async with asyncio.timeout(within):
            beginning = await _beginning(endpoint, context, server_name)
    except TimeoutError:
        raise Unhealthy(f"no answer within {within:g} seconds") from None
    except ssl.SSLCertVerificationError as error:
        raise Unhealthy(f"its certificate is not accepted: {error.verify_message}") from None
    except OSError as error:
        # A TLS handshake that the other side breaks off leaves no words.
        raise Unhealthy(error.strerror or str(error) or "it broke off the connection") from None
    # A name that cannot even be looked up.
    except UnicodeError as error:
        raise Unhealthy(str(error)) from None
    if not beginning:
        raise Unhealthy("it closed the connection without an answer")
    match = _BEGINNING.match(beginning)
    if match is None:
        raise Unhealthy("it does not answer with HTTP")
    if int(match[1]) != http.HTTPStatus.OK:
        raise Unhealthy(f"it answered {int(match[1])}")


async def _beginning(endpoint: Endpoint, context: ssl.SSLContext | None, server_name: str | None) -> bytes:
    tls = (context or True, server_name or endpoint.host) if endpoint.tls else (None, None)
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=tls[0], server_hostname=tls[1])
    try:
        writer.write(
            f"GET {endpoint.path} HTTP/1.1\r\nHost: {endpoint.authority}\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        return await reader.readexactly(_LENGTH)
    except asyncio.IncompleteReadError as closed:
        return closed.partial
    finally:
        writer.transport.abort()
