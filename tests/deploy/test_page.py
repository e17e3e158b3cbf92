"""docs/deployment.md: what it names is there, and what it says twice is said alike."""

from __future__ import annotations

import re

from tests.deploy import schemas
from tests.deploy.kubectl import OVERLAYS, ROOT
from tests.deploy.units import PARTS, Unit

PAGE = (ROOT / "docs" / "deployment.md").read_text()


def test_files_that_it_names_are_there() -> None:
    """Every file and folder of the project that its commands and sentences name exists, but for copies to be made."""
    named = set(re.findall(r"(?<![\w/.-])(?:alerts|dashboards|deploy|exporter)/[\w./-]*\w", PAGE))
    assert {"deploy/kubernetes/ours"} == {name for name in named if not (ROOT / name).exists()}


def test_every_overlay_is_told() -> None:
    """The table of the manifests has every folder that can be applied."""
    (table,) = re.findall(r"\| folder \| for \|\n((?:\|.*\n)+)", PAGE)
    told = {name for row in table.splitlines() for name in re.findall(r"`([\w/]+)`", row.split("|")[1])}
    assert set(OVERLAYS) == told


def test_every_credential_is_installed() -> None:
    """The commands for systemd put every credential where its unit takes it from, readable for root alone."""
    installed = {
        name
        for line in re.findall(r"^sudo install -m 600 (.*) /etc/dumbella-exporter/$", PAGE, re.MULTILINE)
        for name in line.split()
    }
    units = [Unit.load(part) for part in PARTS]
    assert {path.name for unit in units for path in unit.credentials.values()} == installed
    assert {"/etc/dumbella-exporter"} == {str(path.parent) for unit in units for path in unit.credentials.values()}


def test_the_oldest_kubernetes_is_the_one_that_is_tried() -> None:
    """The page promises the oldest version of Kubernetes against which the manifests are checked."""
    assert f"Kubernetes {schemas.VERSIONS[0]} or newer" in PAGE
    assert f"the schemas of Kubernetes {schemas.VERSIONS[0]} and " in PAGE
