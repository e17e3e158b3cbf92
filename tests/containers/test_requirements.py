"""What the image is built from, as deploy/requirements.lock pins it."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.containers.engine import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: One pin and its hashes a line.
LINES = re.findall(r"^[^#].*", (ROOT / "deploy" / "requirements.lock").read_text().replace("\\\n", ""), re.MULTILINE)
PINS = [Requirement(line.partition(" --hash")[0]) for line in LINES]


@pytest.mark.parametrize("wanted", [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]])
def test_what_the_package_needs(wanted: str) -> None:
    """Everything that pyproject.toml asks for is pinned, in a version that it allows; `make lock` pins anew."""
    requirement = Requirement(wanted)
    pinned = [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(requirement.name)]
    assert [True] == [requirement.specifier.contains(str(pin.specifier).removeprefix("==")) for pin in pinned]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("=")[0])
def test_hashes(line: str) -> None:
    """Every pin has hashes, and nothing but its name, its version and where it holds."""
    assert re.fullmatch(r"[\w.-]+==[\w.]+( ; [^;]*?)?( +--hash=sha256:[0-9a-f]{64})+", line)
