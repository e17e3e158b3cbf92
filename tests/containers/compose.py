"""Docker Compose on the project's own files."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.containers.engine import PATIENCE, ROOT

#: Variables of whoever runs the tests that would change what the files say.
_FOREIGN = ("COMPOSE_", "GRAFANA_", "DUMBELLA_", "COCKPIT_", "PROMETHEUS_", "ALERTMANAGER_", "PYTHON_IMAGE")


@dataclass(frozen=True, slots=True)
class Compose:
    """Docker Compose, told what to work on.

    Attributes:
        environment: the variables with which ``docker`` is found and knows ``compose``, and its engine if it needs one.
        files: the files, relative to the checkout.
        variables: what the files take from their environment.
        project: the name that sets containers, networks and volumes apart.
    """

    environment: Mapping[str, str] = field(repr=False)
    files: Sequence[str] = ("docker-compose.yml",)
    variables: Mapping[str, str] = field(default_factory=dict)
    project: str = "dumbella"

    def run(self, *arguments: str, deadline: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command of Docker Compose to its end, whatever that is."""
        files = [part for file in self.files for part in ("--file", file)]
        client = shutil.which("docker", path=self.environment["PATH"])
        assert client is not None, "docker is missing"
        own = {name: value for name, value in self.environment.items() if not name.startswith(_FOREIGN)}
        return subprocess.run(  # noqa: S603 - the command is the tests' own
            [client, "compose", "--project-name", self.project, *files, *arguments],
            cwd=ROOT,
            env={**own, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def done(self, *arguments: str, deadline: float = PATIENCE) -> str:
        """Run a command that has to succeed, and return what it printed."""
        answer = self.run(*arguments, deadline=deadline)
        assert answer.returncode == 0, f"docker compose {' '.join(arguments)}:\n{answer.stdout}{answer.stderr}"
        return answer.stdout

    def model(self) -> dict[str, Any]:
        """Return the files as Docker Compose understands them: merged, and with all variables put in."""
        model: dict[str, Any] = json.loads(self.done("config", "--format", "json"))
        return model
