"""The web configuration at work: TLS, logins and response headers that follow their files while the server runs."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.config import ConfigError
from exporter.logs import fields
from exporter.server.passwords import PasswordCheck
from exporter.server.webconfig import WebConfig, load

log = logging.getLogger(__name__)

#: What a client without a login is told.
CHALLENGE = 'Basic realm="dumbella-exporter", charset="UTF-8"'
#: Probes ask these, and they tell nothing.
HEALTH_PATHS = frozenset({"/-/healthy", "/-/ready"})

_Identity = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One state of the file, complete with what it needs to be used.

    Attributes:
        config: what it holds.
        context: for connections that begin; ``None`` for plain HTTP.
        identities: every file that it is made of, as it was before it was read.
    """

    config: WebConfig
    context: ssl.SSLContext | None
    identities: Mapping[Path, _Identity | None]

    @classmethod
    def of(cls, path: Path) -> _Loaded:
        """Load the file at ``path``.

        Raises:
            ConfigError: it cannot be used.
        """
        identities = {path: _identity(path)}
        config = load(path)
        tls = config.tls_server_config
        identities |= {file: _identity(file) for file in ([] if tls is None else tls.files)}
        try:
            context = None if tls is None else tls.context()
        except (OSError, ValueError) as error:
            # Each key has been checked a moment ago; OpenSSL judges them together, or a file is just being replaced.
            problem = f"{path}: tls_server_config: is not usable ({error}), expected keys and files that fit"
            raise ConfigError([problem]) from None
        return cls(config, context, identities)

    @property
    def outdated(self) -> bool:
        """Whether any of its files has changed."""
        return any(_identity(file) != identity for file, identity in self.identities.items())


def _identity(path: Path) -> _Identity | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class WebConfigFile:
    """A web configuration file that is read again when it, or a certificate that it names, changes.

    A change for the worse is logged once and has no effect. TLS cannot be switched on or off while the server runs.

    Args:
        path: the file.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded = _Loaded.of(path)
        self._complaint = ""

    @property
    def config(self) -> WebConfig:
        """The configuration as it is now."""
        return self._current().config

    def tls(self) -> ssl.SSLContext | None:
        """Return the server's context, which follows the files; ``None`` for plain HTTP."""
        return None if self._loaded.context is None else _FollowingContext(self._context)

    def _context(self) -> ssl.SSLContext:
        context = self._current().context
        assert context is not None  # noqa: S101 - TLS is not switched off while the server runs
        return context

    def _current(self) -> _Loaded:
        # What mends a broken file may be none of the files that were read, so that only trying again will tell.
        if self._complaint or self._loaded.outdated:
            self._follow()
        return self._loaded

    def _follow(self) -> None:
        try:
            loaded = _Loaded.of(self._path)
            if (loaded.context is None) != (self._loaded.context is None):
                change = "was removed" if loaded.context is None else "was added"
                raise ConfigError([f"{self._path}: tls_server_config: {change}, expected a restart to switch TLS"])
        except ConfigError as error:
            complaint = "; ".join(error.problems)
            if complaint != self._complaint:
                log.error("web configuration not changed", extra=fields(error=complaint))
            self._complaint = complaint
        else:
            log.info("web configuration changed", extra=fields(file=self._path))
            self._loaded, self._complaint = loaded, ""


class _FollowingContext(ssl.SSLContext):
    """A context whose connections are made by another one, which is asked for at each connection.

    Certificates could be loaded anew into a single context, but authorities would only ever be added.
    """

    _context: Callable[[], ssl.SSLContext]

    def __new__(cls, context: Callable[[], ssl.SSLContext]) -> Self:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self._context = context
        return self

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin a connection."""
        return self._context().wrap_bio(*arguments, **options)


def all_but_health(path: str) -> bool:
    """Demand a login for every path but those that probes ask."""
    return path not in HEALTH_PATHS


class WebAccess:
    """An ASGI application behind the logins and with the headers of a web configuration.

    Args:
        app: the application.
        file: the configuration.
        passwords: checks the passwords.
        demands_login: tells whether a path, unquoted, is for users only.
    """

    def __init__(
        self,
        app: ASGIApp,
        file: WebConfigFile,
        passwords: PasswordCheck,
        *,
        demands_login: Callable[[str], bool] = all_but_health,
    ) -> None:
        self._app = app
        self._file = file
        self._passwords = passwords
        self._demands_login = demands_login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 to whoever has to log in, and let the application answer the others."""
        config = self._file.config
        app, users = self._app, config.basic_auth_users
        if users and self._demands_login(scope["path"]):
            given = Headers(scope=scope).getlist("authorization")
            if await self._passwords.user(users, given) is None:
                app = PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": CHALLENGE})
        if config.http_server_config.headers:
            send = _with_headers(config.http_server_config.headers, send)
        await app(scope, receive, send)


def _with_headers(configured: Mapping[str, str], send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in configured.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
