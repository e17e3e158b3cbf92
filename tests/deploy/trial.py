"""The trial of the units on a system that systemd has booted: runs there as root, and writes down what it saw.

``python -m tests.deploy.trial FILE``; ``test_systemd_boot.py`` boots the system and judges what stands in the file.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.units import COMMAND, PARTS
from tests.processes import eventually

EXPORTER, SIDECAR = PARTS
_CONFIGURATION = Path("/etc/dumbella-exporter/dumbella.yml")
_AUDIT = Path("/var/lib/dumbella-sidecar/audit.jsonl")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the trial's own system


def _shown(unit: str, *properties: str) -> dict[str, str]:
    """Return properties of a unit."""
    printed = _run("systemctl", "show", *(f"--property={name}" for name in properties), unit).stdout
    return dict(re.findall(r"^(\w+)=(.*)$", printed, re.MULTILINE))


def _get(url: str) -> httpx.Response:
    """Return the answer to a GET request.

    Raises:
        AssertionError: nobody listens there yet.
    """
    try:
        # The certificate is the trial's own.
        return httpx.get(url, timeout=30, verify=False, trust_env=False)  # noqa: S501 - as above
    except httpx.TransportError as error:
        raise AssertionError(url) from error


def _metrics() -> str:
    return _get("http://127.0.0.1:9877/metrics").text


def _metric(name: str) -> float:
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", _metrics(), re.MULTILINE)
    assert 1 == len(found), name
    return float(found[0])


def _ready() -> None:
    assert 1 == _metric("dumbella_up")
    assert 200 == _get("https://127.0.0.1:9878/-/ready").status_code


def _confinement(unit: str) -> dict[str, Any]:
    """Return what the kernel says of a service's process, and who owns what it has."""
    pid = _shown(unit, "MainPID")["MainPID"]
    status = dict(re.findall(r"^(\w+):\t(\S+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    credentials = Path(f"/run/credentials/{unit}.service")
    return {
        "user": int(status["Uid"]),
        "capabilities": int(status["CapBnd"], 16),
        "no new privileges": int(status["NoNewPrivs"]),
        "system calls": int(status["Seccomp"]),
        "credentials": sorted(
            (file.name, file.stat().st_uid, oct(file.stat().st_mode & 0o777)) for file in credentials.iterdir()
        ),
    }


def _reloads() -> dict[str, Any]:
    """Reload a good configuration and a bad one, start with the bad one, and mend it."""
    seen: dict[str, Any] = {}
    good = _CONFIGURATION.read_text()
    seen["good"] = _run("systemctl", "reload", EXPORTER).returncode
    _CONFIGURATION.write_text(f"{good}targts: []\n")
    _run("systemctl", "reload", EXPORTER)

    def refused() -> None:
        assert 0 == _metric("dumbella_exporter_config_last_reload_successful")

    eventually(refused)
    seen["up after a bad one"] = _metric("dumbella_up")
    _run("systemctl", "restart", EXPORTER)

    def ended() -> None:
        assert "failed" == _shown(EXPORTER, "ActiveState")["ActiveState"]

    eventually(ended)
    seen["start with a bad one"] = _shown(EXPORTER, "ExecMainStatus", "NRestarts")
    _CONFIGURATION.write_text(good)
    _run("systemctl", "restart", EXPORTER)
    eventually(_ready)
    return seen


def _crash() -> dict[str, Any]:
    """Kill the sidecar, and wait until it is there again."""
    before = _shown(SIDECAR, "MainPID")["MainPID"]
    os.kill(int(before), signal.SIGKILL)

    def another() -> None:
        assert _shown(SIDECAR, "MainPID")["MainPID"] not in {"0", before}
        _ready()

    eventually(another)
    return _shown(SIDECAR, "NRestarts")


def _end() -> dict[str, Any]:
    """Stop both, and look at what they leave."""
    _run("systemctl", "stop", *PARTS)
    _run("journalctl", "--sync")
    return {
        "results": {unit: _shown(unit, "Result", "ActiveState") for unit in PARTS},
        "state": Path("/var/lib/dumbella-exporter/state.json").is_file(),
        "stages": re.findall(r'"stage":"(\w+)"', _AUDIT.read_text()),
        "audit": _run(COMMAND, "audit", "verify", str(_AUDIT)).returncode,
        "journal": len(re.findall(r'"stage":"start"', _run("journalctl", "--unit", SIDECAR).stdout)),
    }


if __name__ == "__main__":
    eventually(_ready)
    Path(sys.argv[1]).write_text(
        json.dumps(
            {
                "confinement": {unit: _confinement(unit) for unit in PARTS},
                "process metrics": "process_start_time_seconds" in _metrics(),
                "reloads": _reloads(),
                "crash": _crash(),
                "end": _end(),
            }
        )
    )
