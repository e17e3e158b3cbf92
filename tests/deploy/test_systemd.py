"""The systemd units: accepted by systemd's own tools, in agreement with the configurations beside them, and at work."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.certificates import Authority
from tests.deploy.units import COMMAND, PARTS, UNITS, Unit
from tests.installation import Simulator
from tests.parts import missing
from tests.processes import COMMAND as INSTALLED
from tests.processes import eventually, running

#: Ten times the exposure that ``systemd-analyze security`` may find; it calls everything below 20 OK, and 100 is none.
EXPOSURE = 15
every_unit = pytest.mark.parametrize("name", PARTS)


def systemd_analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Return what systemd's tool says; without it, skip the test, or under ``CI=true`` fail it."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not on PATH; scripts/setup test says how to get it")
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - found above


def placed(folder: Path, name: str) -> Path:
    """Copy a unit, whose command is the one that is installed here: systemd looks whether it is there."""
    unit = folder / f"{name}.service"
    unit.write_text((UNITS / unit.name).read_text().replace(COMMAND, str(INSTALLED)))
    return unit


@every_unit
def test_systemd_accepts_the_unit(name: str, tmp_path: Path) -> None:
    """``systemd-analyze verify`` knows every key and value, and finds the command."""
    answer = systemd_analyze("verify", placed(tmp_path, name))
    assert (0, "", "") == (answer.returncode, answer.stdout, answer.stderr)


@pytest.mark.parametrize(
    ("mistake", "instead", "found"),
    [
        ("ProtectSystem=strict", "ProtectSytem=strict", "Unknown key"),
        ("Type=exec", "Type=excec", "Failed to parse service type"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@system-sevice", "Unknown system call group"),
        (str(INSTALLED), "/opt/nowhere/dumbella-exporter", "is not executable"),
    ],
)
def test_a_mistake_in_a_unit_is_found(mistake: str, instead: str, found: str, tmp_path: Path) -> None:
    """``systemd-analyze verify`` speaks up where a key, a value or a command is wrong."""
    unit = placed(tmp_path, "dumbella-exporter")
    assert mistake in unit.read_text()
    unit.write_text(unit.read_text().replace(mistake, instead))
    assert found in systemd_analyze("verify", unit).stderr


@every_unit
def test_the_unit_is_hardened(name: str, tmp_path: Path) -> None:
    """``systemd-analyze security`` calls the exposure low."""
    answer = systemd_analyze("security", "--offline=true", f"--threshold={EXPOSURE}", placed(tmp_path, name))
    assert 0 == answer.returncode, answer.stdout


@pytest.mark.parametrize("line", ["SystemCallFilter=@system-service", "DynamicUser=yes", "CapabilityBoundingSet="])
def test_a_hole_in_a_unit_is_found(line: str, tmp_path: Path) -> None:
    """``systemd-analyze security`` refuses a unit that lacks one of its strongest lines."""
    unit = placed(tmp_path, "dumbella-sidecar")
    assert f"\n{line}\n" in unit.read_text()
    unit.write_text(unit.read_text().replace(f"\n{line}\n", "\n"))
    assert 1 == systemd_analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit).returncode


def test_both_units_are_hardened_alike() -> None:
    """From the capabilities on, both units say the same."""
    exporter, sidecar = (
        (UNITS / f"{name}.service").read_text().partition("CapabilityBoundingSet=")[2] for name in PARTS
    )
    assert exporter == sidecar


def test_only_the_sidecar_has_the_credential_that_kills() -> None:
    """Each unit has its own user, folder and credentials; the exporter's has nothing to kill with."""
    exporter, sidecar = map(Unit.load, PARTS)
    assert set() == exporter.credentials.keys() & sidecar.credentials.keys()
    assert set() == set(exporter.credentials.values()) & set(sidecar.credentials.values())
    assert exporter.folder != sidecar.folder
    assert "kill" not in " ".join([*exporter.credentials, *exporter.arguments])


@every_unit
def test_credentials_are_where_they_are_expected(name: str) -> None:
    """The configuration names every credential of the unit, by the path that systemd gives it, and no others."""
    unit = Unit.load(name)
    written = "".join((UNITS / Path(file).name).read_text() for file in unit.arguments if file.endswith(".yml"))
    expected = {f"/run/credentials/{name}.service/{credential}" for credential in unit.credentials}
    assert expected == set(re.findall(r"/run/[\w./-]+", written))
    assert {unit.folder} == set(re.findall(r"/var/lib/[\w-]+", written))


@every_unit
def test_there_is_time_to_end(name: str) -> None:
    """A service is killed only after requests and kills had twice the time that they may take to drain."""
    assert "timeouts" not in yaml.safe_load((UNITS / "sidecar.yml").read_text())["kill"]
    assert 2 * 10 < int(Unit.load(name).value("TimeoutStopSec").removesuffix("s"))


@contextlib.contextmanager
def started(unit: Unit, folder: Path, credentials: dict[str, str], dumbella: str) -> Iterator[str]:
    """Run a unit's command as a process with the shipped configuration, and give its address.

    Args:
        unit: the service.
        folder: for what stands for its folders.
        credentials: the content of each of its credentials.
        dumbella: the address that stands for https://apps.example.com.
    """
    places = {
        "/etc/dumbella-exporter": folder / "etc",
        f"/run/credentials/{unit.name}.service": folder / "credentials",
        unit.folder: folder / "state",
        "https://apps.example.com": dumbella,
    }

    def here(text: str) -> str:
        for place, instead in places.items():
            text = text.replace(place, str(instead))
        return text

    for name in ("etc", "credentials", "state"):
        (folder / name).mkdir(parents=True)
    for file in UNITS.glob("*.yml"):
        (folder / "etc" / file.name).write_text(here(file.read_text()))
    for name, content in credentials.items():
        (folder / "credentials" / name).write_text(content)
    command = [INSTALLED, *map(here, unit.arguments), "--web.listen-address", ":0"]
    with running(command, folder, name=unit.name) as process:
        yield process.listening_url()


def test_the_exporter_starts_as_shipped(simulator: Simulator, tmp_path: Path) -> None:
    """The exporter's command and configuration read a target once the credential is in its place."""
    unit = Unit.load("dumbella-exporter")
    with started(unit, tmp_path, {"cockpit-api-key": simulator.token}, simulator.url) as url:

        def read() -> None:
            text = httpx.get(f"{url}/metrics", timeout=30, trust_env=False).text
            assert ['dumbella_up{target="production"} 1'] == re.findall("^dumbella_up.*$", text, re.MULTILINE)

        eventually(read)


def test_the_sidecar_starts_as_shipped(simulator: Simulator, tmp_path: Path) -> None:
    """The sidecar's command and configuration serve TLS once the credentials are in their places."""
    authority = Authority.make(tmp_path)
    certificate = authority.issue(tmp_path, "grafana")
    credentials = {
        "cockpit-kill-key": simulator.token,
        "page-token-key": "0123456789abcdef" * 2,
        "certificate": certificate.cert.read_text(),
        "certificate-key": certificate.key.read_text(),
    }
    with started(Unit.load("dumbella-sidecar"), tmp_path / "sidecar", credentials, simulator.url) as url:
        answer = httpx.get(f"{url}/-/ready", timeout=30, verify=authority.trusting(), trust_env=False)
        assert 200 == answer.status_code
