"""People whom a proxy in front of the sidecar has signed in; it says so in headers, which anyone else could write."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence

from starlette.requests import Request

from exporter.config.kill import Network, ProxyAuth
from exporter.logs import fields
from exporter.sidecar.identity import AuthFailed, Principal

log = logging.getLogger(__name__)

_LONGEST_LOGIN = 256


class Proxy:
    """The user and groups headers of trusted proxies.

    Args:
        entry: the provider's entry under ``kill.auth``.
        trusted: the networks of the proxies.
    """

    name = "proxy"
    challenge = ""

    def __init__(self, entry: ProxyAuth, trusted: Sequence[Network]) -> None:
        self._entry = entry
        self._trusted = tuple(trusted)

    async def authenticate(self, request: Request, *, fresh: bool) -> Principal | None:  # noqa: ARG002 - Provider's form
        """Return the user whom the proxy names.

        Raises:
            AuthFailed: somebody else sent the headers, or they are not exactly one each.
        """
        users, groups = (self._values(request, name) for name in (self._entry.user_header, self._entry.groups_header))
        if not users and not groups:
            return None
        if not self._is_trusted(request):
            log.warning(
                "proxy headers from a stranger", extra=fields(peer=request.client.host if request.client else "unknown")
            )
            raise AuthFailed("The request says who you are, but does not come from a trusted proxy.")
        if len(users) != 1 or len(groups) != 1:
            raise AuthFailed(
                f"The proxy sent {len(users)} {self._entry.user_header} and {len(groups)} {self._entry.groups_header}"
                " headers, expected one of each."
            )
        login = _text(users[0])
        # A comma is what proxies in between join two headers of the same name with.
        if not login or len(login) > _LONGEST_LOGIN or "," in login:
            raise AuthFailed(f"The proxy's {self._entry.user_header} header holds no user name.")
        names = tuple(dict.fromkeys(name.strip() for name in _text(groups[0]).split(",") if name.strip()))
        return Principal(provider=self.name, id=login, login=login, groups=names)

    def _values(self, request: Request, name: str) -> list[bytes]:
        wanted = name.lower().encode()
        return [value for key, value in request.headers.raw if key == wanted]

    def _is_trusted(self, request: Request) -> bool:
        if request.client is None:
            return False
        # A zone, as in fe80::1%eth0, is no part of the networks that a configuration names.
        peer = ipaddress.ip_address(request.client.host.partition("%")[0])
        # A socket that listens on IPv6 and IPv4 shows the peers of the latter as ::ffff:192.0.2.1.
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._trusted)


def _text(value: bytes) -> str:
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        raise AuthFailed("The proxy's headers are not in UTF-8.") from None
    if not text.isprintable():
        raise AuthFailed("The proxy's headers hold characters that cannot be shown.")
    return text
