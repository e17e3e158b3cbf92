"""The dashboards as Grafana reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent.parent
FOLDER = PROJECT / "dashboards"
UIDS = {
    "jobs": "dumbella-jobs",
    "job-manager": "dumbella-job-manager",
    "job": "dumbella-job",
    "health": "dumbella-health",
}

Dashboard = dict[str, Any]
Panel = dict[str, Any]


def load(name: str) -> Dashboard:
    """Return one of the four dashboards."""
    loaded: Dashboard = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def load_all() -> Mapping[str, Dashboard]:
    """Return all dashboards, by the names of their files."""
    return {file.stem: load(file.stem) for file in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: Dashboard) -> Iterator[Panel]:
    """Yield the panels that show something: all but the headings between them."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", ())


def panel(dashboard: Dashboard, title: str) -> Panel:
    """Return the panel with a title."""
    (found,) = (panel for panel in panels(dashboard) if panel["title"] == title)
    return found
