"""The demo: one command that runs everything, shows it, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import loopback
from tests.installation import APPLICATIONS, Exporter, Simulator
from tests.loopback import free_port
from tests.processes import COMMAND, Process, eventually, poll, run, running
from tests.prometheus import Prometheus, real_part

_MARK = "DUMBELLA_EXPORTER_TEST"
#: Seconds that may pass until everything has happened that happens in the first two minutes.
LONG = 280.0


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo; every process that descends from it carries ``mark`` in its environment."""

    process: Process
    mark: str

    def url(self, part: str) -> str:
        """Return the address that it shows for one of its parts."""
        return self.process.wait_for(rf"^{part} +(http://\S+)")[1]

    @property
    def simulator(self) -> Simulator:
        """Its simulator."""
        return Simulator(self.process, self.url("simulator"), (self.folder / "token").read_text())

    @property
    def folder(self) -> Path:
        """Where it says that configuration and logs are."""
        return Path(self.process.wait_for(r"logs are in (\S+)\.")[1])

    def left(self) -> dict[int, str]:
        """Return the command lines of its processes that exist, by their ids."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            # Processes of jobs come and go while this looks.
            with contextlib.suppress(OSError):
                if f"{_MARK}={self.mark}".encode() in entry.joinpath("environ").read_bytes().split(b"\0"):
                    command = entry.joinpath("cmdline").read_bytes()
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode()
        return found


def free_ports() -> list[str]:
    """Return the options with which a demo's parts take free ports, of which it has to know two beforehand."""
    known = {"sidecar": free_port(), "grafana": free_port()}
    parts = ("simulator", "exporter", "sidecar", "alertmanager", "prometheus", "grafana")
    return [f"--{part}.listen-address=127.0.0.1:{known.get(part, 0)}" for part in parts]


@contextlib.contextmanager
def demonstrating(folder: Path, *, path: str) -> Iterator[Demo]:
    """Run the demo on free ports until it shows what to look at."""
    mark = str(uuid.uuid4())
    with running(
        [COMMAND, "demo", *free_ports()], folder, name="demo", environment={_MARK: mark, "PATH": path}
    ) as process:
        demo = Demo(process, mark)
        process.wait_for("Ctrl-C stops everything")
        yield demo


@pytest.fixture
def path_with_each_prometheus(prometheus_binary: Path) -> str:
    """A PATH on which the first Prometheus is of each generation in turn."""
    return f"{prometheus_binary.parent}:{os.environ['PATH']}"


@pytest.fixture
def path_with_prometheus() -> str:
    """A PATH on which there is a Prometheus of the generation that most distributions have."""
    return f"{real_part('prometheus', '2.x').parent}:{os.environ['PATH']}"


@pytest.fixture
def path_without_prometheus(tmp_path: Path) -> str:
    """A PATH on which there is a shell with the usual tools, but no Prometheus."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "sleep", "date", "cat", "dirname", "env", "kill", "trap", "awk", "sed", "seq", "expr"):
        found = shutil.which(tool)
        if found is not None:
            tools.joinpath(tool).symlink_to(found)
    return str(tools)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo with Prometheus and Alertmanager that goes on while others are tried, until it has shown everything."""
    binaries = [real_part(program, "2.x").parent for program in ("alertmanager", "prometheus")]
    path = ":".join([*map(str, binaries), os.environ["PATH"]])
    with demonstrating(tmp_path_factory.mktemp("demo"), path=path) as demo:
        yield demo


def test_a_newcomer_kills_a_real_process(whole: Demo) -> None:
    """From the demo's Job Manager, a link and a form end a run whose process is then gone."""
    simulator = whole.simulator
    asked = {"application": "K7SALES", "job": "sync_customers_2.1", "duration": None}
    (run,) = simulator.control("POST", "run", json=asked)
    link = re.compile(rf'href="(/kill\?[^"]*{run["execution_id"]}[^"]*)"')
    with loopback.client(base_url=whole.url("sidecar")) as client:
        # A person who looked more often would be turned away.
        found = poll(lambda: link.search(client.get("/").text), every=2)
        page = client.get(html.unescape(found[1]))
        fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
        answer = client.post("/kill", data={**fields, "reason": ""}, headers={"sec-fetch-site": "same-origin"})
        poll(lambda: "Confirmed" in client.get(answer.headers["location"]).text, every=2)
    history = simulator.control("GET", "history")
    assert ["killed"] == [each["outcome"] for each in history if each["execution_id"] == run["execution_id"]]


def test_metrics_agree_with_the_simulator_and_arrive_in_prometheus(
    tmp_path: Path, path_with_each_prometheus: str
) -> None:
    """The demo's exporter shows the jobs that its simulator lists, its Prometheus has them, and SIGINT ends all."""
    with demonstrating(tmp_path, path=path_with_each_prometheus) as demo:
        token = demo.folder / "token"
        assert token.stat().st_mode & 0o777 == 0o600
        simulator = demo.simulator
        exporter = Exporter(demo.process, demo.url("exporter"))
        prometheus = Prometheus(demo.url("Prometheus"))

        def agree() -> None:
            listed = {
                (application, str(job["id"]), job["status"])
                for application in APPLICATIONS
                for job in simulator.jobs(application)
            }
            shown = exporter.metrics().values("dumbella_job_status", "application", "job_id", "status")
            assert {labels for labels, value in shown.items() if value == 1} == listed
            assert {
                (sample.labels["application"], sample.labels["job_id"], sample.labels["status"])
                for sample in prometheus.query("dumbella_job_status == 1")
            } == listed

        eventually(agree)
        folder = demo.folder
        assert demo.process.stop(signal.SIGINT) == 0
        assert demo.left() == {}
        assert not folder.exists()


def test_without_prometheus_the_demo_says_so(tmp_path: Path, path_without_prometheus: str) -> None:
    """Where no Prometheus is installed the demo says so and runs the rest, until SIGTERM ends it."""
    with demonstrating(tmp_path, path=path_without_prometheus) as demo:
        assert "Prometheus is not installed" in demo.process.stdout
        assert "dumbella_up" in Exporter(demo.process, demo.url("exporter")).metrics().text
        assert demo.process.stop(signal.SIGTERM) == 0
        assert demo.left() == {}


def test_nothing_survives_a_killed_demo(tmp_path: Path, path_with_prometheus: str) -> None:
    """When the demo itself is killed, its parts and the jobs that run in them end, too."""
    with demonstrating(tmp_path, path=path_with_prometheus) as demo:
        folder = demo.folder
        assert len(demo.left()) >= 5
        demo.process.send(signal.SIGKILL)

        def all_gone() -> None:
            assert demo.left() == {}

        eventually(all_gone)
        shutil.rmtree(folder)


def test_a_part_that_fails_ends_the_demo_with_its_last_lines(tmp_path: Path, path_without_prometheus: str) -> None:
    """When a part ends on its own, the demo stops the others, quotes the part's last lines and exits with 1."""
    with demonstrating(tmp_path, path=path_without_prometheus) as demo:
        (pid,) = [pid for pid, command in demo.left().items() if " serve " in command]
        os.kill(pid, signal.SIGKILL)
        assert demo.process.wait() == 1
        assert "the exporter ended with exit code -9" in demo.process.log
        assert "msg=listening" in demo.process.log
        assert demo.left() == {}


def test_a_taken_port_is_named() -> None:
    """A port that is in use ends the demo with exit code 2 and a line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = run("demo", *free_ports(), f"--exporter.listen-address=127.0.0.1:{port}")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "give the exporter another port" in answer.stderr


def test_a_prometheus_beside_the_demo_is_left_alone(tmp_path: Path, path_with_prometheus: str) -> None:
    """Where the usual port of Prometheus is taken, the demo says so and uses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [COMMAND, "demo", *free_ports(), f"--prometheus.listen-address={address}"]
        with running(command, tmp_path, name="demo", environment={"PATH": path_with_prometheus}) as process:
            process.wait_for("Ctrl-C stops everything")
            url = process.wait_for(r"^Prometheus +(http://\S+)")[1]
            assert url != f"http://{address}"
            assert Prometheus(url).query("dumbella_up")
            assert f"cannot listen on {address}" in process.stdout


def test_alerts_fire(whole: Demo) -> None:
    """The shipped rules fire in the demo's Prometheus, and its Alertmanager routes them as the shipped example does."""
    prometheus = Prometheus(whole.url("Prometheus"))
    alertmanager = whole.url("Alertmanager")
    firing = 'ALERTS{alertname="DumbellaExecutionFailed",alertstate="firing",job_name="refresh_prices_1.0"}'
    poll(lambda: prometheus.query(firing), deadline=LONG)

    def routed() -> list[str]:
        alerts = loopback.get(f"{alertmanager}/api/v2/alerts").json()
        return [
            receiver["name"]
            for alert in alerts
            if alert["labels"]["alertname"] == "DumbellaExecutionFailed"
            for receiver in alert["receivers"]
        ]

    assert {"operations"} == set(poll(routed))


def test_every_query_of_the_tour_shows_something(whole: Demo) -> None:
    """Each query that the demo suggests has a result soon."""
    prometheus = Prometheus(whole.url("Prometheus"))
    queries = re.findall(r"^    (.+)$", whole.process.stdout, re.MULTILINE)
    assert len(queries) == 9

    def all_answered() -> None:
        assert [query for query in queries if not prometheus.query(query)] == []

    eventually(all_answered, deadline=LONG)
