"""Tokens that prove that somebody was shown a run before confirming its end.

A token is an expiry and an HMAC over it, who was shown the page (provider, stable id, the nonce in our own cookie) and
what was on it. It holds nothing else, so nothing of it can be read.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from exporter.secret import SecretFile
from exporter.sidecar.identity import Principal
from exporter.sidecar.subject import Subject

_TOKEN = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{43})")
_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")


class TokenRefused(Exception):
    """A page token that is missing, forged, of another session or run, or expired; the message is for the page."""


class PageTokens:
    """Makes and checks page tokens.

    Args:
        secret_file: the key; without one, a key is made that ends with the process.
        lifetime: seconds.
        clock: the time in seconds since the epoch.
    """

    def __init__(self, secret_file: Path | None, lifetime: float, clock: Callable[[], float]) -> None:
        self._file = None if secret_file is None else SecretFile(secret_file)
        self._own_key = secrets.token_bytes(32)
        self._lifetime = lifetime
        self._clock = clock

    def make(self, principal: Principal, nonce: str, subject: Subject) -> str:
        """Return a token for what ``principal`` is shown.

        Raises:
            OSError: the key's file cannot be read.
            ValueError: it does not hold a key.
        """
        expires = int(self._clock() + self._lifetime)
        return f"{expires}.{self._mac(expires, principal, nonce, subject)}"

    def check(self, token: str, principal: Principal, nonce: str, subject: Subject) -> None:
        """Check that ``token`` was made for exactly this and has not expired.

        Raises:
            TokenRefused: it was not, or it has.
            OSError: the key's file cannot be read.
            ValueError: it does not hold a key.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise TokenRefused("This form was not made by this page.")
        expires = int(match[1])
        if not hmac.compare_digest(match[2], self._mac(expires, principal, nonce, subject)):
            raise TokenRefused("This form was made for another session, another user or another run.")
        if expires <= self._clock():
            raise TokenRefused("This form is too old.")

    def _mac(self, expires: int, principal: Principal, nonce: str, subject: Subject) -> str:
        bound = [
            expires,
            principal.provider,
            principal.id,
            nonce,
            *subject.key,
            subject.started_second,
        ]
        key = self._own_key if self._file is None else self._file.read().encode()
        digest = hmac.digest(key, json.dumps(bound).encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_nonce() -> str:
    """Return a value for our own cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def is_nonce(text: str) -> bool:
    """Tell whether a cookie's value has the form of a nonce of ours."""
    return _NONCE.fullmatch(text) is not None
