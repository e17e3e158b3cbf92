"""People who are signed in to Grafana: the browser sends Grafana's session cookie, and Grafana says whose it is.

The sidecar runs on Grafana's host on another port, and cookies ignore ports. It forwards that one cookie and nothing
else to Grafana's address in the configuration, and keeps of it only a keyed digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.cookiejar
import json
import logging
import re
import secrets
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import httpx
from starlette.requests import Request

from exporter import __version__
from exporter.config.kill import ROLES, GrafanaAuth, Role
from exporter.logs import fields
from exporter.sidecar.identity import AuthFailed, Principal

log = logging.getLogger(__name__)

_PATHS = ("/api/user", "/api/user/orgs", "/api/user/teams")
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]{1,4096}")
_LARGEST_ANSWER = 256 * 1024
#: Seconds for which an answer is trusted where nothing is changed.
_FRESH = 30.0
_REMEMBERED = 1000
#: Connections to Grafana at a time; who waits longer than the timeout for one is not let in.
_LIMITS = httpx.Limits(max_connections=12, max_keepalive_connections=6, keepalive_expiry=5.0)


class _SignedOut(Exception):
    """Grafana answered 401: no session, an expired one, or one whose token is due for rotation."""


class _Unclear(Exception):
    """Grafana did not say whose the session is; the message tells operators why, without anything of the cookie."""


class Grafana:
    """Sessions of one Grafana.

    Args:
        entry: the provider's entry under ``kill.auth``.
        clock: seconds that only go forward.
    """

    name = "grafana"
    challenge = ""

    def __init__(self, entry: GrafanaAuth, clock: Callable[[], float] = time.monotonic) -> None:
        self._entry = entry
        self._clock = clock
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            verify=ssl.create_default_context(cafile=entry.ca_file),
            timeout=entry.timeout,
            limits=_LIMITS,
            trust_env=False,
            follow_redirects=False,
            # What Grafana sets for one session must not be sent with another.
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        )
        self._client.headers["User-Agent"] = f"dumbella-exporter/{__version__}"
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._trouble = ""

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def authenticate(self, request: Request, *, fresh: bool) -> Principal | None:
        """Return whose session it is.

        Raises:
            AuthFailed: nobody's, somebody's whose role is too small, or Grafana did not say.
        """
        values = list(_cookies(request, self._entry.cookie_name))
        if not values:
            return None
        # A second one could have been planted by another host of the same domain.
        if len(values) > 1:
            raise AuthFailed(
                f"The browser sent {len(values)} cookies named {self._entry.cookie_name}; delete them, sign in to"
                " Grafana, then try again."
            )
        if _COOKIE_VALUE.fullmatch(values[0]) is None:
            raise _signed_out()
        digest = hashlib.blake2b(values[0].encode(), key=self._key).digest()
        expires, principal = self._remembered.get(digest, (0.0, None))
        if principal is not None and not fresh and self._clock() < expires:
            return principal
        self._remembered.pop(digest, None)
        asked = self._clock()
        principal = await self._ask(values[0])
        self._remembered[digest] = (asked + _FRESH, principal)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    async def _ask(self, cookie: str) -> Principal:
        try:
            user, orgs, teams = await self._answers(cookie)
            principal = self._principal(user, orgs, teams)
        except _SignedOut:
            raise _signed_out() from None
        except _Unclear as unclear:
            if str(unclear) != self._trouble:
                log.warning("Grafana does not say who is signed in", extra=fields(reason=str(unclear)))
            self._trouble = str(unclear)
            raise AuthFailed(
                "Grafana did not answer as expected, so that nobody can be let in. Try again in a moment.",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            ) from None
        self._trouble = ""
        if not self._may_enter(principal):
            teams_too = f" or membership in {' or '.join(self._entry.teams)}" if self._entry.teams else ""
            raise AuthFailed(
                f"This needs the role {self._entry.min_role}{teams_too} in Grafana's organisation"
                f" {self._entry.org_id}; you are signed in as {principal.login}.",
                status=HTTPStatus.FORBIDDEN,
            )
        return principal

    async def _answers(self, cookie: str) -> list[Any]:
        """Ask the three questions at once; a failure ends those that are still open."""
        questions = [asyncio.create_task(self._get(path, cookie)) for path in _PATHS]
        try:
            return [await question for question in questions]
        finally:
            for question in questions:
                question.cancel()
            await asyncio.gather(*questions, return_exceptions=True)

    async def _get(self, path: str, cookie: str) -> Any:
        url = httpx.URL(f"{self._entry.url}{path}")
        headers = {"Cookie": f"{self._entry.cookie_name}={cookie}"}
        try:
            async with (
                asyncio.timeout(self._entry.timeout),
                self._client.stream("GET", url, headers=headers) as response,
            ):
                if response.status_code == HTTPStatus.UNAUTHORIZED:
                    raise _SignedOut
                if response.status_code != HTTPStatus.OK:
                    raise _Unclear(f"{path} answered {response.status_code}")
                return json.loads(await _body(path, response))
        except (TimeoutError, httpx.TimeoutException):
            raise _Unclear(f"{path} was not answered within {self._entry.timeout:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            raise _Unclear(f"{path} cannot be asked: {type(error).__name__}") from None
        except (ValueError, RecursionError):
            raise _Unclear(f"{path} answered something else than JSON") from None

    def _principal(self, user: Any, orgs: Any, teams: Any) -> Principal:
        if not isinstance(user, dict) or not isinstance(orgs, list) or not isinstance(teams, list):
            raise _Unclear("the answers do not have Grafana's form")
        identity, login = user.get("id"), user.get("login")
        # Anonymous visitors have the id 0, or none.
        if not isinstance(identity, int) or isinstance(identity, bool) or identity <= 0 or not _is_name(login):
            raise _SignedOut
        if user.get("isDisabled", False) is not False:
            raise _SignedOut
        name = user.get("name")
        return Principal(
            provider=self.name,
            id=str(identity),
            login=str(login),
            role=self._role(orgs),
            teams=tuple(
                team["name"]
                for team in teams
                if isinstance(team, dict) and team.get("orgId") == self._entry.org_id and _is_name(team.get("name"))
            ),
            name=str(name) if _is_name(name) else "",
        )

    def _role(self, orgs: list[Any]) -> Role | str:
        roles = [org.get("role") for org in orgs if isinstance(org, dict) and org.get("orgId") == self._entry.org_id]
        return roles[0] if len(roles) == 1 and roles[0] in ROLES else ""

    def _may_enter(self, principal: Principal) -> bool:
        sufficient = ROLES[ROLES.index(self._entry.min_role) :]
        return principal.role in sufficient or not set(self._entry.teams).isdisjoint(principal.teams)


def _cookies(request: Request, name: str) -> Iterator[str]:
    """Yield the values of every cookie called ``name``."""
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            key, equals, value = pair.strip(" \t").partition("=")
            if equals and key == name:
                yield value


def _signed_out() -> AuthFailed:
    return AuthFailed("Sign in to Grafana, then try again.")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


async def _body(path: str, response: httpx.Response) -> bytes:
    # An encoding was not asked for, and could expand a thousandfold before it is measured.
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Unclear(f"{path} answered in an encoding that was not asked for")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > _LARGEST_ANSWER:
            raise _Unclear(f"{path} answered with more than {_LARGEST_ANSWER} bytes")
    return bytes(content)
