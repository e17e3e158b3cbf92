"""Ask a health endpoint, for container engines and supervisors that run a command to know whether a service is well."""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from pathlib import Path

import httpx

from exporter.secret import no_password

_LARGEST_PORT = 65535


class Unhealthy(Exception):
    """The endpoint did not answer with 200; the message says what happened instead."""


def parse_url(text: str) -> httpx.URL:
    """Read the address of a health endpoint.

    Raises:
        ValueError: it is not a whole http or https URL; the message says why.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text!r} is not of the form http://HOST:PORT/PATH")
    if url.port is not None and not 0 < url.port <= _LARGEST_PORT:
        raise ValueError(f"{text!r} names a port that does not exist")
    if url.userinfo:
        raise ValueError("the URL holds a login, which a health endpoint does not need")
    return url


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
            context.load_cert_chain(cert_file, key_file, password=no_password)
    except OSError as error:
        files = ", ".join(str(file) for file in (ca_file, cert_file, key_file) if file is not None)
        raise ValueError(f"{files} cannot be used: {error.strerror or error}") from None
    return context


async def ask(url: httpx.URL, *, within: float, context: ssl.SSLContext, server_name: str | None = None) -> None:
    """Return once the endpoint has answered 200; proxies and redirects are not followed.

    Args:
        url: whom to ask.
        within: seconds that all of it may take.
        context: from :func:`tls_context`.
        server_name: whom the certificate has to name, instead of the host.

    Raises:
        Unhealthy: it answered something else, or nothing.
    """
    extensions = {} if server_name is None else {"sni_hostname": server_name}
    try:
        async with (
            asyncio.timeout(within),
            httpx.AsyncClient(verify=context, trust_env=False, timeout=within) as client,
            client.stream("GET", url, extensions=extensions) as response,
        ):
            status = response.status_code
    except (TimeoutError, httpx.TimeoutException):
        raise Unhealthy(f"no answer within {within:g} seconds") from None
    except (httpx.TransportError, UnicodeError) as error:  # the latter of a name that cannot even be looked up
        raise Unhealthy(str(error) or "it broke off the connection") from None
    if status != HTTPStatus.OK:
        raise Unhealthy(f"it answered {status}")
