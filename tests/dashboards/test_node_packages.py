"""What the tests of the dashboards take from npm: pinned, and free to use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.dashboards.node import FOLDER

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


def locked() -> Mapping[str, Any]:
    """Return the packages of the lock file by where they are installed."""
    packages: dict[str, Any] = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    del packages[""]
    return packages


def direct() -> Mapping[str, str]:
    """Return the versions that are asked for."""
    asked: Mapping[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return asked


def test_versions_are_pinned() -> None:
    """Every package that is asked for has one exact version, the one in the lock file."""
    assert direct() == {name: locked()[f"node_modules/{name}"]["version"] for name in direct()}


def test_licences_are_permissive() -> None:
    """Every package that is installed may be used by anyone; where there is a choice, one choice is enough."""
    for place, package in locked().items():
        named = package.get("license") or UNNAMED[place]
        choices = [set(choice.split(" AND ")) for choice in named.strip("()").split(" OR ")]
        assert any(choice <= PERMISSIVE for choice in choices), f"{place}: {named}"


def test_licences_are_noted() -> None:
    """The README lists the packages that are asked for, with the licences that the lock file names."""
    rows = re.findall(r"^\| (\S+(?:, \S+)*) \| (\S+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    noted = {name: licence for names, licence in rows for name in names.split(", ") if name in direct()}
    assert {name: locked()[f"node_modules/{name}"]["license"] for name in direct()} == noted
