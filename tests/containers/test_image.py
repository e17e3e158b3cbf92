"""The project's image, run by a real engine without rights, without a shell, and without a file system to write to."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from packaging.utils import canonicalize_name
from testcontainers.core.network import Network

from exporter import __version__
from tests import loopback
from tests.containers.engine import ROOT, Engine
from tests.containers.hardened import USER, Container, File, running, volume
from tests.containers.images import Images, build_exporter
from tests.installation import Exposition
from tests.parts import missing
from tests.processes import eventually, poll

TOKEN = "a-token-of-the-tests"  # noqa: S105 - only the simulator of the tests accepts it
ETC = "/etc/dumbella-exporter"
VAR = "/var/lib/dumbella-exporter"
CONFIGURATION = f"""\
global: {{interval: 1s}}
targets:
  - name: simulated
    url: http://simulator:9876/cockpit
    applications: [K7SALES, M2STOCK]
    auth: {{bearer_token_file: {ETC}/token}}
state_file: {VAR}/state.json
kill:
  mode: live
  public_url: http://localhost:9878
  targets: {{simulated: {{bearer_token_file: {ETC}/token}}}}
  audit: {{file: {VAR}/audit.jsonl}}
"""
SIDECAR = ("sidecar", "--config.file", f"{ETC}/dumbella.yml", "--web.listen-address", ":9878", "--insecure-no-auth")
SIMULATE = ("simulate", "--web.listen-address", ":9876", "--token-file", f"{ETC}/token")
#: Nanoseconds, as the engine counts them.
SECOND = 1_000_000_000
#: Seconds after which ``docker stop`` kills. The services wait for what is in flight up to ten.
GRACE = 30


@pytest.fixture(scope="module")
def image(images: Images) -> str:
    """The name of the project's image."""
    return images.exporter


@pytest.fixture(scope="module")
def network(engine: Engine) -> Iterator[Network]:  # noqa: ARG001 - testcontainers finds it in the environment
    """A network that containers find each other on."""
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def etc(image: str) -> Iterator[str]:
    """A volume with the configuration, and with a token that only the image's user can read."""
    files = {"dumbella.yml": File(CONFIGURATION), "token": File(TOKEN, mode=0o400, owner=USER)}
    with volume(image, files) as name:
        yield name


@pytest.fixture(scope="module")
def simulator(image: str, network: Network, etc: str) -> Iterator[Container]:
    """A simulator, which needs a shell for its jobs."""
    with running(image, *SIMULATE, name="simulator", network=network, volumes={ETC: etc}, with_shell=True) as container:
        eventually(lambda: _answers(container, 9876, "/actuator/health"))
        yield container


@pytest.fixture(scope="module")
def exporter(image: str, network: Network, etc: str, simulator: Container) -> Iterator[Container]:
    """An exporter that was started without any argument, and reads the simulator."""
    assert simulator.state["Running"]
    with volume(image) as var, running(image, network=network, volumes={ETC: etc, VAR: var}) as container:
        eventually(lambda: _answers(container, 9877, "/-/ready"))
        yield container


def _answers(container: Container, port: int, path: str) -> None:
    assert container.state["Running"], container.log
    try:
        assert 200 == loopback.get(f"{container.url(port)}{path}").status_code
    except httpx.TransportError as error:
        raise AssertionError(str(error)) from error


def _metrics(container: Container, port: int = 9877) -> Exposition:
    answer = loopback.get(f"{container.url(port)}/metrics")
    assert answer.status_code == 200, answer.text
    return Exposition(answer.text, answer.headers["content-type"])


def test_the_exporter_reads_the_simulator(exporter: Container) -> None:
    """With its default command and a configuration at its place the image exports what another container serves."""
    metrics = _metrics(exporter)
    assert {("simulated",): 1.0} == metrics.values("dumbella_up", "target")
    assert {("K7SALES",), ("M2STOCK",)} == metrics.values("dumbella_job_info", "application").keys()


@pytest.mark.parametrize("part", ["exporter", "simulator"])
def test_rights(request: pytest.FixtureRequest, part: str) -> None:
    """The first process runs as a numeric user that is not root, has no capability, and can gain none."""
    container: Container = request.getfixturevalue(part)
    status = container.python("pathlib.Path('/proc/1/status').read_text()")
    facts = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert ["65532"] * 4 == facts["Uid"].split() == facts["Gid"].split()
    assert {0} == {int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert "1" == facts["NoNewPrivs"]


def test_a_version(image: str) -> None:
    """``--version`` needs nothing but the image."""
    with running(image, "--version") as container:
        assert 0 == container.wait()
        assert f"dumbella-exporter {__version__}\n" == container.log


def test_checking_a_configuration(image: str, etc: str) -> None:
    """``check`` of a mounted configuration finds it fine."""
    with running(image, "check", "--config.file", f"{ETC}/dumbella.yml", volumes={ETC: etc}) as container:
        assert 0 == container.wait(), container.log


def test_a_secret_of_somebody_else(image: str) -> None:
    """A secret that the image's user cannot read is named by ``check``."""
    files = {"dumbella.yml": File(CONFIGURATION), "token": File(TOKEN, mode=0o400, owner=0)}
    with (
        volume(image, files) as etc,
        running(image, "check", "--config.file", f"{ETC}/dumbella.yml", volumes={ETC: etc}) as container,
    ):
        assert 1 == container.wait()
        assert f"{ETC}/dumbella.yml: targets[0].auth.bearer_token_file: the file cannot be read" in container.log


def test_the_health_check(engine: Engine, image: str) -> None:
    """The image's health check asks the exporter's default port, without a shell."""
    test = _inspect(engine, image, "{{json .Config.Healthcheck.Test}}")
    assert ["CMD", "dumbella-exporter", "health", "http://localhost:9877/-/healthy"] == test


def test_health(image: str, network: Network, etc: str) -> None:
    """A container is healthy while the exporter answers, whatever Dumbella does, and unhealthy while it does not."""
    often = {"interval": SECOND, "timeout": 20 * SECOND, "retries": 1}
    with (
        volume(image) as var,
        running(image, network=network, volumes={ETC: etc, VAR: var}, healthcheck=often) as container,
    ):
        eventually(lambda: _has_health(container, "healthy"))
        container.send("SIGSTOP")
        eventually(lambda: _has_health(container, "unhealthy"))
        assert "http://localhost:9877/-/healthy: no answer within 5 seconds\n" in [
            check["Output"] for check in container.state["Health"]["Log"]
        ]
        container.send("SIGCONT")
        eventually(lambda: _has_health(container, "healthy"))


def _has_health(container: Container, health: str) -> None:
    assert health == container.health


@pytest.mark.usefixtures("simulator")
def test_a_stop_ends_the_exporter(image: str, network: Network, etc: str) -> None:
    """``docker stop`` ends the exporter with exit code 0, long before it would be killed."""
    with volume(image) as var, running(image, network=network, volumes={ETC: etc, VAR: var}) as container:
        eventually(lambda: _answers(container, 9877, "/-/ready"))
        assert 0 == container.stop(GRACE)
        assert container.log.splitlines()[-1].endswith("msg=stopped")


def test_a_stop_ends_the_sidecar(image: str, network: Network, etc: str) -> None:
    """``docker stop`` ends the sidecar with exit code 0; its audit file is in the volume, whole and its own."""
    with volume(image) as var:
        with running(image, *SIDECAR, network=network, volumes={ETC: etc, VAR: var}) as container:
            eventually(lambda: _answers(container, 9878, "/-/healthy"))
            audit = f"pathlib.Path('{VAR}/audit.jsonl').stat()"
            assert [USER, USER, 0o100600] == container.python(f"[{audit}.st_uid, {audit}.st_gid, {audit}.st_mode]")
            assert 0 == container.stop(GRACE)
            assert container.log.splitlines()[-1].endswith("msg=stopped")
        with running(image, "audit", "verify", f"{VAR}/audit.jsonl", volumes={VAR: var}) as container:
            assert 0 == container.wait()
            assert container.log.startswith("2 records, the chain is whole; ")


@pytest.mark.parametrize("init", [False, True])
def test_a_stop_ends_the_simulator(image: str, network: Network, etc: str, init: bool) -> None:
    """The simulator leaves no zombies of runs that were killed, and ends with exit code 0, as first process or not."""
    with running(image, *SIMULATE, network=network, volumes={ETC: etc}, with_shell=True, init=init) as container:
        eventually(lambda: _answers(container, 9876, "/actuator/health"))
        control = f"{container.url(9876)}/-"
        loopback.request("DELETE", f"{control}/scheduler").raise_for_status()
        wanted = {"application": "M2STOCK", "job": "count_stock_0.4", "duration": None, "child": True, "count": 3}
        runs = loopback.request("POST", f"{control}/run", json=wanted).raise_for_status().json()
        groups = {run["pid"] for run in poll(lambda: _with_processes(control, runs))}
        for run in runs:
            kill = f"{container.url(9876)}/cockpit/api/rest/services/jobs/execution/{run['execution_id']}/kill"
            headers = {"Authorization": f"Bearer {TOKEN}"}
            loopback.request("POST", kill, headers=headers).raise_for_status()
        eventually(lambda: _assert_gone(container, groups))
        assert 0 == container.stop(GRACE)


def _with_processes(control: str, runs: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return what the simulator knows of some runs, once all of them have a process."""
    ids = {run["execution_id"] for run in runs}
    known = [run for run in loopback.get(f"{control}/history").json() if run["execution_id"] in ids]
    return known if len(known) == len(ids) and all(run["pid"] for run in known) else None


def _assert_gone(container: Container, groups: set[int]) -> None:
    stats = container.python("[path.read_text() for path in pathlib.Path('/proc').glob('[0-9]*/stat')]")
    processes = [stat.rpartition(")")[2].split()[:3] for stat in stats]
    assert [] == [state for state, _, group in processes if state == "Z" or int(group) in groups]


@pytest.mark.usefixtures("simulator")
def test_the_state_lasts(image: str, network: Network, etc: str) -> None:
    """What an exporter has observed is known to the next one with the same volume."""
    since: list[Mapping[tuple[str, ...], float]] = []
    with volume(image) as var:
        for _ in range(2):
            with running(image, network=network, volumes={ETC: etc, VAR: var}) as container:
                eventually(lambda: _answers(container, 9877, "/-/ready"))
                since.append(_metrics(container).values("dumbella_observing_since_timestamp_seconds", "application"))
                assert 0 == container.stop(GRACE)
    assert since[0] == since[1] != {}


def test_labels(engine: Engine, images: Images) -> None:
    """The image tells what it is, which version of it, of what and when it was made."""
    labels = _inspect(engine, images.exporter, "{{json .Config.Labels}}")
    prefix = "org.opencontainers.image."
    created, revision = labels.pop(f"{prefix}created"), labels.pop(f"{prefix}revision")
    assert dt.datetime.fromisoformat(created).tzinfo is not None
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", revision)
    assert {
        f"{prefix}base.name": images.python,
        f"{prefix}description": "Prometheus exporter and kill sidecar for Dumbella's jobs",
        f"{prefix}licenses": "Apache-2.0",
        f"{prefix}title": "dumbella-exporter",
        f"{prefix}version": __version__,
    } == labels


def test_the_size(engine: Engine, images: Images) -> None:
    """The build adds less than 30 MB to its base."""
    base, image = (_inspect(engine, name, "{{json .Size}}") for name in (images.python, images.exporter))
    assert 0 < image - base < 30_000_000


def _inspect(engine: Engine, image: str, template: str) -> Any:
    return json.loads(engine.docker("image", "inspect", "--format", template, image).stdout)


def test_what_is_installed(image: str) -> None:
    """Beside the package, only what deploy/requirements.lock pins is installed, and nothing that installs or builds."""
    code = "{d.name: d.version for d in importlib.metadata.distributions()}"
    script = f"import importlib.metadata, json; print(json.dumps({code}))"
    with running(image, "-c", script, entrypoint=["python"]) as container:
        assert 0 == container.wait(), container.log
        installed = {canonicalize_name(name): version for name, version in json.loads(container.log).items()}
    assert __version__ == installed.pop(canonicalize_name("dumbella-exporter"))
    lock = (ROOT / "deploy" / "requirements.lock").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    assert installed == {name: pins.get(name) for name in installed}
    assert set() == installed.keys() & {"hatchling", "pip", "setuptools"}


class Entry(NamedTuple):
    """What a file of an image is, beside its name."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    changed: float
    target: str
    content: str


def test_another_build(engine: Engine, images: Images, tmp_path: Path) -> None:
    """Built again from nothing, and by BuildKit, the image has the very same files, bytecode and times included."""
    _require_buildkit(engine)
    again = build_exporter(
        engine, images.python, "dumbella-exporter:again", "--no-cache", environment={"DOCKER_BUILDKIT": "1"}
    )
    first, second = (_files(engine, image, tmp_path) for image in (images.exporter, again))
    assert {} == {path: (first.get(path), second.get(path)) for path in first.keys() ^ second.keys()}
    assert {} == {path: (first[path], second[path]) for path in first if first[path] != second[path]}


def _require_buildkit(engine: Engine) -> None:
    """Skip the test, or fail it, where ``docker`` lacks the plugin that it needs for BuildKit from version 23 on."""
    major = int(engine.docker("version", "--format", "{{.Client.Version}}").stdout.split(".")[0])
    if major >= 23 and engine.docker("buildx", "version", check=False).returncode != 0:
        missing("docker has no buildx, so that it cannot use BuildKit")


def _files(engine: Engine, image: str, folder: Path) -> Mapping[str, Entry]:
    """Return the files of an image, by path; the times are of those that the build adds to the base."""
    archive = folder / "image.tar"
    container = engine.docker("create", image).stdout.strip()
    engine.docker("export", "--output", archive, container)
    engine.docker("rm", container)
    with tarfile.open(archive) as tar:
        return {
            member.name: Entry(
                kind=member.type,
                mode=member.mode,
                owner=(member.uid, member.gid),
                changed=member.mtime if member.name.startswith("opt/dumbella-exporter/") else 0,
                target=member.linkname,
                content=_digest(tar, member),
            )
            for member in tar
        }


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = tar.extractfile(member) if member.isreg() else None
    return hashlib.sha256(content.read()).hexdigest() if content else ""
