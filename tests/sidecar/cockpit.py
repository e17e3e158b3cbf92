"""A made-up Cockpit for answers to kills that the simulator never gives: one run, and whatever a test wants to hear."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests import loopback

#: The run, as the tests of the simulator describe runs.
RUN = {"execution_id": "e-1", "application": "K7SALES", "started_at": 1_700_000_000.0}


@dataclass(slots=True)
class Cockpit:
    """A running stand-in.

    Attributes:
        url: its address.
        token: what it would be given as a token; it takes any.
        status: the status of its answers to kills.
        ends: whether a kill ends the run, whatever the answer is.
        leaves: whether it stops listening as soon as the list has been read once more.
        listed: whether the run is listed.
        kills: how many kills have arrived.
    """

    url: str = ""
    token: str = "any"  # noqa: S105 - of nothing that there is
    status: int = 200
    ends: bool = False
    leaves: bool = False
    listed: bool = True
    kills: int = 0


@contextlib.contextmanager
def cockpit() -> Iterator[Cockpit]:
    """Run a stand-in."""
    stand_in = Cockpit()

    class Handler(_Handler):
        cockpit = stand_in

    with loopback.serving(Handler) as stand_in.url:
        yield stand_in


class _Handler(BaseHTTPRequestHandler):
    cockpit: Cockpit

    def do_GET(self) -> None:
        """List the run, or no jobs."""
        if self.path.endswith("/executions"):
            if self.cockpit.leaves:
                self.server.shutdown()
                self.server.server_close()
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(RUN["started_at"]))  # type: ignore[arg-type] # a number
            row = {"executionId": "e-1", "jobId": 1, "name": "etl_load_0.1.zip", "startDate": started}
            self._answer(200, [row] if self.cockpit.listed else [])
        else:
            self._answer(200, [])

    def do_POST(self) -> None:
        """Take a kill."""
        self.cockpit.kills += 1
        self.cockpit.listed = self.cockpit.listed and not self.cockpit.ends
        self._answer(self.cockpit.status, {"message": f"this is a {self.cockpit.status}"})

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.close_connection = True
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing; the tests look at ``kills``."""
