"""A sidecar as a process, in front of a simulated installation with real processes."""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import httpx

from tests import loopback
from tests.installation import Simulator
from tests.loopback import free_port
from tests.processes import COMMAND, DEADLINE, Process, poll, running
from tests.sidecar.cockpit import Cockpit

PASSWORD = "wonderland"  # noqa: S105 - a user of the tests
TOKEN = "a-token-of-the-tests-0123456789"  # noqa: S105 - likewise
OLD_TOKEN = "an-expired-token-of-the-tests-01"  # noqa: S105 - likewise
OTHER_TOKEN = "another-token-of-the-tests-01"  # noqa: S105 - likewise
JOB = "etl_load_0.1"
PARALLEL_JOB = {
    "application": "K7SALES",
    "name": JOB,
    "type": "JOB",
    "status": "ENABLED",
    "mode": "PARALLEL",
    "current_version": 1,
    "published_version": 1,
}
#: Headers that a browser sends with a form of the same page.
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}

COCKPIT = 'url: "{}/cockpit", applications: [K7SALES, M2STOCK]'
AUTH = f"""\
  auth:
    - {{type: basic}}
    - type: token
      tokens:
        - {{name: ci, sha256: "{hashlib.sha256(TOKEN.encode()).hexdigest()}"}}
        - {{name: old, sha256: "{hashlib.sha256(OLD_TOKEN.encode()).hexdigest()}", expires: 2024-06-30}}
        - {{name: elsewhere, sha256: "{hashlib.sha256(OTHER_TOKEN.encode()).hexdigest()}", targets: [other]}}
"""
POLICY = """\
  policy:
    - name: sre
      effect: allow
      jobs: ["etl_*"]
      principals: ["user:alice", "user:bob", "token:ci", "token:elsewhere"]
      cooldown: 0s
"""
WIDE = """\
  limits: {pages_per_minute: 10000, kills_per_user_10m: 10000, kills_per_target_10m: 10000, kills_per_hour: 10000}
"""
#: Nobody waits so long unless something is broken; a busy machine must not look like that.
PATIENT = "  timeouts: {read: 20s, kill: 20s, confirm: 2m, drain: 20s}\n"
#: For runs that stay: whatever is late, they are still there when time is up.
RESIGNED = "  timeouts: {read: 20s, kill: 20s, confirm: 500ms, drain: 20s}\n"
#: For a Cockpit that never answers; a page that has to succeed before has to be tried again.
HASTY = "  timeouts: {read: 500ms, kill: 3s, confirm: 500ms, drain: 20s}\n"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar."""

    process: Process
    url: str
    audit: Path
    trusting: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def client(self, user: str = "alice") -> httpx.Client:
        """Return a client that a person uses."""
        return self.browser(auth=(user, PASSWORD))

    def browser(self, **options: Any) -> httpx.Client:
        """Return a client that sends what ``options`` say."""
        certificates = {} if self.trusting is None else {"verify": self.trusting}
        return loopback.client(base_url=self.url, **certificates, **options)

    def api(self, token: str = TOKEN) -> httpx.Client:
        """Return a client that a program uses."""
        headers = {"Authorization": f"Bearer {token}"}
        return loopback.client(base_url=f"{self.url}/api/v1", headers=headers)

    def records(self) -> list[dict[str, Any]]:
        """Return what is in the audit file."""
        return [json.loads(line) for line in self.audit.read_text(encoding="ascii").splitlines()]

    def stages(self) -> list[tuple[str, str]]:
        """Return stage and outcome of every record about a kill."""
        return [(record["stage"], record["outcome"]) for record in self.records() if record["kill_id"]]

    def metric(self, sample: str) -> float:
        """Return the value of a sample, written as on /metrics."""
        with self.client() as client:
            text = client.get("/metrics").text
        return float(re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index] # a test fails


def configure(
    folder: Path,
    url: str,
    cockpit: str,
    token: str,
    kill: str,
    *,
    web: bool = True,
    target: str = COCKPIT,
    tls: str = "",
) -> list[object]:
    """Write the files of a sidecar and return the arguments that name them.

    Args:
        folder: where.
        url: its public address.
        cockpit: the address of Cockpit.
        token: Cockpit's token.
        kill: further lines of the section ``kill``.
        web: whether there are users.
        target: the keys of the target; ``{}`` stands for Cockpit's address.
        tls: the section of the web configuration that switches TLS on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cockpit-key").write_text(token)
    file = folder / "dumbella-exporter.yml"
    file.write_text(
        "targets:\n"
        f"  - {{name: simulated, {target.format(cockpit)}}}\n"
        "kill:\n"
        f"  public_url: {url}\n"
        "  audit: {file: audit.jsonl}\n"
        f"{kill}"
    )
    arguments: list[object] = ["--config.file", file]
    users = ""
    if web:
        digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        users = "basic_auth_users:\n" + "".join(f'  {user}: "{digest}"\n' for user in ("alice", "bob", "victor"))
    if users or tls:
        (folder / "web.yml").write_text(tls + users)
        arguments += ["--web.config.file", folder / "web.yml"]
    return arguments


@contextlib.contextmanager
def sidecar(
    folder: Path,
    simulator: Simulator | Cockpit,
    *,
    mode: str = "live",
    csrf: str = "none",
    auth: str = AUTH,
    policy: str = POLICY,
    more: str = WIDE + PATIENT,
    port: int | None = None,
    target: str = COCKPIT,
) -> Iterator[Sidecar]:
    """Run a sidecar in front of a simulator, or of a stand-in, until it is ready."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    kill = f"  mode: {mode}\n  targets: {{simulated: {{bearer_token_file: cockpit-key, csrf: {csrf}}}}}\n"
    kill += auth + policy + more
    arguments = configure(folder, url, simulator.url, simulator.token, kill, web="basic" in auth, target=target)
    command = [COMMAND, "sidecar", *arguments, "--web.listen-address", f"127.0.0.1:{port}"]
    with running(command, folder, name="sidecar") as process:
        process.listening_url()
        yield Sidecar(process, url, folder / "audit.jsonl")


def begin(simulator: Simulator, count: int = 1, duration: float = 300) -> list[dict[str, Any]]:
    """Begin runs of the parallel job, as real processes; return them as the simulator describes them."""
    wanted = {"application": "K7SALES", "job": JOB, "duration": duration, "count": count}
    begun: list[dict[str, Any]] = simulator.control("POST", "run", json=wanted)
    ids = {run["execution_id"] for run in begun}

    def started() -> list[dict[str, Any]]:
        runs = [run for run in simulator.control("GET", "state")["running"] if run["execution_id"] in ids]
        return runs if len(runs) == count and all(run["pid"] for run in runs) else []

    return poll(started)


def ended(simulator: Simulator, run: dict[str, Any]) -> str | None:
    """Return how a run ended, ``None`` if it has not."""
    history = simulator.control("GET", "history", params={"application": "K7SALES"})
    outcome: str | None = next(one["outcome"] for one in history if one["execution_id"] == run["execution_id"])
    return outcome


def link(run: dict[str, Any], **changes: str) -> str:
    """Return the link to the confirmation page of a run, as a dashboard has it."""
    values = {
        "target": "simulated",
        "application": run["application"],
        "execution": run["execution_id"],
        "started": str(int(run["started_at"] * 1000)),
        "from": "dumbella-jobs",
        **changes,
    }
    return str(httpx.URL("/kill", params=values))


def form(page: httpx.Response) -> dict[str, str]:
    """Return the hidden fields of a confirmation page."""
    assert page.status_code == 200, page.text
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
    return {name: html.unescape(value) for name, value in fields}


def confirm(client: httpx.Client, run: dict[str, Any], reason: str = "hangs") -> httpx.Response:
    """Open the confirmation page of a run and send its form."""
    fields = form(client.get(link(run)))
    return client.post("/kill", data={**fields, "reason": reason}, headers=SAME_ORIGIN)


def final_state(client: httpx.Client, answer: httpx.Response) -> str:
    """Follow the answer to a confirmation until the state is final; return it."""
    assert answer.status_code == 303, answer.text

    def looked() -> str | None:
        page = client.get(answer.headers["location"]).text
        return None if "http-equiv" in page else re.search(r"<dd><code>(\w+)</code></dd>", page)[1]  # type: ignore[index] # a test fails

    return poll(looked)


def say(port: int, lines: Sequence[str], body: bytes = b"") -> tuple[int, str]:
    """Send a request exactly as written, and return status and answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    text = answer.decode("latin-1")
    return int(text.split(" ", 2)[1]), text
