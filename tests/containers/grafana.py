"""A stand-in for Grafana's server in the stack, run as a program: ``python -m tests.containers.grafana PORT``.

It keeps users as Grafana's API makes them, signs them in, says whose a session is, and shows what it is provisioned
with. Everything else of Grafana is missing.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.sidecar.grafana import UNAUTHORIZED, User

COOKIE = "grafana_session"
PROVISIONING = Path("/etc/grafana/provisioning")
#: The variable of Grafana's first password, and what Grafana takes where it is not set.
ADMIN_PASSWORD = os.environ.get("GF_SECURITY_ADMIN_PASSWORD", "admin")

_Endpoint = Callable[[Request], Awaitable[Response]]


class Server:
    """Users, their passwords and their sessions, as long as the process lives."""

    def __init__(self) -> None:
        self._users = {1: User(id=1, login="admin", name="", roles=((1, "Admin"),))}
        self._passwords = {"admin": ADMIN_PASSWORD}
        self._sessions: dict[str, int] = {}

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/api/health", _health),
                Route("/login", self._sign_in, methods=["POST"]),
                Route("/api/users/lookup", self._as_admin(self._look_up)),
                Route("/api/admin/users", self._as_admin(self._make), methods=["POST"]),
                Route("/api/admin/users/{id:int}/password", self._as_admin(self._set_password), methods=["PUT"]),
                Route("/api/orgs/1/users/{id:int}", self._as_admin(self._set_role), methods=["PATCH"]),
                *(Route(path, self._who) for path in ("/api/user", "/api/user/orgs", "/api/user/teams")),
                Route("/api/datasources", self._as_admin(_data_sources)),
                Route("/api/search", self._as_admin(_dashboards)),
            ],
            exception_handlers={HTTPException: _refused},
        )

    async def _sign_in(self, request: Request) -> Response:
        asked = await request.json()
        user = self._known(asked["user"], asked["password"])
        session = secrets.token_hex(16)
        self._sessions[session] = user.id
        answer = JSONResponse({"message": "Logged in", "redirectUrl": "/"})
        answer.set_cookie(COOKIE, session, httponly=True, samesite="lax")
        return answer

    async def _look_up(self, request: Request) -> Response:
        wanted = request.query_params["loginOrEmail"]
        user = next((user for user in self._users.values() if user.login == wanted), None)
        if user is None:
            raise HTTPException(404, "user not found")
        return JSONResponse(user.answer("/api/user"))

    async def _make(self, request: Request) -> Response:
        asked = await request.json()
        if asked["login"] in self._passwords:
            message = f"User with email '' or username '{asked['login']}' already exists"
            raise HTTPException(412, message)
        # Who is new may look.
        user = User(len(self._users) + 1, asked["login"], asked["name"], roles=((asked["OrgId"], "Viewer"),))
        self._users[user.id] = user
        self._passwords[user.login] = asked["password"]
        return JSONResponse({"id": user.id, "uid": f"u{user.id}", "message": "User created"})

    async def _set_password(self, request: Request) -> Response:
        user = self._users[request.path_params["id"]]
        self._passwords[user.login] = (await request.json())["password"]
        return JSONResponse({"message": "User password updated"})

    async def _set_role(self, request: Request) -> Response:
        user = self._users[request.path_params["id"]]
        self._users[user.id] = dataclasses.replace(user, roles=((1, (await request.json())["role"]),))
        return JSONResponse({"message": "Organization user updated"})

    async def _who(self, request: Request) -> Response:
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        user = self._signed(request) if session is None else self._users[session]
        return JSONResponse(user.answer(request.url.path))

    def _as_admin(self, endpoint: _Endpoint) -> _Endpoint:
        async def guarded(request: Request) -> Response:
            if self._signed(request).login != "admin":
                raise HTTPException(403, "You'll need additional permissions to perform this action.")
            return await endpoint(request)

        return guarded

    def _signed(self, request: Request) -> User:
        """Return whose credentials a request carries."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            login, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            login = password = ""
        if scheme.lower() != "basic":
            raise HTTPException(401, UNAUTHORIZED["message"])
        return self._known(login, password)

    def _known(self, login: str, password: str) -> User:
        if self._passwords.get(login) != password:
            raise HTTPException(401, "Invalid username or password")
        return next(user for user in self._users.values() if user.login == login)


async def _health(_: Request) -> Response:
    return JSONResponse({"database": "ok", "version": "stand-in", "commit": "none"})


async def _data_sources(_: Request) -> Response:
    return JSONResponse([source for file in _provisioned("datasources") for source in file["datasources"]])


async def _dashboards(_: Request) -> Response:
    folders = [Path(one["options"]["path"]) for file in _provisioned("dashboards") for one in file["providers"]]
    found = [json.loads(file.read_text()) for folder in folders for file in sorted(folder.rglob("*.json"))]
    return JSONResponse([{"uid": dashboard["uid"], "title": dashboard["title"]} for dashboard in found])


def _provisioned(kind: str) -> list[Any]:
    """Return the provisioning files of one kind, with the variables of the environment put in."""
    files = sorted((PROVISIONING / kind).glob("*.yml"))
    return [yaml.safe_load(os.path.expandvars(file.read_text())) for file in files]


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"message": error.detail}, error.status_code)


if __name__ == "__main__":
    uvicorn.run(Server().application(), host="0.0.0.0", port=int(sys.argv[1]), log_level="info")  # noqa: S104 - published to the loopback interface only
