"""The providers in their order: the first that finds its credential in a request decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Literal, Self

from starlette.requests import Request

from exporter.config import ConfigError
from exporter.config.kill import BasicAuth, GrafanaAuth, Kill, ProxyAuth, TokenAuth
from exporter.server.passwords import PasswordCheck
from exporter.server.webaccess import WebConfigFile
from exporter.sidecar.auth.basic import Basic
from exporter.sidecar.auth.bearer import Bearer
from exporter.sidecar.auth.grafana import Grafana
from exporter.sidecar.auth.proxy import Proxy
from exporter.sidecar.identity import AuthFailed, Local, Principal, Provider

#: What can come of asking a provider; ``absent`` where no provider found a credential.
Result = Literal["success", "rejected", "unavailable", "absent"]
#: Stands for the provider where no provider found a credential.
NO_PROVIDER = "none"

_SIGN_IN = {
    "grafana": "Sign in to Grafana, then try again.",
    "proxy": "Open this page through the proxy that signs you in.",
    "basic": "Log in with your user name and password.",
    "token": "Send a bearer token in the Authorization header.",
}


class Authentication:
    """Finds out who asks.

    Args:
        pages: the providers for people, in their order.
        api: the providers for programs, in their order.
        observe: is told each provider that decided, and how.
    """

    def __init__(
        self,
        pages: Sequence[Provider],
        api: Sequence[Provider],
        observe: Callable[[str, Result], None] = lambda _provider, _result: None,
    ) -> None:
        self._pages = tuple(pages)
        self._api = tuple(api)
        self._observe = observe
        self._opened = AsyncExitStack()

    @classmethod
    def configured(
        cls,
        kill: Kill,
        web: WebConfigFile | None = None,
        observe: Callable[[str, Result], None] = lambda _provider, _result: None,
        passwords: PasswordCheck | None = None,
    ) -> Authentication:
        """Return the providers of the section ``kill``; without any, everyone on the pages is ``user:local``.

        Args:
            kill: the sidecar's section.
            web: the web configuration, whose users ``basic`` takes.
            observe: is told each provider that decided, and how.
            passwords: checks passwords, instead of an own check.

        Raises:
            ConfigError: ``basic`` is to take users that there are none of.
        """
        opened = AsyncExitStack()
        pages: list[Provider] = []
        api: list[Provider] = []
        for position, entry in enumerate(kill.auth):
            match entry:
                case GrafanaAuth():
                    grafana = Grafana(entry)
                    opened.push_async_callback(grafana.aclose)
                    pages.append(grafana)
                case ProxyAuth():
                    pages.append(Proxy(entry, kill.trusted_proxies))
                case BasicAuth():
                    if web is None or not web.config.basic_auth_users:
                        problem = "has no users to take, expected --web.config.file with basic_auth_users"
                        raise ConfigError([f"kill.auth[{position}]: {problem}"])
                    pages.append(Basic(web, passwords or PasswordCheck()))
                case TokenAuth():
                    api.append(Bearer(entry.tokens))
        authentication = cls(pages if kill.auth else [Local()], api, observe)
        authentication._opened = opened
        return authentication

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    @property
    def page_challenges(self) -> tuple[str, ...]:
        """Values of ``WWW-Authenticate`` for a page that nobody was authenticated for."""
        return tuple(provider.challenge for provider in self._pages if provider.challenge)

    @property
    def api_challenges(self) -> tuple[str, ...]:
        """The same for an answer of the API."""
        return tuple(provider.challenge for provider in self._api if provider.challenge)

    async def person(self, request: Request, *, fresh: bool) -> Principal:
        """Return who asks for a page.

        Args:
            request: the request; its body is not read.
            fresh: ask anew instead of trusting what was answered a moment ago.

        Raises:
            AuthFailed: nobody, or somebody with a credential that is no good.
        """
        return await self._first(self._pages, request, fresh=fresh)

    async def program(self, request: Request, *, fresh: bool) -> Principal:
        """Return who calls the API; as :meth:`person` otherwise."""
        return await self._first(self._api, request, fresh=fresh)

    async def _first(self, providers: Sequence[Provider], request: Request, *, fresh: bool) -> Principal:
        for provider in providers:
            try:
                principal = await provider.authenticate(request, fresh=fresh)
            except AuthFailed as failed:
                unavailable = failed.status == HTTPStatus.SERVICE_UNAVAILABLE
                self._observe(provider.name, "unavailable" if unavailable else "rejected")
                raise
            if principal is not None:
                self._observe(provider.name, "success")
                return principal
        self._observe(NO_PROVIDER, "absent")
        raise AuthFailed(" Or: ".join(_SIGN_IN[provider.name] for provider in providers) or "Nobody can log in here.")
