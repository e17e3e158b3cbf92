"""Programs with a token, of which only the SHA-256 is known here."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Sequence

from starlette.requests import Request

from exporter.config.kill import ApiToken
from exporter.sidecar.identity import AuthFailed, Principal


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


class Bearer:
    """Bearer tokens of the API.

    Args:
        tokens: the tokens that are known.
        today: the date in UTC.
    """

    name = "token"
    challenge = 'Bearer realm="dumbella-exporter sidecar"'

    def __init__(self, tokens: Sequence[ApiToken], today: Callable[[], dt.date] = _today) -> None:
        self._tokens = tuple(tokens)
        self._today = today

    async def authenticate(self, request: Request, *, fresh: bool) -> Principal | None:  # noqa: ARG002 - Provider's form
        """Return the program that has the token.

        Raises:
            AuthFailed: the token is unknown or has expired, or there are several.
        """
        authorization = request.headers.getlist("authorization")
        if not any(_is_bearer(value) for value in authorization):
            return None
        if len(authorization) > 1:
            raise AuthFailed("The request has several Authorization headers, expected one.")
        token = self._known(authorization[0].partition(" ")[2].strip())
        if token is None:
            raise AuthFailed("The bearer token is not known.")
        if token.expires is not None and self._today() > token.expires:
            raise AuthFailed(f"The bearer token {token.name} has expired, on {token.expires}.")
        return Principal(provider=self.name, id=token.name, login=token.name, targets=token.targets)

    def _known(self, given: str) -> ApiToken | None:
        digest = hashlib.sha256(given.encode("latin-1")).hexdigest()
        found = None
        # All of them are compared, each in constant time: how long it takes says nothing about any of them.
        for token in self._tokens:
            if hmac.compare_digest(digest, token.sha256):
                found = token
        return found


def _is_bearer(value: str) -> bool:
    return value.partition(" ")[0].lower() == "bearer"
