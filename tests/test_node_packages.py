"""What the tests take from npm: pinned, and free to use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unlicense",
    "Zlib",
}
#: Their package.json names no licence; their licence files have the text of the Unlicense.
UNNAMED = {"node_modules/fast-shallow-equal": "Unlicense", "node_modules/react-universal-interface": "Unlicense"}


TESTS = Path(__file__).parent
every_folder = pytest.mark.parametrize(
    "folder", [TESTS / "dashboards" / "node", TESTS / "deploy" / "node"], ids=lambda folder: folder.parent.name
)


def locked(folder: Path) -> Mapping[str, Any]:
    """Return the packages of the lock file by where they are installed."""
    packages: dict[str, Any] = json.loads((folder / "package-lock.json").read_text())["packages"]
    del packages[""]
    return packages


def direct(folder: Path) -> Mapping[str, str]:
    """Return the versions that are asked for."""
    asked: Mapping[str, str] = json.loads((folder / "package.json").read_text())["dependencies"]
    return asked


@every_folder
def test_versions_are_pinned(folder: Path) -> None:
    """Every package that is asked for has one exact version, the one in the lock file."""
    assert direct(folder) == {name: locked(folder)[f"node_modules/{name}"]["version"] for name in direct(folder)}


@every_folder
def test_licences_are_permissive(folder: Path) -> None:
    """Every package that is installed may be used by anyone; where there is a choice, one choice is enough."""
    for place, package in locked(folder).items():
        named = package.get("license") or UNNAMED[place]
        choices = [set(choice.split(" AND ")) for choice in named.strip("()").split(" OR ")]
        assert any(choice <= PERMISSIVE for choice in choices), f"{place}: {named}"


@every_folder
def test_licences_are_noted(folder: Path) -> None:
    """The README lists the packages that are asked for, with the licences that the lock file names."""
    rows = re.findall(r"^\| (\S+(?:, \S+)*) \| (\S+) \|", (folder / "README.md").read_text(), re.MULTILINE)
    noted = {name: licence for names, licence in rows for name in names.split(", ") if name in direct(folder)}
    assert {name: locked(folder)[f"node_modules/{name}"]["license"] for name in direct(folder)} == noted
