"""The one call that ends something. Only the sidecar imports this module.

A kill is sent once. Whether it arrived is not always known: the answer can be lost after the bytes were sent.
"""

from __future__ import annotations

import contextlib
import http.cookies
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import httpx

from exporter.cockpit.errors import AuthRejected, ClientError, CockpitError, Redirected
from exporter.cockpit.fetch import Body, Fetcher, address
from exporter.config import Target
from exporter.config.profiles import Profile

Csrf = Literal["none", "spring"]
#: ``accepted``: Cockpit said yes. ``rejected``: it said no, or was never reached. ``gone``: it does not know the
#: execution (any more). ``unknown``: the request was sent, and nobody can tell what came of it.
Verdict = Literal["accepted", "rejected", "gone", "unknown"]

_COOKIE = "XSRF-TOKEN"
_HEADER = "X-XSRF-TOKEN"
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE})
#: Nobody reads the body of a yes; this is what is looked at to see that it is none of a login page.
_ANSWER_BYTES = 64 * 1024
_SENDING = "http11.send_request_headers.started"


@dataclass(frozen=True, slots=True)
class KillAnswer:
    """What came of a kill.

    Attributes:
        verdict: what is known.
        status: the HTTP status, where there was an answer.
        detail: why it is not ``accepted``, in one line without secrets.
    """

    verdict: Verdict
    status: int | None = None
    detail: str = ""


class KillCall(Fetcher):
    """Kills executions of one target.

    Args:
        target: the target's section of the configuration, with the credential that may kill.
        profile: the target's profile, resolved; it has a path ``kill``.
        csrf: ``spring`` to fetch the ``XSRF-TOKEN`` cookie first and send it back as a header.
        transport: replaces the network in tests.
    """

    def __init__(
        self,
        target: Target,
        profile: Profile,
        *,
        csrf: Csrf = "none",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(target, transport)
        self._base = target.url
        self._list_bytes = target.limits.response_bytes
        self._profile = profile
        self._csrf = csrf

    async def kill(self, application: str, execution_id: str, deadline: float) -> KillAnswer:
        """Send the kill of an execution, once.

        Args:
            application: the application's code.
            execution_id: the execution's id.
            deadline: the moment on the event loop's clock at which to give up.
        """
        sent = _Sent()
        try:
            url = self._address("kill", application, execution_id)
            headers = await self._csrf_headers(application, deadline)
            body = await self._exchange("POST", url, deadline, _ANSWER_BYTES, headers=headers, trace=sent)
        except CockpitError as error:
            return _judged(error, sent=sent.yes)
        return _accepted(body)

    def _address(self, endpoint: Literal["kill", "executions"], application: str, execution_id: str) -> httpx.URL:
        template = getattr(self._profile.paths, endpoint)
        if template is None:
            raise ClientError(f"the profile has no path for {endpoint}")
        return address(self._base, template, application=application, id=execution_id)

    async def _csrf_headers(self, application: str, deadline: float) -> Mapping[str, str]:
        if self._csrf == "none":
            return {}
        # The token is bound to whatever else the answer sets, a session for instance: all of it goes back.
        url = self._address("executions", application, "-")
        body = await self._exchange("GET", url, deadline, self._list_bytes)
        cookies = _cookies([self._credentials.headers().get("Cookie", "")]) | _cookies(body.set_cookies)
        if _COOKIE not in cookies:
            raise ClientError(f"no cookie {_COOKIE} was set, though csrf is spring")
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), _HEADER: cookies[_COOKIE]}


def _cookies(texts: Iterable[str]) -> dict[str, str]:
    """Return the cookies in ``Cookie`` or ``Set-Cookie`` headers; what cannot be read is left out."""
    cookies: dict[str, str] = {}
    for text in texts:
        with contextlib.suppress(http.cookies.CookieError):
            cookies |= {name: morsel.value for name, morsel in http.cookies.SimpleCookie(text).items()}
    return cookies


class _Sent:
    """Notes whether any byte of the kill was sent."""

    def __init__(self) -> None:
        self.yes = False

    async def __call__(self, step: str, details: Mapping[str, Any]) -> None:
        # A proxy is first sent a request of its own.
        self.yes = self.yes or (step == _SENDING and details["request"].method == b"POST")


def _judged(error: CockpitError, *, sent: bool) -> KillAnswer:
    if not sent:
        return KillAnswer("rejected", None, f"nothing was sent: {error.detail}")
    if error.status in _GONE:
        return KillAnswer("gone", error.status, error.detail)
    if error.status is not None and isinstance(error, ClientError | AuthRejected | Redirected):
        return KillAnswer("rejected", error.status, error.detail)
    # A server that failed, or a gateway before it, does not say how far it got.
    return KillAnswer("unknown", error.status, error.detail)


def _accepted(body: Body) -> KillAnswer:
    if body.content.lstrip().startswith(b"<"):
        return KillAnswer("unknown", body.status, f"answered {body.status} with a page, as a login does")
    return KillAnswer("accepted", body.status)
