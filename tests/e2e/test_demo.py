"""The demo: one command that runs everything, shows it, and leaves nothing behind."""

from __future__ import annotations

import html
import os
import re
import shutil
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import loopback
from tests.installation import APPLICATIONS, Exporter, Simulator
from tests.processes import COMMAND, Process, eventually, poll, run, running
from tests.prometheus import Prometheus, real_part

PARTS = ("simulator", "exporter", "sidecar", "alertmanager", "prometheus", "grafana")
FREE_PORTS = [f"--{part}.listen-address=127.0.0.1:0" for part in PARTS]
_MARK = "DUMBELLA_EXPORTER_TEST"


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo; every process that descends from it carries ``mark`` in its environment."""

    process: Process
    mark: str

    def url(self, part: str) -> str:
        """Return the address that it shows for one of its parts."""
        return self.process.wait_for(rf"^{part} +(http://\S+)")[1]

    @property
    def folder(self) -> Path:
        """Where it says that configuration and logs are."""
        return Path(self.process.wait_for(r"logs are in (\S+)\.")[1])

    def left(self) -> list[str]:
        """Return the command lines of its processes that exist."""
        return [
            entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _carries(entry, f"{_MARK}={self.mark}".encode())
        ]


def _carries(entry: Path, mark: bytes) -> bool:
    try:
        return mark in entry.joinpath("environ").read_bytes().split(b"\0")
    except OSError:
        return False


@contextmanager
def demonstrating(folder: Path, *, path: str) -> Iterator[Demo]:
    """Run the demo on free ports until it shows what to look at."""
    mark = str(uuid.uuid4())
    with running(
        [COMMAND, "demo", *FREE_PORTS], folder, name="demo", environment={_MARK: mark, "PATH": path}
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
def path_with_alertmanager(path_with_prometheus: str) -> str:
    """The same with an Alertmanager."""
    return f"{real_part('alertmanager', '2.x').parent}:{path_with_prometheus}"


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


def test_metrics_agree_with_the_simulator_and_arrive_in_prometheus(
    tmp_path: Path, path_with_each_prometheus: str
) -> None:
    """The demo's exporter shows the jobs that its simulator lists, its Prometheus has them, and SIGINT ends all."""
    with demonstrating(tmp_path, path=path_with_each_prometheus) as demo:
        token = demo.folder / "token"
        assert token.stat().st_mode & 0o777 == 0o600
        simulator = Simulator(demo.process, demo.url("simulator"), token.read_text())
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
        assert demo.left() == []
        assert not folder.exists()


def test_every_query_of_the_tour_shows_something(tmp_path: Path, path_with_prometheus: str) -> None:
    """Each query that the demo suggests has a result soon."""
    with demonstrating(tmp_path, path=path_with_prometheus) as demo:
        prometheus = Prometheus(demo.url("Prometheus"))
        queries = re.findall(r"^    (.+)$", demo.process.stdout, re.MULTILINE)
        assert len(queries) == 9

        def all_answered() -> None:
            assert [query for query in queries if not prometheus.query(query)] == []

        eventually(all_answered, deadline=120)


def test_alerts_fire(tmp_path: Path, path_with_alertmanager: str) -> None:
    """The shipped rules fire in the demo's Prometheus, and its Alertmanager routes them as the shipped example does."""
    with demonstrating(tmp_path, path=path_with_alertmanager) as demo:
        prometheus = Prometheus(demo.url("Prometheus"))
        alertmanager = demo.url("Alertmanager")
        firing = 'ALERTS{alertname="DumbellaExecutionFailed",alertstate="firing",job_name="refresh_prices_1.0"}'
        poll(lambda: prometheus.query(firing), deadline=120)

        def routed() -> list[str]:
            alerts = loopback.get(f"{alertmanager}/api/v2/alerts").json()
            return [
                receiver["name"]
                for alert in alerts
                if alert["labels"]["alertname"] == "DumbellaExecutionFailed"
                for receiver in alert["receivers"]
            ]

        assert {"operations"} == set(poll(routed))


def test_without_prometheus_the_demo_says_so(tmp_path: Path, path_without_prometheus: str) -> None:
    """Where no Prometheus is installed the demo says so and runs the rest, until SIGTERM ends it."""
    with demonstrating(tmp_path, path=path_without_prometheus) as demo:
        assert "Prometheus is not installed" in demo.process.stdout
        assert "dumbella_up" in Exporter(demo.process, demo.url("exporter")).metrics().text
        assert demo.process.stop(signal.SIGTERM) == 0
        assert demo.left() == []


def test_a_newcomer_kills_a_real_process(tmp_path: Path, path_without_prometheus: str) -> None:
    """From the demo's Job Manager, a link and a form end a run whose process is then gone."""
    with (
        demonstrating(tmp_path, path=path_without_prometheus) as demo,
        loopback.client(base_url=demo.url("sidecar")) as client,
    ):
        link = poll(lambda: re.search(r'href="(/kill\?[^"]+)"', client.get("/").text))[1]
        page = client.get(html.unescape(link))
        fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
        answer = client.post("/kill", data={**fields, "reason": ""}, headers={"sec-fetch-site": "same-origin"})
        poll(lambda: "Confirmed" in client.get(answer.headers["location"]).text)
        history = loopback.get(f"{demo.url('simulator')}/-/history").json()
        assert ["killed"] == [run["outcome"] for run in history if run["execution_id"] == fields["execution"]]


def test_nothing_survives_a_killed_demo(tmp_path: Path, path_with_prometheus: str) -> None:
    """When the demo itself is killed, its parts and the jobs that run in them end, too."""
    with demonstrating(tmp_path, path=path_with_prometheus) as demo:
        folder = demo.folder
        assert len(demo.left()) >= 5
        demo.process.send(signal.SIGKILL)

        def all_gone() -> None:
            assert demo.left() == []

        eventually(all_gone)
        shutil.rmtree(folder)


def test_a_part_that_fails_ends_the_demo_with_its_last_lines(tmp_path: Path, path_without_prometheus: str) -> None:
    """When a part ends on its own, the demo stops the others, quotes the part's last lines and exits with 1."""
    with demonstrating(tmp_path, path=path_without_prometheus) as demo:
        (pid,) = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit()
            and _carries(entry, f"{_MARK}={demo.mark}".encode())
            and b"\0serve\0" in entry.joinpath("cmdline").read_bytes()
        ]
        os.kill(pid, signal.SIGKILL)
        assert demo.process.wait() == 1
        assert "the exporter ended with exit code -9" in demo.process.log
        assert "msg=listening" in demo.process.log
        assert demo.left() == []


def test_a_taken_port_is_named() -> None:
    """A port that is in use ends the demo with exit code 2 and a line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = run("demo", *FREE_PORTS, f"--exporter.listen-address=127.0.0.1:{port}")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "give the exporter another port" in answer.stderr


def test_a_prometheus_beside_the_demo_is_left_alone(tmp_path: Path, path_with_prometheus: str) -> None:
    """Where the usual port of Prometheus is taken, the demo says so and uses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [COMMAND, "demo", *FREE_PORTS, f"--prometheus.listen-address={address}"]
        with running(command, tmp_path, name="demo", environment={"PATH": path_with_prometheus}) as process:
            process.wait_for("Ctrl-C stops everything")
            url = process.wait_for(r"^Prometheus +(http://\S+)")[1]
            assert url != f"http://{address}"
            assert Prometheus(url).query("dumbella_up")
            assert f"cannot listen on {address}" in process.stdout
