"""Measure what the exporter costs, as ratios within one run: ``make bench``.

Times on a shared machine mean little, ratios to something that does the same kind of work mean more: a read is compared
with ``json.loads`` of the same bodies and with prometheus-client rendering the same families, a scrape with nginx
serving the same bytes (where nginx is installed). Each figure is the median of several rounds, the things that are
compared taking turns. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import multiprocessing
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.parser import text_string_to_metric_families

from exporter.cockpit.fetch import Body
from exporter.cockpit.lists import PagedList, Understood
from exporter.cockpit.mapping import ExecutionMapper, JobMapper
from exporter.config import Config, Expectation, Target
from exporter.config.profiles import resolve
from exporter.exposition import TargetBlocks
from exporter.model import Execution, Job, Listing
from exporter.observe import State, observe
from exporter.publisher import Publisher
from exporter.serve import SWITCH_INTERVAL
from exporter.server import ListenAddress, bind, bound_url, serve
from exporter.snapshot import ApplicationRead, Assembler
from exporter.telemetry import Telemetry
from exporter.web import MetricsEndpoint

NOW = 1_763_900_000.0
ROUNDS = 9
#: Only an installation of this size has hundreds of executions at a time.
_MANY = 10_000


# --- a made-up installation ------------------------------------------------------------------------------------------


class Installation:
    """Lists of jobs and executions as Cockpit would send them, that change as asked.

    Args:
        jobs: how many jobs it lists.
        seed: makes it repeatable.
    """

    def __init__(self, jobs: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a benchmark needs repeatable numbers, not secret ones
        self._jobs = [self._job(i) for i in range(jobs)]
        self._executions: list[dict[str, Any]] = []
        self._started = 0
        self._blank = ""

    def _job(self, i: int) -> dict[str, Any]:
        version = self._random.randrange(30)
        return {
            "id": 10**14 + i * 997,
            "name": f"load_orders_region_{i}_0.{i % 9}.zip",
            "type": "JOB",
            "status": "ENABLED",
            "execution": self._random.choice(["SEQUENTIAL", "PARALLEL"]),
            "currentVersion": version,
            "publishedVersion": version,
            "lastUpdate": "2026-11-20T10:00:00Z",
        }

    def churn(self, share: float) -> None:
        """Change the status and the last update of a share of the jobs, at least one."""
        for job in self._random.sample(self._jobs, max(1, round(len(self._jobs) * share))):
            job["status"] = "ERROR" if job["status"] == "ENABLED" else "ENABLED"
            job["error"] = "java.io.IOException: no space left on device" if job["status"] == "ERROR" else None
            job["lastUpdate"] = f"2026-11-{self._random.randint(10, 29)}T10:00:{self._random.randrange(60):02}Z"

    def touch(self) -> None:
        """Change nothing, but make the body another one, so that it cannot be recognised as a whole."""
        self._blank = " " if not self._blank else ""

    def run(self, running: int, ending: int) -> None:
        """Let the oldest executions end and as many start, so that ``running`` are in progress."""
        del self._executions[:ending]
        while len(self._executions) < running:
            job = self._random.choice(self._jobs)
            self._started += 1
            self._executions.append(
                {
                    "executionId": f"00000000-0000-4000-8000-{self._started:012}",
                    "jobId": job["id"],
                    "name": job["name"],
                    "startDate": 1000 * int(NOW) + self._started,
                }
            )

    def bodies(self) -> tuple[bytes, bytes]:
        """Return both lists as they are sent."""
        return json.dumps(self._jobs).encode() + self._blank.encode(), json.dumps(self._executions).encode()


class Reading:
    """What a reader does with bodies once they have arrived: decode, map, observe, assemble, render, publish."""

    def __init__(self) -> None:
        target = Target(name="production", url="https://apps.example.com/cockpit", applications=("K7SALES",))
        config = Config(targets=(target,), expectations=(Expectation(max_runtime=60.0, success_every=60.0),))
        self._jobs = _source("jobs", JobMapper("K7SALES", resolve("cockpit", {})).map)
        self._executions = _source("executions", ExecutionMapper("K7SALES", resolve("cockpit", {})).map)
        self._state = State()
        self._assembler = Assembler(config, target)
        self._blocks = TargetBlocks()
        self.publisher = Publisher(Telemetry(), ["production"])
        self.parts: dict[str, float] = {}
        self.publishing = 0.0

    def read(self, bodies: tuple[bytes, bytes]) -> None:
        """Do it once and publish; ``parts`` tells the seconds that each part of the read took."""
        clock = time.perf_counter
        begin = clock()
        jobs: Listing[Job] = self._jobs(bodies[0])
        executions: Listing[Execution] = self._executions(bodies[1])
        mapped = clock()
        self._state, _ = observe(
            self._state, jobs=jobs, executions=executions, now=NOW, stale_after=60, has_results=False
        )
        observed = clock()
        read = ApplicationRead(
            "K7SALES",
            jobs=jobs,
            read_at=NOW,
            executions=executions,
            collector_success={"jobs": True, "executions": True},
            histories=self._state.histories,
            observing_since=self._state.since,
            durations=self._state.durations,
        )
        snapshot = self._assembler.assemble([read], up=True, read_duration=0.1)
        assembled = clock()
        self._blocks.update(snapshot)
        rendered = clock()
        self.publisher.publish(snapshot)
        self.parts = {
            "decode and map": mapped - begin,
            "observe": observed - mapped,
            "assemble": assembled - observed,
            "render": rendered - assembled,
        }
        # Publishing renders once more, then compresses and adds the exporter's own metrics.
        self.publishing = clock() - rendered - self.parts["render"]

    @property
    def seconds(self) -> float:
        """The seconds that the read took, without publishing it."""
        return sum(self.parts.values())


def _source(endpoint: Any, make: Callable[[Sequence[Any]], Any]) -> Callable[[bytes], Any]:
    """Return the client's own path from a body to a listing, without a network."""
    body = b""

    async def ask(
        _url: httpx.URL, _deadline: float, _limit: int, understand: Callable[[Body], Understood]
    ) -> Understood:
        return understand(Body(body, 200, "application/json"))

    listing = PagedList(
        endpoint=endpoint,
        url=httpx.URL("https://apps.example.com"),
        profile=resolve("cockpit", {}),
        ask=ask,
        mask=str,
        limit=2**30,
        make=make,
    )

    def read(content: bytes) -> Any:
        nonlocal body
        body = content
        return _finish(listing.read(deadline=float("inf")))

    return read


def _finish(answer: Awaitable[Any]) -> Any:
    """Return what a coroutine that waits for nothing returns."""
    try:
        answer.__await__().send(None)
    except StopIteration as finished:
        return finished.value
    raise AssertionError("it waited for something")


# --- measuring -------------------------------------------------------------------------------------------------------


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


@dataclass(slots=True)
class Report:
    """Prints figures beside their bars and remembers whether one was missed."""

    missed: bool = False

    def show(self, what: str, ratio: float, bar: float | None, unit: str) -> None:
        """Print a ratio; ``bar`` is the most that it may be."""
        verdict = "" if bar is None else f"  bar {bar:g}  {'ok' if ratio <= bar else 'MISSED'}"
        self.missed |= bar is not None and ratio > bar
        print(f"{what:66}{ratio:9.3f} x {unit}{verdict}")  # noqa: T201 - a benchmark's output


def measure_reads(report: Report, jobs: int, seed: int) -> float:
    """Compare reads with decoding alone; return the seconds of a read at 1 % churn."""
    installation, reading = Installation(jobs, seed), Reading()
    reading.read(installation.bodies())
    reading.read(installation.bodies())
    # As serve does after the first reads.
    gc.collect()
    gc.freeze()
    kinds: tuple[tuple[str, Callable[[], None], float], ...] = (
        ("nothing changed", installation.touch, 2),
        ("1 % of the jobs changed", lambda: installation.churn(0.01), 5),
        ("500 running, 200 end and start, 1 % changed", lambda: _busy(installation), 6),
    )
    churned = 0.0
    for name, change, bar in kinds[: 3 if jobs >= _MANY else 2]:
        ratios, parts, reads, publishing = [], [], [], []
        for _ in range(ROUNDS):
            change()
            bodies = installation.bodies()
            loads = seconds(lambda: [json.loads(body) for body in bodies])  # noqa: B023 - called at once
            reading.read(bodies)
            reads.append(reading.seconds)
            ratios.append(reading.seconds / loads)
            publishing.append(reading.publishing / loads)
            parts.append({part: took / loads for part, took in reading.parts.items()})
        report.show(f"{jobs} jobs: a read, {name}", statistics.median(ratios), bar, "json.loads")
        shares = ", ".join(f"{part} {statistics.median(each[part] for each in parts):.2f}" for part in parts[0])
        print(f"    {shares}; then publish {statistics.median(publishing):.2f}")  # noqa: T201 - likewise
        if "1 %" in name and not churned:
            churned = statistics.median(reads)
    return churned


def _busy(installation: Installation) -> None:
    installation.churn(0.01)
    installation.run(500, 200)


class _Families:
    """The same families for prometheus-client."""

    def __init__(self, families: Iterable[ClientMetric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[ClientMetric]:
        """Return them."""
        return self._families


def measure_client_library(report: Report, jobs: int, seed: int) -> None:
    """Compare a read at 1 % churn with prometheus-client rendering the same families, made already."""
    installation, reading = Installation(jobs, seed), Reading()
    reading.read(installation.bodies())
    registry = CollectorRegistry()
    text = reading.publisher.page("text").plain.join().decode()
    registry.register(_Families(text_string_to_metric_families(text)))
    ratios = []
    for _ in range(3):
        installation.churn(0.01)
        bodies = installation.bodies()
        reading.read(bodies)
        ratios.append(reading.seconds / seconds(lambda: generate_latest(registry)))
    report.show(f"{jobs} jobs: a read, 1 % changed", statistics.median(ratios), 1 / 20, "prometheus-client's rendering")


def _serve_pages(jobs: int, seed: int, busy: EventType, answers: Connection) -> None:
    """Serve the pages of a made-up installation; read it on and on while ``busy``. Runs in a process of its own."""
    installation, reading = Installation(jobs, seed), Reading()
    reading.read(installation.bodies())
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL)

    changing = []
    for _ in range(8):
        installation.churn(0.01)
        changing.append(installation.bodies())

    async def read_on_and_on() -> None:
        for bodies in itertools.cycle(changing):
            if busy.is_set():
                await asyncio.to_thread(reading.read, bodies)
            # Users read every 15 s or so; here a third of the time goes into reads.
            await asyncio.sleep(max(0.01, 2 * (reading.seconds + reading.publishing)))

    async def run() -> None:
        listener = bind(ListenAddress("127.0.0.1", 0))
        reader = asyncio.create_task(read_on_and_on())
        answers.send((bound_url(listener), reading.publisher.page("text").gzip.join()))
        await serve(MetricsEndpoint(reading.publisher.page), [listener], drain=1)
        reader.cancel()

    asyncio.run(run())
    answers.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


@contextlib.contextmanager
def _nginx(content: bytes) -> Iterator[str | None]:
    """Serve the same bytes with nginx, where there is one."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "metrics").write_bytes(content)
        probe = bind(ListenAddress("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;\n"
            "events {}\n"
            f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        )
        process = subprocess.Popen([program, "-p", folder, "-c", configuration], stderr=subprocess.DEVNULL)  # noqa: S603 - found above
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(100):
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"{url}/metrics", trust_env=False)
                    break
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


def measure_scrapes(report: Report, jobs: int, seed: int) -> None:
    """Compare scrapes with nginx serving the same bytes, and scrapes during reads with scrapes without."""
    context = multiprocessing.get_context("spawn")
    busy = context.Event()
    answers, answering = context.Pipe()
    server = context.Process(target=_serve_pages, args=(jobs, seed, busy, answering))
    server.start()
    url, content = answers.recv()
    with _nginx(content) as other, httpx.Client(trust_env=False) as client:
        scrape(client, url)
        ratios = []
        for _ in range(200):
            took = scrape(client, url)
            if other is not None:
                ratios.append(took / scrape(client, other))
        if ratios:
            report.show(f"{jobs} jobs: a scrape (gzip)", statistics.median(ratios), 3, "nginx, same bytes")
        else:
            print("nginx is not installed: scrapes are not compared with it")  # noqa: T201 - a benchmark's output
        busy.set()
        times = sorted(scrape(client, url) for _ in range(1000))
    report.show(f"{jobs} jobs: p99 of scrapes while reads run", times[989] / times[499], 5, "their median")
    server.terminate()
    megabytes: float = answers.recv()
    server.join()
    report.show(f"{jobs} jobs: memory of the exporter", megabytes, 350, "MB")


def scrape(client: httpx.Client, url: str) -> float:
    """Return the seconds that a compressed scrape takes."""

    def fetch() -> None:
        with client.stream("GET", f"{url}/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
            for _ in answer.iter_raw():
                pass

    return seconds(fetch)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 10_000])
    options = parser.parse_args()
    report = Report()
    print(f"seed {options.seed}")  # noqa: T201 - a benchmark's output
    churned = {jobs: measure_reads(report, jobs, options.seed) for jobs in options.jobs}
    if {1000, 10_000} <= set(churned):
        report.show("a read of 10000 jobs, 1 % changed", churned[10_000] / churned[1000], 12, "a read of 1000 jobs")
    largest = max(options.jobs)
    measure_scrapes(report, largest, options.seed)
    measure_client_library(report, largest, options.seed)
    sys.exit(report.missed)


if __name__ == "__main__":
    main()
