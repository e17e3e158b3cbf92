"""The shipped stack, run by Docker Compose with images that were made on this machine."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests import loopback
from tests.containers.compose import Compose
from tests.containers.engine import Engine
from tests.containers.images import Images
from tests.prometheus import Prometheus

#: The services that are the project's own and keep running.
OWN = ("simulator", "exporter", "sidecar")
_FILES = ("docker-compose.yml", "tests/containers/stack.yml")
_PORTS = {
    "simulator": 9876,
    "exporter": 9877,
    "sidecar": 9878,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
}


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is up.

    Attributes:
        compose: Docker Compose on its files.
    """

    compose: Compose

    def up(self) -> None:
        """Let every service be healthy, and the one that has an end be through."""
        self.compose.done("up", "--detach", "--wait")

    def url(self, service: str) -> str:
        """Return where a service is published, by the host name that people use."""
        address = self.compose.done("port", service, str(_PORTS[service])).strip()
        return f"http://localhost:{address.rpartition(':')[2]}"

    @property
    def prometheus(self) -> Prometheus:
        """Its Prometheus."""
        return Prometheus(self.url("prometheus"))

    def control(self, method: str, path: str, **options: Any) -> Any:
        """Ask the simulator itself something."""
        answer = loopback.request(method, f"{self.url('simulator')}/-/{path}", **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def execute(self, service: str, *command: str) -> str:
        """Return what a command prints that is run in a service's container."""
        return self.compose.done("exec", "--no-TTY", service, *command)

    def exit_codes(self) -> Mapping[str, int]:
        """Return the exit code of each container that has ended."""
        lines = self.compose.done("ps", "--all", "--format", "json").splitlines()
        containers = [json.loads(line) for line in lines]
        return {one["Service"]: one["ExitCode"] for one in containers if one["State"] == "exited"}

    def processes(self, service: str) -> str:
        """Return the processes of a service's container, a line each, as the machine sees them."""
        return self.compose.done("top", service)

    @contextlib.contextmanager
    def signed_in(self, login: str, password: str) -> Iterator[httpx.Client]:
        """Use the sidecar as somebody does who has signed in to Grafana in the same browser."""
        with loopback.client(base_url=self.url("sidecar")) as browser:
            account = {"user": login, "password": password}
            browser.post(f"{self.url('grafana')}/login", json=account).raise_for_status()
            yield browser


@contextlib.contextmanager
def running(compose: Compose) -> Iterator[Stack]:
    """Run a stack, and leave nothing of it behind.

    Args:
        compose: where the engine is, and which images to use.
    """
    stack = Stack(compose)
    try:
        stack.up()
        yield stack
    except BaseException as error:
        error.add_note(stack.compose.run("logs", "--no-color", "--tail", "20").stdout)
        raise
    finally:
        stack.compose.run("down", "--volumes", "--timeout", "10")


def described(engine: Engine, images: Images) -> Compose:
    """Return Docker Compose on the stack with these images, as a project that no other has."""
    variables = {
        # Another name than that of the image that is tested by itself, since this one is built by Docker Compose.
        "DUMBELLA_EXPORTER_IMAGE": "dumbella-exporter:stack-tested",
        "PYTHON_IMAGE": images.python,
        "PROMETHEUS_IMAGE": images.prometheus,
        "ALERTMANAGER_IMAGE": images.alertmanager,
    }
    return Compose(engine.environment, _FILES, variables, f"dumbella-test-{secrets.token_hex(4)}")
