"""The systemd units under a real systemd, which boots a copy of this machine that forgets everything afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.certificates import Authority
from tests.deploy.kubectl import ROOT
from tests.deploy.units import COMMAND, PARTS, UNITS
from tests.parts import missing
from tests.processes import Process, running

_VARIABLES = {
    "LD_LIBRARY_PATH": "/opt/python/lib",
    "PYTHONPATH": "/opt/packages:/opt/checkout",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_TOKEN = "the-token-of-the-trial"  # noqa: S105 - accepted by nobody else
_SIMULATOR = f"""\
[Service]
ExecStart={COMMAND} simulate --token-file /etc/dumbella-exporter/cockpit-api-key
"""
_TRIAL = """\
[Unit]
After=simulator.service dumbella-exporter.service dumbella-sidecar.service
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
Environment={variables}
ExecStart={python} -m tests.deploy.trial /opt/trial/seen.json
StandardOutput=file:/opt/trial/output
StandardError=inherit
"""
_TARGET = """\
[Unit]
Requires=basic.target
Wants=simulator.service dumbella-exporter.service dumbella-sidecar.service trial.service
"""


def nspawn() -> str:
    """Return systemd's container program; where it cannot be used, skip the test, or under ``CI=true`` fail it."""
    if os.geteuid() != 0:
        missing("only root can boot a system")
    program = shutil.which("systemd-nspawn")
    if program is None:
        missing("systemd-nspawn is not on PATH; scripts/setup test says how to get it")
    return program


def furnish(folder: Path) -> dict[str, Path]:
    """Make what the system has besides this machine's files, and return it by where it is bound.

    Homes are closed to the services, and checkouts often are in one: they see package and interpreter elsewhere.
    """
    etc, trial, command = (folder / name for name in ("etc", "trial", "command"))
    units, configuration = etc / "systemd" / "system", etc / "dumbella-exporter"
    for new in (units, configuration, trial, command):
        new.mkdir(parents=True)
    # Without it, systemd takes this for the first start of a new machine, and enables whatever it finds.
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    python = f"/opt/python/bin/{Path(sys.executable).resolve().name}"
    for unit in PARTS:
        shutil.copy(UNITS / f"{unit}.service", units)
    (units / "simulator.service").write_text(_SIMULATOR)
    variables = " ".join(f"{name}={value}" for name, value in _VARIABLES.items())
    (units / "trial.service").write_text(_TRIAL.format(python=python, variables=variables))
    (units / "trial.target").write_text(_TARGET)
    for file in UNITS.glob("*.yml"):
        text = file.read_text().replace("https://apps.example.com", "http://127.0.0.1:9876")
        (configuration / file.name).write_text(text)
    for secret in ("cockpit-api-key", "cockpit-kill-key", "page-token-key"):
        (configuration / secret).touch(0o600)
        (configuration / secret).write_text(_TOKEN * 2)
    certificate = Authority.make(folder).issue(folder, "grafana")
    shutil.copy(certificate.cert, configuration / "sidecar.pem")
    shutil.copy(certificate.key, configuration / "sidecar.key")
    program = command / Path(COMMAND).name
    program.write_text(f'#!/bin/sh\n{variables} exec {python} -m exporter "$@"\n')
    program.chmod(0o755)
    return {
        "/etc": etc,
        "/opt/trial": trial,
        str(Path(COMMAND).parent): command,
        "/opt/python": Path(sys.base_prefix),
        "/opt/packages": Path(httpx.__file__).parents[1],
        "/opt/checkout": ROOT,
    }


def _enclosed(program: str) -> list[str]:
    """Return the beginning of a command that leaves no process behind, whatever happens."""
    if Path("/run/systemd/system").is_dir():
        return [program]
    # Without a systemd of its own, the machine has nobody to make a control group of the system, and to clear it away.
    return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", program, "--keep-unit"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the trial saw."""
    program = nspawn()
    folder = tmp_path_factory.mktemp("boot")
    bound = furnish(folder)
    command = [
        *_enclosed(program),
        *("--quiet", "--directory=/", "--volatile=yes", "--private-network", "--link-journal=no", "--register=no"),
        *("--console=pipe", "--resolv-conf=off", "--timezone=off"),
        *(f"--bind={path}:{place}" for place, path in bound.items()),
        *("--boot", "systemd.unit=trial.target"),
    ]
    with running(command, folder, name="systemd-nspawn") as system:
        system.wait()
        yield _read(bound["/opt/trial"], system)


def _read(trial: Path, system: Process) -> dict[str, Any]:
    if not (trial / "seen.json").is_file():
        output = trial / "output"
        pytest.fail(f"{output.read_text() if output.is_file() else 'the trial did not begin'}\n{system.output}")
    found: dict[str, Any] = json.loads((trial / "seen.json").read_text())
    return found


def test_both_are_confined(seen: dict[str, Any]) -> None:
    """Each service is a user of its own, without capabilities, and alone reads its credentials."""
    confined = [seen["confinement"][unit] for unit in PARTS]
    assert 2 == len({each["user"] for each in confined} - {0})
    for each in confined:
        assert (0, 1, 2) == (each["capabilities"], each["no new privileges"], each["system calls"])
        assert {(each["user"], "0o400")} == {(owner, mode) for _, owner, mode in each["credentials"]}
    assert ["cockpit-api-key"] == [name for name, _, _ in confined[0]["credentials"]]
    assert ["certificate", "certificate-key", "cockpit-kill-key", "page-token-key"] == [
        name for name, _, _ in confined[1]["credentials"]
    ]


def test_the_process_still_tells_of_itself(seen: dict[str, Any]) -> None:
    """What is hidden from the services does not take their own metrics away."""
    assert seen["process metrics"]


def test_reloads_are_safe(seen: dict[str, Any]) -> None:
    """A reload takes a good configuration, leaves a bad one aside, and a start with a bad one is not repeated."""
    assert {
        "good": 0,
        "up after a bad one": 1.0,
        "start with a bad one": {"ExecMainStatus": "2", "NRestarts": "0"},
    } == seen["reloads"]


def test_a_crashed_sidecar_comes_back(seen: dict[str, Any]) -> None:
    """After SIGKILL the sidecar is started again, once, and takes its audit file up where it was."""
    assert {"NRestarts": "1"} == seen["crash"]


def test_both_end_cleanly(seen: dict[str, Any]) -> None:
    """Stopping both is a success, and what lasts is there: state, a sound audit file, its copy in the journal."""
    assert {
        "results": {unit: {"Result": "success", "ActiveState": "inactive"} for unit in PARTS},
        "state": True,
        "stages": ["start", "start", "stop"],
        "audit": 0,
        "journal": 2,
    } == seen["end"]
