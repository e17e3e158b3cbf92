"""The demo shows the dashboards: in a Grafana where one is installed, else by telling how to import them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests import loopback
from tests.dashboards import stand_in_grafana
from tests.dashboards.files import UIDS
from tests.processes import COMMAND, running
from tests.prometheus import real_part

FREE_PORTS = [
    f"--{part}.listen-address=127.0.0.1:0"
    for part in ("simulator", "exporter", "sidecar", "alertmanager", "prometheus", "grafana")
]


def test_a_grafana_that_is_installed_gets_the_dashboards(tmp_path: Path) -> None:
    """The demo starts Grafana with the provisioning, its own Prometheus as data source, and shows each address."""
    home = tmp_path / "home"
    for folder in ("bin", "conf"):
        (home / folder).mkdir(parents=True)
    (home / "conf/defaults.ini").touch()
    program = home / "bin/grafana"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in_grafana.__file__} "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{real_part('prometheus', '2.x').parent}:{os.environ['PATH']}"
    with running([COMMAND, "demo", *FREE_PORTS], tmp_path, name="demo", environment={"PATH": path}) as process:
        process.wait_for("Ctrl-C stops everything")
        prometheus = process.wait_for(r"^Prometheus +(http://\S+)")[1]
        grafana = process.wait_for(r"^Grafana +(http://\S+)")[1]
        for uid in UIDS.values():
            assert f"  {grafana}/d/{uid}\n" in process.stdout
            answer = loopback.get(f"{grafana}/api/dashboards/uid/{uid}")
            assert uid == answer.json()["dashboard"]["uid"]
        (source,) = loopback.get(f"{grafana}/api/datasources").json()
        assert prometheus == source["url"]
        assert "5s" == source["jsonData"]["timeInterval"]


def test_without_a_grafana_the_demo_tells_how_to_import(tmp_path: Path) -> None:
    """Where no Grafana is installed, the demo names the files, which exist, and the data source that they need."""
    folders = os.environ["PATH"].split(":")
    without = [folder for folder in folders if not any(Path(folder).glob("grafana*"))]
    path = ":".join([str(real_part("prometheus", "2.x").parent), *without])
    with running([COMMAND, "demo", *FREE_PORTS], tmp_path, name="demo", environment={"PATH": path}) as process:
        process.wait_for("Ctrl-C stops everything")
        prometheus = process.wait_for(r"^Prometheus +(http://\S+)")[1]
        assert "Grafana is not installed" in process.stdout
        assert f"add {prometheus} as a Prometheus data source" in process.stdout
        named = [Path(line.strip()) for line in process.stdout.splitlines() if line.endswith(".json")]
        assert sorted(UIDS) == sorted(file.stem for file in named)
        assert all(file.is_file() for file in named)
