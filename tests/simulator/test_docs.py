"""docs/simulator.md names everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.simulator import DIALECTS, FAULTS
from exporter.simulator.faults import ENDPOINTS, KINDS
from exporter.simulator.scenario import populate
from exporter.simulator.world import World
from tests.simulator.conftest import Quiet

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return a section of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_column(text: str) -> set[str]:
    """Return everything in code style in the first column of a section's table, without arguments."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name.partition("=")[0] for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_dialect_is_documented() -> None:
    """The table of dialects has exactly those that there are."""
    assert first_column(section("Dialects")) == set(DIALECTS)


def test_every_fault_is_documented() -> None:
    """The table of faults has exactly those that there are, and their default arguments."""
    faults = section("Faults")
    assert first_column(faults) == set(FAULTS)
    for name, kind in KINDS.items():
        row = next(line for line in faults.splitlines() if line.startswith("| ") and f"`{name}" in line)
        assert f"({kind.default})" in row or not kind.default


def test_every_endpoint_of_faults_is_documented() -> None:
    """The endpoints that a fault may be limited to are those of the page."""
    assert " ".join(ENDPOINTS) in " ".join(section("Faults").split())


def test_every_job_of_the_scenario_is_documented() -> None:
    """The table of the scenario has exactly its jobs."""
    world = World(1)
    populate(world, 0.0)
    documented = {
        name
        for line in section("The scenario").splitlines()
        if line.startswith("| ") and "`" in line
        for name in re.findall(r"`([^`]+)`", line.split("|")[2])
    }
    assert documented == {job.name for job in world.jobs()}


@pytest.mark.parametrize("call", sorted(set(re.findall(r"`GET (/-/[a-z/]+)", section("Control endpoint")))))
def test_every_documented_control_page_answers(quiet: Quiet, call: str) -> None:
    """Each page of the control endpoint that the documentation names exists."""
    assert quiet.web.get(call).status_code == 200
