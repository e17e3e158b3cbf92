"""The container engine that the tests use: the one that answers on this machine, or one of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import Process, poll

#: The checkout.
ROOT = Path(__file__).parent.parent.parent
#: What scripts/fetch-docker unpacked, if it had to.
_ENGINE = ROOT / ".cache" / "docker" / "usr"
_COMPOSE = ROOT / ".cache" / "docker-compose" / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
#: Seconds that building an image or starting a whole stack may take.
PATIENCE = 600.0
#: Seconds that the engine has to end its containers and itself.
_END = 60.0


class NoEngineError(Exception):
    """There is no engine here, and none can be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers.

    Attributes:
        url: where it listens, as ``DOCKER_HOST`` has it.
        environment: all variables that its clients need; with them ``docker`` is on PATH and knows Compose 2.
    """

    url: str
    environment: Mapping[str, str] = field(repr=False)

    @property
    def versions(self) -> str:
        """The versions of the engine, of its client and of Compose."""
        engine = self.docker("version", "--format", "engine {{.Server.Version}}, client {{.Client.Version}}").stdout
        return f"{engine.strip()}, compose {self.docker('compose', 'version', '--short').stdout.strip()}"

    def run(
        self,
        program: str | Path,
        *arguments: object,
        check: bool = True,
        deadline: float = PATIENCE,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a client of the engine in the checkout, and return its exit code and output.

        Args:
            program: ``docker``, or a script that uses it.
            arguments: of the program.
            check: fail on any exit code but 0.
            deadline: seconds that it may take.
            environment: variables besides those that every client needs.
        """
        answer = subprocess.run(  # noqa: S603 - the tests' own command
            [str(program), *map(str, arguments)],
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=deadline,
            check=False,
        )
        assert answer.returncode == 0 or not check, f"{program} {arguments}\n{answer.stdout}\n{answer.stderr}"
        return answer

    def docker(
        self, *arguments: object, check: bool = True, deadline: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run ``docker`` as ``run`` does, ``docker("compose", …)`` included."""
        return self.run("docker", *arguments, check=check, deadline=deadline)


@contextlib.contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Use the engine that answers here; where none does, run one as long as the context lasts.

    Args:
        folder: for the configuration of its clients and for its log.

    Raises:
        NoEngineError: none answers and none can be started, or a client or Compose 2 is missing.
    """
    answering = _answering()
    if answering is not None:
        yield Engine(answering, {**clients(os.environ.get("PATH", ""), folder), "DOCKER_HOST": answering})
        return
    path = unpacked_path()
    with _started(path, folder) as url:
        yield Engine(url, {**clients(path, folder), "DOCKER_HOST": url})


def unpacked_path() -> str:
    """Return where programs are looked for if what was unpacked is to come first: engine and client of one version."""
    return os.pathsep.join([f"{_ENGINE}/bin", f"{_ENGINE}/sbin", os.environ.get("PATH", ""), "/usr/sbin"])


def _answering() -> str | None:
    """Return where the engine listens that ``docker`` finds by itself, if it answers."""
    client = shutil.which("docker")
    if client is None or not _succeeds([client, "version", "--format", "{{.Server.Version}}"], os.environ):
        return None
    inspect = [client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    return subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - as above


def clients(path: str, folder: Path) -> dict[str, str]:
    """Return all variables that clients need; with them ``docker`` is on PATH and knows Compose 2.

    Args:
        path: where programs are looked for.
        folder: for the configuration of the clients.

    Raises:
        NoEngineError: one of the two is missing.
    """
    environment = {**os.environ, "PATH": path}
    client = _find("docker", path)
    if not _succeeds([client, "compose", "version"], environment):
        if not _COMPOSE.exists():
            raise NoEngineError("docker knows no compose, and none was fetched; scripts/setup test says why")
        plugins = folder / "client" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(_COMPOSE)
        environment["DOCKER_CONFIG"] = str(plugins.parent)
    return environment


def _find(program: str, path: str) -> str:
    found = shutil.which(program, path=path)
    if found is None:
        raise NoEngineError(f"{program} is neither on PATH nor fetched; scripts/setup test says why")
    return found


def _succeeds(command: list[str], environment: Mapping[str, str]) -> bool:
    answer = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603 - clients only
    return answer.returncode == 0


@contextlib.contextmanager
def _started(path: str, folder: Path) -> Iterator[str]:
    """Run an engine with everything of its own, so that it disturbs no other and leaves nothing behind."""
    if os.geteuid() != 0:
        raise NoEngineError("no container engine answers, and only root can start one")
    for helper in ("containerd", "runc", "iptables"):
        _find(helper, path)
    # The names of sockets have to be short.
    with tempfile.TemporaryDirectory(prefix="engine-") as home:
        url = f"unix://{home}/socket"
        settings = Path(home, "settings.json")
        settings.write_text("{}")
        command = [
            # Even when the tests are killed the engine ends with them, and its containers with the engine.
            *("setpriv", "--pdeathsig=TERM", _find("dockerd", path)),
            f"--config-file={settings}",
            f"--data-root={home}/data",
            f"--exec-root={home}/run",
            f"--pidfile={home}/pid",
            f"--host={url}",
            "--group=root",
            # The machine's firewall and forwarding stay as they are: published ports are served by a proxy, and
            # containers reach each other on networks that are made for them.
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--bridge=none",
            "--log-level=warn",
        ]
        daemon = Process(command, folder, name="dockerd", environment={"PATH": path})

        def answers() -> bool:
            if not daemon.running:
                raise NoEngineError(f"no container engine answers, and none can run here:\n{daemon.output}")
            return _succeeds([_find("docker", path), "--host", url, "version"], os.environ)

        try:
            poll(answers)
            yield url
        finally:
            daemon.stop(deadline=_END)
            # Where the root of the file system is itself a bind mount, the engine leaves the one that it has made.
            subprocess.run(["umount", f"{home}/data"], capture_output=True, check=False)  # noqa: S603, S607 - its own folder
