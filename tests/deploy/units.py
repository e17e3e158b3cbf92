"""systemd units, as their lines say."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.kubectl import ROOT

UNITS = ROOT / "deploy" / "systemd"
PARTS = ("dumbella-exporter", "dumbella-sidecar")
COMMAND = "/opt/dumbella-exporter/bin/dumbella-exporter"


@dataclass(frozen=True, slots=True)
class Unit:
    """A service.

    Attributes:
        name: without ``.service``.
        settings: keys and values of all sections, in order; a key may stand several times.
    """

    name: str
    settings: tuple[tuple[str, str], ...]

    @classmethod
    def load(cls, name: str) -> Unit:
        """Return a shipped unit."""
        text = (UNITS / f"{name}.service").read_text()
        return cls(name, tuple(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)))

    def values(self, key: str) -> list[str]:
        """Return all values of a key."""
        return [value for known, value in self.settings if known == key]

    def value(self, key: str) -> str:
        """Return the only value of a key.

        Raises:
            ValueError: there is none, or there are several.
        """
        (only,) = self.values(key)
        return only

    @property
    def arguments(self) -> list[str]:
        """What the command is started with."""
        command, *arguments = shlex.split(self.value("ExecStart"))
        assert COMMAND == command
        return arguments

    @property
    def credentials(self) -> dict[str, Path]:
        """Where the credentials come from, by name."""
        return {name: Path(path) for name, _, path in (value.partition(":") for value in self.values("LoadCredential"))}

    @property
    def folder(self) -> str:
        """Where the service keeps what lasts."""
        return f"/var/lib/{self.value('StateDirectory')}"


def systemd_version() -> str:
    """Return the version of this machine's systemd, or that there is none."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return "systemd-analyze is not on PATH"
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603 - found above
    return printed.partition("\n")[0].removeprefix("systemd ")
