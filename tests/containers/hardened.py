"""Containers of the project's image, as restricted as they are meant to be run."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.types import Mount
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.processes import poll

#: Whom the image runs as.
USER = 65532
#: Nothing may be written but volumes and /tmp, and nothing may be gained.
HARDENED: Mapping[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
#: In the place of every shell there is something that cannot be run.
_NO_SHELL = [Mount(f"/usr/bin/{shell}", "/dev/null", type="bind", read_only=True) for shell in ("bash", "dash")]


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started."""

    started: DockerContainer

    @property
    def state(self) -> Mapping[str, Any]:
        """What the engine knows of it now: ``Status``, ``ExitCode``, ``Health``…"""
        state: Mapping[str, Any] = self._attributes()["State"]
        return state

    @property
    def health(self) -> str:
        """What its health check found: ``starting``, ``healthy`` or ``unhealthy``."""
        return str(self.state["Health"]["Status"])

    @property
    def log(self) -> str:
        """What it wrote to standard output and to standard error."""
        stdout, stderr = self.started.get_logs()
        return (stdout + stderr).decode()

    def url(self, port: int) -> str:
        """Return where a port of it is published on this machine."""
        published = self._attributes()["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return f"http://127.0.0.1:{published[0]['HostPort']}"

    def python(self, expression: str) -> Any:
        """Return the value of a Python expression that is evaluated in it; the value has to be one of JSON's."""
        answer = self.started.exec(["python", "-c", f"import json, pathlib; print(json.dumps({expression}))"])
        assert answer.exit_code == 0, answer.output.decode()
        return json.loads(answer.output)

    def send(self, signal: str) -> None:
        """Send its first process a signal."""
        self.started.get_wrapped_container().kill(signal)

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        return int(poll(lambda: self.state if self.state["Status"] == "exited" else None)["ExitCode"])

    def stop(self, grace: int) -> int:
        """End it as ``docker stop`` does, which kills it after ``grace`` seconds, and return its exit code."""
        self.started.get_wrapped_container().stop(timeout=grace)
        return self.wait()

    def _attributes(self) -> Mapping[str, Any]:
        self.started.reload()
        attributes: Mapping[str, Any] = self.started.get_wrapped_container().attrs
        return attributes


@contextlib.contextmanager
def running(
    image: str,
    *command: str,
    name: str = "",
    network: Network | None = None,
    volumes: Mapping[str, str] | None = None,
    with_shell: bool = False,
    **options: Any,
) -> Iterator[Container]:
    """Run a container and remove it on leaving; in a network its ports are published on free ports of this machine.

    Args:
        image: what it is made of.
        command: arguments of ``dumbella-exporter``; the image's own without any.
        name: by which others of the network reach it.
        network: that it belongs to; it is alone without.
        volumes: path in the container → volume.
        with_shell: whether it has a shell.
        options: of ``docker run``, as docker's library names them.
    """
    container = DockerContainer(image, network=network, network_aliases=[name] if name else None)
    container.with_tmpfs_mount("/tmp")  # noqa: S108 - the container's own
    if command:
        container.with_command([*command])
    mounts = [Mount(path, volume, type="volume") for path, volume in (volumes or {}).items()]
    connected = {"publish_all_ports": True} if network else {"network_mode": "none"}
    container.with_kwargs(mounts=[*mounts, *([] if with_shell else _NO_SHELL)], **connected, **HARDENED, **options)
    with container:
        started = Container(container)
        try:
            yield started
        except Exception as error:
            error.add_note(started.log)
            raise


@dataclass(frozen=True, slots=True)
class File:
    """A file in a volume.

    Attributes:
        content: what is in it.
        mode: who may do what with it.
        owner: user and group.
    """

    content: str
    mode: int = 0o444
    owner: int = 0


@contextlib.contextmanager
def volume(image: str, files: Mapping[str, File] | None = None) -> Iterator[str]:
    """Make a volume, and remove it on leaving.

    Args:
        image: any, to write files with.
        files: path in the volume → file.
    """
    client = docker.from_env()
    made = client.volumes.create(f"dumbella-test-{uuid.uuid4().hex}")
    try:
        if files:
            mount = Mount("/made", made.name, type="volume")
            writer = client.containers.create(image, network_mode="none", mounts=[mount])
            try:
                assert writer.put_archive("/made", _archive(files))
            finally:
                writer.remove()
        yield made.name
    finally:
        made.remove()
        client.close()


def _archive(files: Mapping[str, File]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, file in files.items():
            content = file.content.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.uid, entry.gid = len(content), file.mode, file.owner, file.owner
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
