"""What is made from the rules is what stands in the repository, and says the same as the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.alerts.rules import ALERTS, RULES, alerts

PROJECT = ALERTS.parent


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which everything was written anew."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, "-m", "alerts", str(folder)], cwd=PROJECT, check=True)  # noqa: S603 - the project's own program
    return folder


@pytest.mark.parametrize("name", ["alerts/prometheusrule.yml", "docs/alerts.md"])
def test_the_file_is_up_to_date(written: Path, name: str) -> None:
    """The file in the repository is what `make alerts` writes."""
    assert (written / name).read_text() == (PROJECT / name).read_text()


def test_the_manifest_holds_the_rules() -> None:
    """The manifest for the Prometheus operator is a PrometheusRule with exactly the groups of the rules file."""
    manifest = yaml.safe_load((ALERTS / "prometheusrule.yml").read_text())
    assert ("monitoring.coreos.com/v1", "PrometheusRule") == (manifest["apiVersion"], manifest["kind"])
    assert yaml.safe_load(RULES.read_text()) == manifest["spec"]


def test_the_list_has_every_alert() -> None:
    """docs/alerts.md has a row for every alert, with its severity and summary."""
    rows = [
        line.split(" | ") for line in (PROJECT / "docs/alerts.md").read_text().splitlines() if "| [Dumbella" in line
    ]
    assert [(alert.name, alert.labels["severity"], alert.annotations["summary"]) for alert in alerts()] == [
        (row[0].split("[")[1].split("]")[0], row[1], row[3]) for row in rows
    ]
