"""Grafana as the demo runs it: with the project's dashboards, for everyone on this machine to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporter.server import ListenAddress

#: The dashboards: a wheel carries them in the package, a checkout has them beside it.
DASHBOARDS = next(folder / "dashboards" for folder in Path(__file__).parents[1:3] if (folder / "dashboards").is_dir())
#: Their uids, in the order in which they are best looked at.
UIDS = ("dumbella-jobs", "dumbella-job-manager", "dumbella-job", "dumbella-health")

_CONFIGURATION = """\
[server]
http_addr = {address.host}
http_port = {address.port}
[paths]
data = {folder}/data
logs = {folder}/logs
plugins = {folder}/plugins
provisioning = {folder}/provisioning
[auth.anonymous]
enabled = true
org_role = Viewer
[dashboards]
default_home_dashboard_path = {dashboards}/jobs.json
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
[news]
news_feed_enabled = false
[plugins]
preinstall_disabled = true
[log]
mode = console
"""


def find() -> Sequence[str] | None:
    """Return the command of a Grafana on PATH, ``None`` if there is none."""
    if binary := shutil.which("grafana"):
        return (binary, "server")
    if binary := shutil.which("grafana-server"):
        return (binary,)
    return None


def configure(
    command: Sequence[str], folder: Path, address: ListenAddress, prometheus: str, scrape_interval: str
) -> list[str]:
    """Write Grafana's configuration and provisioning, and return the whole command that runs it.

    Args:
        command: what :func:`find` found.
        folder: for everything that it writes.
        address: where it listens.
        prometheus: the address of its data source.
        scrape_interval: how often that one scrapes, as a duration.
    """
    folder.mkdir()
    provisioning = shutil.copytree(DASHBOARDS / "provisioning", folder / "provisioning")
    here = {
        "$PROMETHEUS_URL": prometheus,
        "$DUMBELLA_DASHBOARDS": str(DASHBOARDS),
        "timeInterval: 15s": f"timeInterval: {scrape_interval}",
    }
    for file in provisioning.glob("*/*.yml"):
        text = file.read_text(encoding="utf-8")
        for anywhere, value in here.items():
            text = text.replace(anywhere, value)
        file.write_text(text, encoding="utf-8")
    configuration = folder / "grafana.ini"
    configuration.write_text(_CONFIGURATION.format(address=address, folder=folder, dashboards=DASHBOARDS))
    return [*command, f"--config={configuration}", *_home(command[0])]


def _home(binary: str) -> Iterator[str]:
    """Yield the flag by which Grafana finds its own files: beside the program, or where packages put them."""
    for folder in (Path(binary).resolve().parent.parent, Path("/usr/share/grafana")):
        if (folder / "conf/defaults.ini").is_file():
            yield f"--homepath={folder}"
            return


def how_to_import(prometheus: str) -> Iterator[str]:
    """Yield how to get the dashboards into a Grafana that runs elsewhere.

    Args:
        prometheus: the address of its data source.
    """
    yield "Grafana is not installed; with `grafana` on PATH the demo runs one, too. To see the dashboards in another:"
    yield f"  add {prometheus} as a Prometheus data source, then Dashboards > New > Import each of"
    yield from (f"  {file}" for file in sorted(DASHBOARDS.glob("*.json")))
