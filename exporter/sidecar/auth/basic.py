"""People with a password: the users of the web configuration."""

from __future__ import annotations

from starlette.requests import Request

from exporter.server.passwords import PasswordCheck
from exporter.server.webaccess import WebConfigFile
from exporter.sidecar.identity import AuthFailed, Principal


class Basic:
    """Users and bcrypt hashes of the web configuration's ``basic_auth_users``.

    Args:
        web: the web configuration, which is followed while it changes.
        passwords: checks the passwords.
    """

    name = "basic"
    challenge = 'Basic realm="dumbella-exporter sidecar", charset="UTF-8"'

    def __init__(self, web: WebConfigFile, passwords: PasswordCheck) -> None:
        self._web = web
        self._passwords = passwords

    async def authenticate(self, request: Request, *, fresh: bool) -> Principal | None:  # noqa: ARG002 - Provider's form
        """Return the user; a remembered password is as good as one that is checked anew, as it belongs to the hash.

        Raises:
            AuthFailed: the user or the password is wrong.
        """
        authorization = request.headers.getlist("authorization")
        if not any(value.lower().startswith("basic ") for value in authorization):
            return None
        name = await self._passwords.user(self._web.config.basic_auth_users, authorization)
        if name is None:
            raise AuthFailed("The user name or the password is wrong.")
        return Principal(provider=self.name, id=name, login=name)
