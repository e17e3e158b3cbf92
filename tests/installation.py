"""A simulated installation and exporters that read it, as processes."""

from __future__ import annotations

import contextlib
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests import loopback
from tests.processes import COMMAND, DEADLINE, Process, poll, running

APPLICATIONS = ("K7SALES", "M2STOCK")
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TEXT = "text/plain;version=0.0.4"

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator."""

    process: Process
    url: str
    token: str

    def api(self, path: str) -> Any:
        """Return what Cockpit's API answers."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = loopback.get(f"{self.url}/cockpit/api/rest/{path}", headers=headers)
        answer.raise_for_status()
        return answer.json()

    def jobs(self, application: str) -> list[dict[str, Any]]:
        """Return the jobs of an application as Cockpit lists them."""
        listed: list[dict[str, Any]] = self.api(f"application/{application}/services/jobs")
        return listed

    def executions(self, application: str) -> list[dict[str, Any]]:
        """Return the running executions of an application as Cockpit lists them."""
        listed: list[dict[str, Any]] = self.api(f"application/{application}/services/jobs/executions")
        return listed

    def kill(self, execution_id: str) -> None:
        """Kill an execution as Cockpit does."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.url}/cockpit/api/rest/services/jobs/execution/{execution_id}/kill"
        loopback.request("POST", url, headers=headers).raise_for_status()

    def finish(self, execution_id: str) -> None:
        """Let an execution end by itself now, with the exit code that it was to have."""
        self.control("POST", "finish", json={"execution_id": execution_id})

    def control(self, method: str, path: str, **options: Any) -> Any:
        """Ask the simulator itself something."""
        answer = loopback.request(method, f"{self.url}/-/{path}", **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def switch_faults(self, *faults: str) -> None:
        """Switch exactly these faults on."""
        self.control("PUT", "faults", json=list(faults))


@dataclass(frozen=True, slots=True)
class Exposition:
    """One answer of ``/metrics``, parsed."""

    text: str
    content_type: str

    @property
    def samples(self) -> Mapping[str, Mapping[Labels, float]]:
        """Sample name → labels → value."""
        parse = parse_openmetrics if self.content_type.startswith("application/openmetrics-text") else parse_text
        found: dict[str, dict[Labels, float]] = defaultdict(dict)
        for family in parse(self.text):
            for sample in family.samples:
                labels = frozenset(sample.labels.items())
                assert labels not in found[sample.name], f"{sample.name} has {dict(labels)} twice"
                found[sample.name][labels] = sample.value
        return found

    def values(self, name: str, *shown: str, **labels: str) -> dict[tuple[str, ...], float]:
        """Return the values of the samples that have ``labels``, by the values of the labels ``shown``."""
        wanted = set(labels.items())
        return {
            tuple(dict(found)[label] for label in shown): value
            for found, value in self.samples.get(name, {}).items()
            if wanted <= found
        }


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running exporter."""

    process: Process
    url: str
    certificates: ssl.SSLContext | None = None

    def get(self, path: str, *, timeout: float = DEADLINE, **headers: str) -> httpx.Response:
        """Return the answer to a GET request."""
        options = {} if self.certificates is None else {"verify": self.certificates}
        with loopback.client(timeout=timeout, **options) as client:
            return client.get(f"{self.url}{path}", headers=headers)

    def metrics(self, *, accept: str = TEXT, timeout: float = DEADLINE) -> Exposition:
        """Scrape once."""
        answer = self.get("/metrics", accept=accept, timeout=timeout)
        assert answer.status_code == 200, answer.text
        return Exposition(answer.text, answer.headers["content-type"])


@contextlib.contextmanager
def simulating(folder: Path, *arguments: str) -> Iterator[Simulator]:
    """Run a simulator on a free port."""
    command = [COMMAND, "simulate", "--web.listen-address", "127.0.0.1:0", *arguments]
    with running(command, folder, name="simulator") as process:
        url = process.listening_url()
        yield Simulator(process, url, process.wait_for(r"token=(\S+)")[1])


def configuration(simulator: Simulator, folder: Path, *, timing: str, more: str = "", target: str = "") -> Path:
    """Write the configuration of an exporter that reads ``simulator``.

    Args:
        timing: what ``global`` holds, in YAML's flow style.
        more: further sections.
        target: further keys of the target, indented by four spaces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "token"
    token.touch(0o600)
    token.write_text(simulator.token)
    file = folder / "dumbella-exporter.yml"
    file.write_text(
        f"global: {timing}\n"
        "targets:\n"
        "  - name: simulated\n"
        f"    url: {simulator.url}/cockpit\n"
        f"    applications: [{', '.join(APPLICATIONS)}]\n"
        "    auth: {bearer_token_file: token}\n"
        f"{target}{more}"
    )
    return file


@contextlib.contextmanager
def exporting(file: Path, *arguments: str, certificates: ssl.SSLContext | None = None) -> Iterator[Exporter]:
    """Run an exporter on a free port, until its first read has ended.

    Args:
        file: its configuration.
        arguments: further arguments of its command.
        certificates: for an exporter that speaks TLS: the one that its own is checked against, and the client's.
    """
    command = [
        COMMAND,
        "serve",
        "--config.file",
        file,
        "--web.listen-address",
        "127.0.0.1:0",
        *arguments,
    ]
    with running(command, file.parent, name="exporter") as process:
        exporter = Exporter(process, process.listening_url(), certificates)
        poll(lambda: exporter.get("/-/ready").status_code == 200)
        yield exporter
