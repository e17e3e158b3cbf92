"""One GET request → the whole body, or one of the errors of ``errors.py``."""

from __future__ import annotations

import asyncio
import contextlib
import http.cookiejar
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from exporter import __version__
from exporter.cockpit.bodies import explanation, fold
from exporter.cockpit.credentials import Credentials
from exporter.cockpit.errors import (
    AuthRejected,
    ClientError,
    CockpitError,
    ConnectFailed,
    NotJSON,
    Redirected,
    RequestTimeout,
    ServerError,
    TLSFailed,
    TooLarge,
)
from exporter.cockpit.handshake import Handshake, Trace
from exporter.cockpit.tls import TlsContext
from exporter.config import Target

#: Encodings that httpx decodes. Stacked ones are refused: each layer can expand a thousandfold before it is measured.
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
#: How much of an error's body is read for its message, and how long that may take.
_ERROR_BODY_BYTES = 16 * 1024
_ERROR_BODY_SECONDS = 1.0
#: Connections are kept for the requests of one read, not over the interval: servers close idle ones, and a request on a
#: connection that is just being closed fails.
_LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=5.0)


@dataclass(frozen=True, slots=True)
class Body:
    """A complete answer with a status of 2xx."""

    content: bytes
    status: int
    content_type: str
    set_cookies: tuple[str, ...] = ()


def address(base: str, template: str, **values: str) -> httpx.URL:
    """Return the URL of an endpoint.

    Args:
        base: the base URL.
        template: the profile's path template.
        values: what stands for the template's placeholders; each becomes one path segment, whatever it holds.

    Raises:
        ClientError: a value cannot be a path segment, or the URL would lead to another server.
    """
    for name, value in values.items():
        if value in {"", ".", ".."}:
            raise ClientError(f"the {name} {value!r} cannot be part of a path")
        template = template.replace(f"{{{name}}}", quote(value, safe="", errors="replace"))
    try:
        root = httpx.URL(base)
        url = httpx.URL(f"{base.rstrip('/')}{template}")
    except httpx.InvalidURL as error:
        raise ClientError(f"{template[:200]!a} does not make a valid address: {error}") from error
    if _origin(url) != _origin(root):
        raise ClientError(f"{template[:200]!a} would lead to another server than {root.host}")
    return url


class Fetcher:
    """Gets bodies from one target.

    Redirects are not followed, the environment's proxies and certificates are not used, and cookies that the server
    sets are not kept.

    Args:
        target: the target's section of the configuration.
        transport: replaces the network in tests.
    """

    def __init__(self, target: Target, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._root = httpx.URL(target.url)
        self._credentials = Credentials(target.auth)
        self._tls = TlsContext(target.tls)
        self._server_name = target.tls.server_name
        self._proxy = None if target.proxy_url is None else target.proxy_url.get_secret_value()
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    def mask(self, text: str) -> str:
        """Return ``text`` without the credential."""
        return self._credentials.mask(text)

    async def get(self, url: httpx.URL, deadline: float, limit: int) -> Body:
        """Get a body.

        Args:
            url: an address that ``address`` returned. Only the target's own server is sent its credential.
            deadline: the moment on the event loop's clock at which to give up.
            limit: the number of bytes, decompressed, that the body may have.

        Raises:
            CockpitError: the one that fits, but for ``SchemaMismatch``.
        """
        return await self._exchange("GET", url, deadline, limit)

    async def _exchange(
        self,
        method: str,
        url: httpx.URL,
        deadline: float,
        limit: int,
        *,
        headers: Mapping[str, str] | None = None,
        trace: Trace | None = None,
    ) -> Body:
        """Send a request and return the body of its answer; ``trace`` is told what httpcore does with it."""
        started = asyncio.get_running_loop().time()
        if deadline <= started:
            raise RequestTimeout("no time was left to ask")
        request = self._request(method, url, deadline - started)
        request.headers.update(headers or {})
        request.extensions["trace"] = Handshake(trace)
        with _transport_failures(self.mask, deadline - started):
            async with asyncio.timeout_at(deadline):
                response = await self._connected().send(request, stream=True)
                try:
                    return await self._body(response, limit)
                finally:
                    await response.aclose()

    def _connected(self) -> httpx.AsyncClient:
        context = self._tls.current()
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=context,
                transport=self._transport,
                proxy=self._proxy,
                trust_env=False,
                follow_redirects=False,
                limits=_LIMITS,
                cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._client

    def _request(self, method: str, url: httpx.URL, seconds: float) -> httpx.Request:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"dumbella-exporter/{__version__}",
        }
        own = _origin(url) == _origin(self._root)
        if own:
            headers |= self._credentials.headers()
        extensions: dict[str, Any] = {"timeout": httpx.Timeout(seconds).as_dict()}
        if own and self._server_name is not None:
            extensions["sni_hostname"] = self._server_name
        return httpx.Request(method, url, headers=headers, extensions=extensions)

    async def _body(self, response: httpx.Response, limit: int) -> Body:
        if not response.is_success:
            raise await self._failure(response)
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise NotJSON(f"the body is in an encoding that was not asked for: {fold(encoding, self.mask)}")
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > limit:
                raise TooLarge(f"the body has more than {limit} bytes", status=response.status_code)
        content_type = response.headers.get("Content-Type", "")
        return Body(bytes(content), response.status_code, content_type, tuple(response.headers.get_list("Set-Cookie")))

    async def _failure(self, response: httpx.Response) -> CockpitError:
        status = response.status_code
        answered = f"answered {status} {_phrase(status)}".rstrip()
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return ServerError(answered, status=status)
        if status < HTTPStatus.BAD_REQUEST:
            return Redirected(f"{answered}{self._leading_to(response)}", status=status)
        said = explanation(await _beginning(response), self.mask)
        detail = f"{answered}: {said}" if said else answered
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return AuthRejected(detail, status=status)
        return (ClientError if status < HTTPStatus.INTERNAL_SERVER_ERROR else ServerError)(detail, status=status)

    def _leading_to(self, response: httpx.Response) -> str:
        # The query of a login page's address holds state that is nobody's business.
        location = response.headers.get("Location", "").partition("?")[0].partition("#")[0]
        return f" to {fold(location, self.mask)}" if location else ""


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


async def _beginning(response: httpx.Response) -> bytes:
    """Return what can be had of an error's body; the status has already told what matters."""
    content = bytearray()
    if response.headers.get("Content-Encoding", "").strip().lower() not in _ENCODINGS:
        return b""
    with contextlib.suppress(httpx.HTTPError, OSError, TimeoutError):
        async with asyncio.timeout(_ERROR_BODY_SECONDS):
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) >= _ERROR_BODY_BYTES:
                    break
    return bytes(content[:_ERROR_BODY_BYTES])


@contextlib.contextmanager
def _transport_failures(mask: Callable[[str], str], seconds: float) -> Iterator[None]:
    """Turn whatever httpx, ssl and asyncio raise into the errors of ``errors.py``."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise RequestTimeout(f"no complete answer within {seconds:.3g} s") from error
    except httpx.DecodingError as error:
        raise NotJSON("the body is not compressed as its headers say") from error
    except (httpx.TransportError, OSError) as error:
        causes = list(_causes(error))
        certain = [cause for cause in causes if isinstance(cause, ssl.SSLError)]
        # After the handshake, an unannounced end is a torn connection like any other.
        torn = isinstance(error, httpx.ReadError) and all(isinstance(cause, ssl.SSLEOFError) for cause in certain)
        if certain and not torn:
            raise TLSFailed(fold(_tls_reason(certain[-1]), mask)) from error
        raise ConnectFailed(fold(_reason(error, causes), mask)) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what caused it, outermost first."""
    following: BaseException | None = error
    while following is not None:
        yield following
        if isinstance(following, BaseExceptionGroup):
            following = following.exceptions[0]
        else:
            following = following.__cause__ or following.__context__


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not acceptable: {error.verify_message}"
    return f"the handshake failed: {error.reason or error}"


def _reason(error: BaseException, causes: list[BaseException]) -> str:
    what = "cannot connect" if isinstance(error, httpx.ConnectError) else "the connection broke"
    if isinstance(error, httpx.ProxyError):
        what = "the proxy refused"
    # The innermost system error names the host's or the network's own reason.
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.errno is not None]
    return f"{what}: {_system_reason(system[-1]) if system else str(error) or type(error).__name__}"


def _system_reason(error: OSError) -> str:
    # asyncio replaces the system's text by one without a reason; resolver errors have numbers of their own.
    if error.errno and error.errno > 0 and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
