"""The command as operators run it: exit codes, signals, messages and log lines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from exporter import __version__
from tests.installation import APPLICATIONS, Simulator, configuration, exporting, simulating
from tests.processes import COMMAND, poll, run, running

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_serve(simulator: Simulator, tmp_path: Path, number: signal.Signals) -> None:
    """``serve`` ends with exit code 0 on SIGTERM and on SIGINT, and its last line says that it has stopped."""
    with exporting(configuration(simulator, tmp_path, timing="{interval: 1s}")) as exporter:
        assert exporter.process.stop(number) == 0
        assert exporter.process.log.splitlines()[-1].endswith("msg=stopped")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_serve_while_dumbella_is_silent(
    simulator: Simulator, tmp_path: Path, number: signal.Signals
) -> None:
    """``serve`` does not wait for an answer that never comes."""
    file = configuration(simulator, tmp_path, timing="{interval: 1h, timeout: 1h}")
    simulator.switch_faults("hang")
    command = [COMMAND, "serve", "--config.file", file, "--web.listen-address", "127.0.0.1:0"]
    with running(command, tmp_path) as process:
        process.listening_url()
        assert process.stop(number) == 0
        assert "traceback" not in process.log.lower()
    simulator.switch_faults()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_simulate_and_all_jobs(tmp_path: Path, number: signal.Signals) -> None:
    """``simulate`` ends with exit code 0, and none of the processes of its jobs is left."""
    with simulating(tmp_path) as simulator:
        poll(lambda: _processes_of_jobs(simulator))
        assert simulator.process.stop(number) == 0
        assert _processes_of_jobs(simulator) == []


def _processes_of_jobs(simulator: Simulator) -> list[str]:
    # By what they were told: their ids may be those of other processes by now.
    told = f"SIMULATOR_PID={simulator.process.pid}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if told in entry.joinpath("environ").read_bytes().split(b"\0"):
                found.append(entry.name)
    return found


def test_simulate_accepts_a_token_of_ones_own(tmp_path: Path) -> None:
    """With ``--token-file`` exactly that token is accepted, and it is not logged."""
    file = tmp_path / "token"
    file.write_text("a-token-of-our-own\n")
    command = [COMMAND, "simulate", "--web.listen-address", "127.0.0.1:0", "--token-file", file]
    with running(command, tmp_path, name="simulator") as process:
        simulator = Simulator(process, process.listening_url(), "a-token-of-our-own")
        assert simulator.jobs("K7SALES") != []
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            Simulator(process, simulator.url, "another-token").jobs("K7SALES")
        assert "token" not in process.log


def test_a_scrape_in_flight_is_answered_before_the_end(tmp_path: Path) -> None:
    """A client that is still reading the metrics when SIGTERM arrives gets all of them."""
    with (
        simulating(tmp_path / "simulator", "--jobs", "3000") as simulator,
        exporting(configuration(simulator, tmp_path, timing="{interval: 1h}")) as exporter,
        socket.socket() as client,
    ):
        # A small window keeps most of the answer on the server's side until it is read here.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        address = httpx.URL(exporter.url)
        client.connect((address.host, address.port))
        client.settimeout(30)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = client.recv(1024)
        exporter.process.send(signal.SIGTERM)
        exporter.process.wait_for("msg=stopping")
        while piece := client.recv(65536):
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        assert len(body) == int(length[1]) > 5_000_000
        assert exporter.process.wait() == 0


def test_version() -> None:
    """``--version`` prints the name and the version."""
    answer = run("--version")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"dumbella-exporter {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["bake"], "'bake'"),
        (["serve"], "--config.file"),
        (["serve", "--config.file", "a.yml", "--shiny"], "--shiny"),
        (["serve", "--config.file", "a.yml", "--web.listen-address", "nine"], "'nine' is not HOST:PORT"),
        (["serve", "--config.file", "a.yml", "--log.level", "loud"], "'loud'"),
        (["serve", "--config.file", "/nowhere/a.yml"], "/nowhere/a.yml"),
        (["simulate", "--jobs", "-1"], "-1"),
        (["simulate", "--dialect", "latin"], "latin"),
        (["simulate", "--fault", "earthquake"], "earthquake"),
        (["simulate", "--token-file", "/nowhere/token"], "/nowhere/token: cannot be read: No such file or directory"),
        (["health", "localhost:9877"], "'localhost:9877' is not of the form http://HOST:PORT/PATH"),
        (["health", "http://localhost/", "--timeout", "0"], "--timeout"),
        (["health", "https://localhost/", "--ca-file", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
    ],
)
def test_unusable_arguments_are_one_line(arguments: list[str], part: str) -> None:
    """An argument that cannot be used ends the command with exit code 2 and one line that names it."""
    answer = run(*arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert part in answer.stderr


def test_a_signal_that_comes_early_ends_serve(tmp_path: Path) -> None:
    """A signal that comes before ``serve`` has read its configuration ends it with exit code 0, too."""
    file = tmp_path / "dumbella-exporter.yml"
    # Opening it waits for a writer.
    os.mkfifo(file)
    with running([COMMAND, "serve", "--config.file", file], tmp_path) as process:
        poll(lambda: _handles_sigterm(process.pid))
        assert process.stop() == 0
        assert "traceback" not in process.log.lower()


def _handles_sigterm(pid: int) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert caught is not None
    return bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_health_of_a_service(simulator: Simulator) -> None:
    """``health`` says nothing and ends with exit code 0 where the answer is 200."""
    answer = run("health", f"{simulator.url}/actuator/health")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_health_without_success(simulator: Simulator) -> None:
    """``health`` ends with exit code 1 and one line where the answer is another."""
    url = f"{simulator.url}/cockpit/api/rest/application/K7SALES/services/jobs"
    answer = run("health", url)
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, f"{url}: it answered 401\n", "")


def test_health_asks_no_proxy(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """``health`` asks the service itself, whatever proxy the environment names."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert run("health", f"{simulator.url}/actuator/health").returncode == 0


def test_every_problem_of_the_configuration_is_one_line(tmp_path: Path) -> None:
    """A configuration with two problems ends ``serve`` with exit code 2 and two lines that begin with the file."""
    file = tmp_path / "dumbella-exporter.yml"
    file.write_text("global: {interval: soon}\ntargets: []\n")
    answer = run("serve", "--config.file", file)
    assert answer.returncode == 2
    assert [line.split(": ")[:2] for line in answer.stderr.splitlines()] == [
        [str(file), "global.interval"],
        [str(file), "targets"],
    ]


@pytest.mark.parametrize("command", ["serve", "simulate"])
def test_a_taken_port_is_one_line(simulator: Simulator, tmp_path: Path, command: str) -> None:
    """A port that is in use ends the command with exit code 2 and one line that names the address."""
    address = simulator.url.removeprefix("http://")
    file = configuration(simulator, tmp_path, timing="{interval: 1s}")
    config = ["--config.file", file] if command == "serve" else []
    answer = run(command, *config, "--web.listen-address", address)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith(f"cannot listen on {address}: ")
    assert "traceback" not in answer.stderr.lower()


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_every_log_line_parses(tmp_path: Path, form: str) -> None:
    """Each line of either log format is one event with time, level and message, while requests fail and recover."""
    with (
        simulating(tmp_path / "simulator", "--fault", "unavailable") as simulator,
        exporting(configuration(simulator, tmp_path, timing="{interval: 3s}"), "--log.format", form) as exporter,
    ):
        exporter.process.wait_for("request failed")
        simulator.switch_faults()
        exporter.process.wait_for("request succeeds again")
        exporter.process.stop()
        events = [_parse(line, form) for line in exporter.process.log.splitlines()]
    assert {"request failed", "request succeeds again", "stopped"} <= {event["msg"] for event in events}
    failed = next(event for event in events if event["msg"] == "request failed")
    assert failed["level"] == "warning"
    assert failed["target"] == "simulated"
    assert failed["application"] in APPLICATIONS
    assert failed["reason"] == "server_error"
    assert failed["remedy"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["ts"]) for event in events)


_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)(?: |$)')


def _parse(line: str, form: str) -> dict[str, str]:
    if form == "json":
        event: dict[str, str] = json.loads(line)
        return event
    pairs = _PAIR.findall(line)
    assert "".join(match[0] for match in _PAIR.finditer(line)) == line
    return {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}
