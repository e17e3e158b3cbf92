"""A stand-in for Grafana: the three questions that the sidecar asks, answered as Grafana answers them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal

from tests import loopback

Fault = Literal[
    "", "rotate", "origin", "silent", "trickle", "endless", "html", "redirect", "gzip", "error", "deep", "list", "reset"
]

UNAUTHORIZED = {"message": "Unauthorized"}
ROTATE = {
    "extra": None,
    "message": "Token needs to be rotated",
    "messageId": "session.token.rotate",
    "statusCode": 401,
    "traceID": "",
}


@dataclass(frozen=True, slots=True)
class User:
    """Whose a session is.

    Attributes:
        roles: the role in each organisation.
        teams: organisation and name of each team.
    """

    id: Any = 7
    login: Any = "alice"
    name: str = "Alice Example"
    disabled: bool = False
    roles: tuple[tuple[int, str], ...] = ((1, "Editor"),)
    teams: tuple[tuple[int, str], ...] = ()

    def answer(self, path: str) -> Any:
        """Return what Grafana answers at ``path``."""
        match path:
            case "/api/user":
                return {
                    "id": self.id,
                    "uid": f"u{self.id}",
                    "email": f"{self.login}@example.com",
                    "name": self.name,
                    "login": self.login,
                    "theme": "",
                    "orgId": self.roles[0][0] if self.roles else 0,
                    "isGrafanaAdmin": False,
                    "isDisabled": self.disabled,
                    "isExternal": False,
                    "authLabels": [],
                }
            case "/api/user/orgs":
                return [{"orgId": org, "name": f"Org {org}.", "role": role} for org, role in self.roles]
            case _:
                return [
                    {"id": number, "orgId": org, "name": team, "email": "", "memberCount": 3}
                    for number, (org, team) in enumerate(self.teams, 1)
                ]


@dataclass(slots=True)
class Grafana:
    """A running stand-in.

    Attributes:
        url: its address.
        cookie_name: its ``login_cookie_name``.
        sessions: the user of each session.
        fault: what is wrong with its answers.
        faulty: the paths that the fault concerns.
        asked: path and headers of every request, in the order in which they came.
    """

    url: str = ""
    cookie_name: str = "grafana_session"
    sessions: dict[str, User] = field(default_factory=dict)
    fault: Fault = ""
    faulty: tuple[str, ...] = ("/api/user", "/api/user/orgs", "/api/user/teams")
    asked: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked, sorted."""
        return sorted(path for path, _ in self.asked)


@contextlib.contextmanager
def grafana(**sessions: User) -> Iterator[Grafana]:
    """Run a stand-in with these sessions."""
    stand_in = Grafana(sessions=dict(sessions))

    class Handler(_Handler):
        grafana = stand_in

    with loopback.serving(Handler) as stand_in.url:
        try:
            yield stand_in
        finally:
            stand_in.ending.set()


class _Handler(BaseHTTPRequestHandler):
    grafana: Grafana

    def do_GET(self) -> None:
        """Answer one of the three questions."""
        self.grafana.asked.append((self.path, self.headers.items()))
        self.close_connection = True
        # The client may have given up by now, which is its right.
        with contextlib.suppress(ConnectionError):
            if self.path in self.grafana.faulty and self.grafana.fault:
                self._answer_wrongly(self.grafana.fault)
            else:
                self._answer_rightly()

    def _answer_rightly(self) -> None:
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        given = cookies.get(self.grafana.cookie_name)
        user = None if given is None else self.grafana.sessions.get(given.value)
        if user is None:
            self._json(401, UNAUTHORIZED)
        else:
            self._json(200, user.answer(self.path))

    def _answer_wrongly(self, fault: Fault) -> None:
        answers: dict[Fault, Callable[[], object]] = {
            "rotate": lambda: self._json(401, ROTATE),
            "origin": lambda: self._json(403, {"message": "origin not allowed"}),
            "error": lambda: self._json(500, {"message": "Internal server error"}),
            "html": lambda: self._send(200, b"<!DOCTYPE html><title>Grafana</title>", "text/html; charset=UTF-8"),
            "list": lambda: self._json(200, [[]]),
            "deep": lambda: self._send(200, b"[" * 200_000),
            "gzip": lambda: self._send(200, b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
            "redirect": lambda: self._send(302, b"", headers={"Location": f"{self.grafana.url}/login"}),
            "reset": self.connection.close,
            "silent": self.grafana.ending.wait,
            "trickle": self._send_slowly,
            "endless": self._send_endlessly,
        }
        answers[fault]()

    def _json(self, status: int, value: Any) -> None:
        # Grafana renews its cookie with any answer.
        cookie = f"{self.grafana.cookie_name}=renewed; Path=/; HttpOnly; SameSite=Lax"
        self._send(status, json.dumps(value).encode(), headers={"Set-Cookie": cookie})

    def _send(
        self, status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _send_slowly(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.grafana.ending.wait(0.05):
            self.wfile.write(b" ")

    def _send_endlessly(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.grafana.ending.is_set():
            self.wfile.write(b" " * 64 * 1024)

    def log_message(self, *_: Any) -> None:
        """Say nothing; the tests look at ``asked``."""
