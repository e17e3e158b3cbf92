"""Write the dashboards and their reference: ``python -m dashboards [FOLDER]``, into this checkout unless told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboards import health, job, job_manager, jobs
from dashboards.reference import reference

DASHBOARDS = {"jobs": jobs, "job-manager": job_manager, "job": job, "health": health}


def write(folder: Path) -> None:
    """Write ``dashboards/*.json`` and ``docs/dashboards.md`` under a folder."""
    for name, module in DASHBOARDS.items():
        file = folder / "dashboards" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(module.DASHBOARD.json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    page = folder / "docs" / "dashboards.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(reference([module.DASHBOARD for module in DASHBOARDS.values()]), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent)
