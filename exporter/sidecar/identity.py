"""Who asks: a principal, and what a provider of authentication is.

The providers themselves are in :mod:`exporter.sidecar.auth`. They are asked in the order of the configuration, and the
first that finds its credential in a request decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated person or program.

    Attributes:
        provider: the name of the provider that vouches for it.
        id: what stays the same when the login changes; unique within the provider.
        login: the name that policies use.
        role: the role in the pinned organisation, empty if the provider knows none.
        teams: names of its teams.
        groups: names of its groups.
        name: what a person calls it; empty if that is the login.
        targets: globs of the targets that it may see and act on.
    """

    provider: str
    id: str
    login: str
    role: str = ""
    teams: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    name: str = ""
    targets: tuple[str, ...] = ("*",)

    def names(self) -> Iterator[str]:
        """Yield what a policy may call it, without and with its provider: ``user:alice``, ``grafana:user:alice``."""
        for name in self._names():
            yield name
            yield f"{self.provider}:{name}"

    def _names(self) -> Iterator[str]:
        yield f"token:{self.login}" if self.provider == "token" else f"user:{self.login}"
        if self.role:
            yield f"role:{self.role}"
        for team in self.teams:
            yield f"team:{team}"
        for group in self.groups:
            yield f"group:{group}"


class AuthFailed(Exception):
    """A credential is present and no good.

    Args:
        sentence: what the page says: what is wrong and what to do, without anything of the credential.
        status: 401 for a bad credential, 403 for a good one of somebody who may not enter, 503 where whoever decides
            could not be asked.
    """

    def __init__(self, sentence: str, *, status: HTTPStatus = HTTPStatus.UNAUTHORIZED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class Provider(Protocol):
    """One way to find out who asks.

    Attributes:
        name: the ``type`` of its entry under ``kill.auth``.
        challenge: the value of ``WWW-Authenticate`` where nobody authenticated; empty if there is none to send.
    """

    @property
    def name(self) -> str:
        """The ``type`` of its entry under ``kill.auth``."""

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate`` where nobody authenticated; empty if there is none to send."""

    async def authenticate(self, request: Request, *, fresh: bool) -> Principal | None:
        """Return who asks, or ``None`` if the request carries no credential of this provider.

        Args:
            request: the request; its body is not read.
            fresh: ask anew instead of trusting what was answered a moment ago.

        Raises:
            AuthFailed: the credential is present and no good.
        """


class Local:
    """Everyone who reaches a loopback address, where no provider is configured."""

    name = "local"
    challenge = ""

    async def authenticate(self, request: Request, *, fresh: bool) -> Principal | None:  # noqa: ARG002 - Provider's form
        """Return ``user:local``."""
        return Principal(provider="local", id="local", login="local")
