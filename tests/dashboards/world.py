"""Installations, exporters, a sidecar, and a Prometheus that scrapes them, as processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.installation import Exporter, Simulator, exporting, simulating
from tests.loopback import free_port
from tests.processes import COMMAND, poll, running

SALES, STOCK = "K7SALES", "M2STOCK"
#: A name with everything that PromQL, regular expressions, addresses and tables could trip over.
ODD = 'grüße "A\\B" & C#1 100% (x|y)?_0.1'
#: A name that both applications have.
SHARED = "exchange_rates_0.1"
#: Expected to take no longer than a second.
SLOW = "nightly_close_0.3"


@dataclass(frozen=True, slots=True)
class Installation:
    """A simulated installation in which nothing happens by itself, as the exporters call it."""

    name: str
    simulator: Simulator

    def add(self, application: str, name: str, **facts: object) -> str:
        """Add a parallel job and return its id."""
        asked = {"application": application, "name": name, "mode": "PARALLEL", **facts}
        return str(self.simulator.control("POST", "jobs", json=asked)["id"])

    def alter(self, application: str, job: str, **facts: object) -> None:
        """Change a job."""
        self.simulator.control("PATCH", f"jobs/{application}/{job}", json=facts)

    def id(self, application: str, name: str) -> str:
        """Return the id of the job with exactly this name."""
        (found,) = (job for job in self.jobs(application) if job["name"] == name)
        return str(found["id"])

    def jobs(self, application: str) -> Sequence[Mapping[str, Any]]:
        """Return the jobs of an application as they really are."""
        jobs: Sequence[Mapping[str, Any]] = self.simulator.control("GET", "state")["applications"][application]
        return jobs

    def start(self, application: str, job: str, *, count: int = 1, **behaviour: object) -> list[str]:
        """Start executions, which go on until they are killed unless told otherwise; return their ids."""
        asked = {"application": application, "job": job, "count": count, "duration": None, **behaviour}
        begun = [run["execution_id"] for run in self.simulator.control("POST", "run", json=asked)]
        poll(lambda: set(begun) <= {run["execution_id"] for run in self.history() if run["started_at"]})
        return begun

    def history(self) -> list[dict[str, Any]]:
        """Return every execution that really was or is."""
        found: list[dict[str, Any]] = self.simulator.control("GET", "history")
        return found

    def started_at(self, execution_id: str) -> float:
        """Return when an execution really started."""
        (run,) = (run for run in self.history() if run["execution_id"] == execution_id)
        moment: float = run["started_at"]
        return moment


@contextlib.contextmanager
def installed(name: str, folder: Path, *arguments: str) -> Iterator[Installation]:
    """Run an installation in which nothing runs, and nothing happens by itself."""
    with simulating(folder / name, *arguments) as simulator:
        simulator.control("DELETE", "scheduler")
        for run in simulator.control("GET", "state")["running"]:
            simulator.kill(run["execution_id"])
        poll(lambda: not simulator.control("GET", "state")["running"])
        yield Installation(name, simulator)


def configure(folder: Path, installations: Sequence[Installation], *, sidecar_port: int | None = None) -> Path:
    """Write the configuration of exporters that read every installation each second.

    Args:
        sidecar_port: where the sidecar listens, which serves the first installation only; without it there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    targets = ""
    for installation in installations:
        token = folder / f"{installation.name}.token"
        token.touch(0o600)
        token.write_text(installation.simulator.token)
        url = installation.simulator.url
        targets += (
            f"  - name: {installation.name}\n    url: {url}/cockpit\n    applications: [{SALES}, {STOCK}]\n"
            f"    auth: {{bearer_token_file: {token.name}}}\n    results: {{url: '{url}'}}\n"
        )
    kill = (
        f"kill:\n  mode: dry_run\n  public_url: http://127.0.0.1:{sidecar_port}\n"
        f"  targets: {{{installations[0].name}: {{}}}}\n  audit: {{file: audit.jsonl}}\n"
        '  policy: [{name: everyone, effect: allow, principals: ["user:local"]}]\n'
    )
    file = folder / "dumbella-exporter.yml"
    file.write_text(
        "global: {interval: 1s, stale_after: 5s}\n"
        f"targets:\n{targets}"
        'expectations: [{job: "nightly_*", max_runtime: 1s, success_every: 1h}]\n'
        f"{'' if sidecar_port is None else kill}"
    )
    return file


@contextlib.contextmanager
def guarding(file: Path, port: int) -> Iterator[str]:
    """Run the kill sidecar and yield its address."""
    command = [COMMAND, "sidecar", "--config.file", file, "--web.listen-address", f"127.0.0.1:{port}"]
    with running(command, file.parent, name="sidecar") as process:
        yield process.listening_url()


@dataclass(frozen=True, slots=True)
class World:
    """Two installations with the same applications, each read by two exporters, and a sidecar for the first."""

    north: Installation
    south: Installation
    exporters: Sequence[Exporter]
    sidecar: str
    hanging: str

    @property
    def scraped(self) -> Mapping[str, str]:
        """What Prometheus scrapes, by the name of the scrape job."""
        one, other = self.exporters
        return {"dumbella-exporter": one.url, "dumbella-exporter-other": other.url, "dumbella-sidecar": self.sidecar}


@contextlib.contextmanager
def busy_world(folder: Path) -> Iterator[World]:
    """Run the installations, with executions of which some have ended and some go on."""
    with contextlib.ExitStack() as stack:
        north, south = (stack.enter_context(installed(name, folder)) for name in ("north", "south"))
        for application in (SALES, STOCK):
            north.add(application, SHARED, current_version=1, published_version=1)
        north.add(SALES, ODD, current_version=3, published_version=2)
        port = free_port()
        file = configure(folder / "exporter", [north, south], sidecar_port=port)
        copy = configure(folder / "other-exporter", [north, south])
        exporters = [stack.enter_context(exporting(each)) for each in (file, copy)]
        sidecar = stack.enter_context(guarding(file, port))
        (hanging,) = north.start(SALES, ODD)
        north.start(SALES, SHARED, count=2)
        north.start(STOCK, SHARED)
        north.start(SALES, SLOW)
        south.start(SALES, "sync_customers_2.1")
        yield World(north, south, exporters, sidecar, hanging)
