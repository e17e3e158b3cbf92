"""Everything that is needed to look around, as one command: a simulated Dumbella and all that watches it.

Each part is a child process, started as an operator would start it, with its configuration and output in a temporary
folder. When a part fails, or a signal asks to stop, all of them end and the folder goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from exporter.demo import grafana
from exporter.demo.child import Child
from exporter.server import ListenAddress, ListenError, bind

_APPLICATIONS = "K7SALES, M2STOCK"

_EXPORTER_CONFIGURATION = """\
global: {{interval: 5s, stale_after: 30s}}
targets:
  - name: demo
    url: {simulator}/cockpit
    applications: [{applications}]
    auth: {{bearer_token_file: {folder}/token}}
    results: {{url: "{simulator}"}}
expectations:
  - {{job: "nightly_*", max_runtime: 30s, success_every: 1m}}
kill:
  mode: live
  public_url: http://{sidecar}
  targets: {{demo: {{}}}}
  policy: [{{name: everyone, effect: allow, principals: ["user:local"]}}]
  limits: {{pages_per_minute: 60, kills_per_user_10m: 50, kills_per_target_10m: 50}}
  audit: {{file: {folder}/audit.jsonl}}
"""

_SCRAPE_INTERVAL = "5s"
_PROMETHEUS_CONFIGURATION = """\
global: {{scrape_interval: {scrape_interval}, evaluation_interval: 5s}}
rule_files: ["{alerts}/dumbella.rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanagers}]}}]}}]}}
scrape_configs:
  - job_name: dumbella-exporter
    static_configs: [{{targets: ["{exporter}"]}}]
  - job_name: dumbella-sidecar
    static_configs: [{{targets: ["{sidecar}"]}}]
"""

#: The alert rules and the Alertmanager example: a wheel carries them in the package, a checkout has them beside it.
_ALERTS = next(folder / "alerts" for folder in Path(__file__).parents[1:3] if (folder / "alerts").is_dir())

_LATE = (
    "time() - (dumbella_job_last_success_timestamp_seconds or dumbella_job_success_interval_seconds * 0"
    " + on (target, application) group_left dumbella_observing_since_timestamp_seconds)"
    " > dumbella_job_success_interval_seconds"
)
#: What one may want to know, and how to ask Prometheus.
_QUERIES = (
    ("How many jobs has each application?", "dumbella_jobs"),
    ("Which jobs are in status ERROR, and why?", "dumbella_job_error_info"),
    ("What was uploaded but not published?", "dumbella_job_current_version > dumbella_job_published_version"),
    ("What is running now?", "dumbella_job_running_executions > 0"),
    (
        "What has been running for longer than the configuration expects, and for how many seconds?",
        "time() - dumbella_job_oldest_running_execution_start_timestamp_seconds > dumbella_job_max_runtime_seconds",
    ),
    ("How did executions end?", "dumbella_job_executions_finished_total > 0"),
    (
        "How long does an execution usually take, in seconds?",
        "dumbella_job_execution_duration_seconds_sum / (dumbella_job_execution_duration_seconds_count > 0)",
    ),
    ("How long ago did each job last succeed, in seconds?", "time() - dumbella_job_last_success_timestamp_seconds"),
    (
        "Which job is late, counted from when observation began if it has never succeeded?",
        _LATE,
    ),
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts listen; port 0 lets the system choose."""

    simulator: ListenAddress
    exporter: ListenAddress
    sidecar: ListenAddress
    alertmanager: ListenAddress
    prometheus: ListenAddress
    grafana: ListenAddress


async def demo(addresses: Addresses, say: Callable[[str], None]) -> None:
    """Run the demo until SIGTERM, SIGINT or SIGHUP.

    Args:
        addresses: where the parts listen.
        say: shows a line to the person who started it.

    Raises:
        ListenError: the address of the simulator, the exporter or the sidecar is taken.
        ChildFailed: a part did not start, or ended on its own.
    """
    _ensure_free("simulator", addresses.simulator)
    _ensure_free("exporter", addresses.exporter)
    # The sidecar's configuration names its address.
    addresses = replace(addresses, sidecar=_ensure_free("sidecar", addresses.sidecar))
    addresses = replace(
        addresses,
        alertmanager=_free_instead("Alertmanager", addresses.alertmanager, say),
        prometheus=_free_instead("Prometheus", addresses.prometheus, say),
        # Grafana's configuration names its address, too.
        grafana=_ensure_free("Grafana", _free_instead("Grafana", addresses.grafana, say)),
    )
    running = asyncio.create_task(_run(addresses, say))

    def stop() -> None:
        # A second signal must not interrupt the end of the parts that the first one asked for.
        if not running.cancelling():
            say("stopping")
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _ensure_free(part: str, address: ListenAddress) -> ListenAddress:
    """Return an address that nobody listens on, with the port that the system chooses in place of port 0."""
    try:
        with bind(address) as listener:
            return replace(address, port=listener.getsockname()[1])
    except ListenError as error:
        raise ListenError(f"{error}; stop what uses it, or give the {part} another port") from None


def _free_instead(part: str, address: ListenAddress, say: Callable[[str], None]) -> ListenAddress:
    """Move a part where there already is another one like it, as there often is."""
    try:
        bind(address).close()
    except ListenError as error:
        say(f"{error}; the demo's {part} takes a free port instead")
        return replace(address, port=0)
    return address


async def _run(addresses: Addresses, say: Callable[[str], None]) -> None:
    """Start the parts one after the other, say what to look at, and watch them until one ends."""
    with tempfile.TemporaryDirectory(prefix="dumbella-demo-") as name:
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(_simulator(folder, addresses))
            exporter = await stack.enter_async_context(_exporter(folder, addresses, simulator))
            sidecar = await stack.enter_async_context(_sidecar(folder, addresses))
            parts = [simulator, exporter, sidecar]
            alertmanager = None
            # Debian calls it prometheus-alertmanager.
            binary = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
            if binary is not None:
                alertmanager = await stack.enter_async_context(_alertmanager(folder, addresses, binary))
                parts.append(alertmanager)
            binary = shutil.which("prometheus")
            if binary is not None:
                running = _prometheus(folder, addresses, exporter, alertmanager, binary)
                prometheus = await stack.enter_async_context(running)
                parts.append(prometheus)
                command = grafana.find()
                if command is not None:
                    parts.append(await stack.enter_async_context(_grafana(folder, addresses, prometheus, command)))
            for line in _tour(folder, parts):
                say(line)
            await asyncio.gather(*(part.ended() for part in parts))


@contextlib.asynccontextmanager
async def _running(name: str, command: Sequence[str], folder: Path) -> AsyncIterator[Child]:
    part = await Child.start(name, command, folder)
    try:
        yield part
    finally:
        await part.stop()


def _own_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "exporter", *map(str, arguments)]


_LISTENING = r'msg=listening url="?(http://[^\s"]+)'
_ACCEPTED = r"token=(\S+)"
_SERVER_LISTENING = r'msg="Listening on".* address=(\S+)'


@contextlib.asynccontextmanager
async def _simulator(folder: Path, addresses: Addresses) -> AsyncIterator[Child]:
    command = _own_command("simulate", "--web.listen-address", addresses.simulator)
    async with _running("simulator", command, folder) as part:
        part.url = await part.wrote(_LISTENING)
        token_file = folder / "token"
        token_file.touch(0o600)
        token_file.write_text(await part.wrote(_ACCEPTED))
        yield part


@contextlib.asynccontextmanager
async def _exporter(folder: Path, addresses: Addresses, simulator: Child) -> AsyncIterator[Child]:
    file = folder / "dumbella-exporter.yml"
    file.write_text(
        _EXPORTER_CONFIGURATION.format(
            simulator=simulator.url, applications=_APPLICATIONS, folder=folder, sidecar=addresses.sidecar
        )
    )
    command = _own_command("serve", "--config.file", file, "--web.listen-address", addresses.exporter)
    async with _ready("exporter", command, folder) as part:
        yield part


def _sidecar(folder: Path, addresses: Addresses) -> AbstractAsyncContextManager[Child]:
    file = folder / "dumbella-exporter.yml"
    command = _own_command("sidecar", "--config.file", file, "--web.listen-address", addresses.sidecar)
    return _ready("sidecar", command, folder)


@contextlib.asynccontextmanager
async def _ready(name: str, command: Sequence[str], folder: Path) -> AsyncIterator[Child]:
    async with _running(name, command, folder) as part:
        part.url = await part.wrote(_LISTENING)
        await part.answered(f"{part.url}/-/ready")
        yield part


@contextlib.asynccontextmanager
async def _alertmanager(folder: Path, addresses: Addresses, binary: str) -> AsyncIterator[Child]:
    example = yaml.safe_load((_ALERTS / "alertmanager.yml").read_text(encoding="utf-8"))
    # The example's routes lead to a chat that the demo does not have.
    example["receivers"] = [{"name": receiver["name"]} for receiver in example["receivers"]]
    example["templates"] = []
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(example))
    command = [
        binary,
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={addresses.alertmanager}",
        # Alone, it needs no port for others of its kind.
        "--cluster.listen-address=",
    ]
    async with _running("Alertmanager", command, folder) as part:
        part.url = "http://" + await part.wrote(_SERVER_LISTENING)
        await part.answered(f"{part.url}/-/ready")
        yield part


@contextlib.asynccontextmanager
async def _prometheus(
    folder: Path, addresses: Addresses, exporter: Child, alertmanager: Child | None, binary: str
) -> AsyncIterator[Child]:
    file = folder / "prometheus.yml"
    file.write_text(
        _PROMETHEUS_CONFIGURATION.format(
            scrape_interval=_SCRAPE_INTERVAL,
            exporter=exporter.url.removeprefix("http://"),
            sidecar=addresses.sidecar,
            alerts=_ALERTS,
            alertmanagers="" if alertmanager is None else alertmanager.url.removeprefix("http://"),
        )
    )
    command = [
        binary,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={addresses.prometheus}",
        *_web_interface(binary),
    ]
    async with _running("Prometheus", command, folder) as part:
        part.url = "http://" + await part.wrote(_SERVER_LISTENING)
        query = urllib.parse.urlencode({"query": "dumbella_up"})
        await part.answered(f"{part.url}/api/v1/query?{query}", _has_samples)
        yield part


@contextlib.asynccontextmanager
async def _grafana(
    folder: Path, addresses: Addresses, prometheus: Child, command: Sequence[str]
) -> AsyncIterator[Child]:
    whole = grafana.configure(command, folder / "grafana", addresses.grafana, prometheus.url, _SCRAPE_INTERVAL)
    async with _running("Grafana", whole, folder) as part:
        part.url = f"http://{addresses.grafana}"
        await part.answered(f"{part.url}/api/dashboards/uid/{grafana.UIDS[0]}")
        yield part


def _web_interface(binary: str) -> Iterator[str]:
    """Yield the flag by which Debian's Prometheus finds its web interface, wherever its package was unpacked."""
    assets = Path(binary).resolve().parent.parent / "share/prometheus/web"
    if assets.is_dir():
        yield f"--web.local-assets={assets}"


def _has_samples(answer: bytes) -> bool:
    return bool(answer) and bool(json.loads(answer)["data"]["result"])


def _tour(folder: Path, parts: Sequence[Child]) -> Iterator[str]:
    """Yield what a person who sees this for the first time wants to know."""
    for part in parts:
        yield f"{part.name:<12} {part.url}"
    urls = {part.name: part.url for part in parts}
    yield ""
    yield "Metrics:"
    yield f"  curl -s {urls['exporter']}/metrics | grep ^dumbella_job_status"
    yield ""
    yield "What is running now, and a way to kill it (the processes are real, and only the demo's):"
    yield f"  {urls['sidecar']}/"
    if "Prometheus" in urls:
        yield ""
        yield f"Questions to ask at {urls['Prometheus']}/graph:"
        for question, expression in _QUERIES:
            yield f"  {question}"
            yield f"    {expression}"
        yield ""
        yield "Alerts that fire, a job that fails at once and one that hangs after two minutes:"
        yield f"  {urls['Prometheus']}/alerts"
        if "Alertmanager" in urls:
            yield f"  amtool --alertmanager.url={urls['Alertmanager']} alert query"
        else:
            yield "  Alertmanager is not installed; with `alertmanager` on PATH the demo runs one, too."
        yield ""
        if "Grafana" in urls:
            yield "Dashboards, no login needed:"
            yield from (f"  {urls['Grafana']}/d/{uid}" for uid in grafana.UIDS)
        else:
            yield from grafana.how_to_import(urls["Prometheus"])
    else:
        yield ""
        yield "Prometheus is not installed; with `prometheus` on PATH the demo runs one, too."
    yield ""
    yield f"Configuration and logs are in {folder}. Ctrl-C stops everything."
