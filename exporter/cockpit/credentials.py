"""The credential of a target: request headers from files, and nothing of it in any message."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from exporter.cockpit.errors import AuthRejected
from exporter.config import Auth
from exporter.secret import SecretFile

_MASK = "<secret>"
#: Shorter values are no secrets, and masking them would make every message unreadable.
_SHORTEST_SECRET = 4


class Credentials:
    """Request headers that authenticate; files are read again whenever they change.

    Args:
        auth: the target's section of the configuration.
    """

    def __init__(self, auth: Auth) -> None:
        self._bearer = auth.bearer_token_file and SecretFile(auth.bearer_token_file)
        self._cookie = auth.cookie_file and SecretFile(auth.cookie_file)
        self._headers: dict[str, SecretStr | SecretFile] = {
            name: value if isinstance(value, SecretStr) else SecretFile(value.file)
            for name, value in auth.headers.items()
        }
        self._secrets: frozenset[str] = frozenset()

    def headers(self) -> dict[str, str]:
        """Return the headers to send.

        Raises:
            AuthRejected: a file cannot be read or does not hold a credential.
        """
        headers = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else _read(value, f"auth.headers.{name}")
            for name, value in self._headers.items()
        }
        secrets = set(headers.values())
        if self._cookie:
            headers["Cookie"] = _read(self._cookie, "auth.cookie_file")
            secrets |= {headers["Cookie"], *(pair.partition("=")[2] for pair in headers["Cookie"].split(";"))}
        if self._bearer:
            token = _read(self._bearer, "auth.bearer_token_file")
            headers["Authorization"] = f"Bearer {token}"
            secrets.add(token)
        self._secrets = frozenset(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)
        return headers

    def mask(self, text: str) -> str:
        """Return ``text`` without the secrets of the latest headers."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return text


def _read(file: SecretFile, key: str) -> str:
    try:
        return file.read()
    except OSError as error:
        raise AuthRejected(f"{key}: {_named(file.path)} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AuthRejected(f"{key}: {_named(file.path)}: {error}") from error


def _named(path: Path) -> str:
    return ascii(str(path))
