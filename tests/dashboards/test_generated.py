"""The committed files are what the generator writes, and provisioning keeps them that way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.dashboards.files import FOLDER, PROJECT, UIDS, load_all, panels
from tests.processes import DEADLINE


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the generator has written everything."""
    folder = tmp_path_factory.mktemp("generated")
    command = [sys.executable, "-m", "dashboards", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=DEADLINE)  # noqa: S603 - the project's own program
    return folder


def test_the_files_are_what_the_generator_writes(written: Path) -> None:
    """Every dashboard in the repository is byte for byte what `make dashboards` writes, and none is left over."""
    generated = {file.name: file.read_text() for file in (written / "dashboards").iterdir()}
    assert {file.name: file.read_text() for file in FOLDER.glob("*.json")} == generated


def test_the_reference_is_what_the_generator_writes(written: Path) -> None:
    """docs/dashboards.md is what `make dashboards` writes."""
    assert (PROJECT / "docs/dashboards.md").read_text() == (written / "docs/dashboards.md").read_text()


def test_the_reference_holds_every_panel() -> None:
    """docs/dashboards.md says of every panel and every mark in the JSON files what it answers."""
    page = (PROJECT / "docs/dashboards.md").read_text()
    for dashboard in load_all().values():
        _, _, section = page.partition(f"\n## {dashboard['title']}\n")
        section, _, _ = section.partition("\n## ")
        rows = [line for line in section.splitlines() if line.startswith("| ")]
        expected = [f"| {panel['title']} | {panel['description']} |" for panel in panels(dashboard)]
        assert expected == rows[1 : len(expected) + 1]
        assert len(rows) == 1 + len(expected) + len(dashboard["annotations"]["list"])


def test_there_are_four_dashboards() -> None:
    """The four dashboards have the uids under which they link to each other."""
    assert UIDS == {name: dashboard["uid"] for name, dashboard in load_all().items()}


def test_the_readme_names_every_dashboard() -> None:
    """dashboards/README.md lists each file with the question that its dashboard answers."""
    page = (FOLDER / "README.md").read_text()
    for name, dashboard in load_all().items():
        assert f"| `{name}.json` | {dashboard['title']} | {dashboard['description']} |" in page


def test_provisioned_dashboards_stay_as_they_are() -> None:
    """The provider offers neither deletion nor changes."""
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/dumbella.yml").read_text())["providers"]
    assert provider["disableDeletion"] is True
    assert provider["allowUiUpdates"] is False
    assert provider["editable"] is False
    assert provider["options"] == {"path": "$DUMBELLA_DASHBOARDS"}


def test_the_data_source_knows_the_scrape_interval() -> None:
    """The provisioned data source is a Prometheus with a scrape interval, from which ranges of rates derive."""
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == "15s"
    assert source["editable"] is False
