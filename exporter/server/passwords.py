"""Basic authentication against bcrypt hashes, without letting anyone burn the processor or learn who has a login."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import bcrypt
from pydantic import SecretStr

#: bcrypt looks at no more.
_LONGEST_PASSWORD = 72
_CHECKS_AT_ONCE = 2
#: Successful checks that are remembered; as many as the exporter-toolkit remembers.
_REMEMBERED = 100


class PasswordCheck:
    """Checks the credentials of requests, two at a time and off the event loop.

    A success is remembered by a digest that is keyed with a random number, so that a scraper costs one slow check and
    no password stays in memory. The digest covers the hash: whoever gets another password, or none, is checked anew.

    Args:
        matches: tells whether a password fits a bcrypt hash.
    """

    def __init__(self, matches: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._matches = matches
        self._threads = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="bcrypt")
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()

    async def user(self, users: Mapping[str, SecretStr], authorization: Sequence[str]) -> str | None:
        """Return the user whom a request authenticates, or ``None``.

        Args:
            users: bcrypt hashes by user.
            authorization: the values of the request's ``Authorization`` headers.
        """
        given = _credentials(authorization)
        if given is None or not users:
            return None
        name, password = given
        known = name in users
        # An unknown user costs what some known one does, always the same one: costs may differ between users.
        hashed = users[name if known else self._stand_in(users, name)].get_secret_value().encode()
        digest = self._digest(name.encode(), hashed, password)
        if known and digest in self._remembered:
            self._remembered.move_to_end(digest)
            return name
        fits = await asyncio.get_running_loop().run_in_executor(self._threads, self._matches, password, hashed)
        if not (known and fits):
            return None
        self._remembered[digest] = None
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return name

    def _stand_in(self, users: Mapping[str, SecretStr], name: str) -> str:
        names = sorted(users)
        return names[int.from_bytes(self._digest(name.encode())) % len(names)]

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._key)
        for part in parts:
            digest.update(len(part).to_bytes(8))
            digest.update(part)
        return digest.digest()


def _credentials(authorization: Sequence[str]) -> tuple[str, bytes] | None:
    """Return user and password of the one well-formed ``Authorization`` header, or ``None``."""
    if len(authorization) != 1:
        return None
    scheme, _, encoded = authorization[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        user = name.decode()
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon and len(password) <= _LONGEST_PASSWORD else None
