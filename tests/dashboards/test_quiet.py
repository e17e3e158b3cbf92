"""One installation in which nothing runs, and what dashboards show when it, the exporter or the sidecar is gone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests import loopback
from tests.dashboards.files import UIDS, load, panel, panels
from tests.dashboards.node import Node
from tests.dashboards.view import View
from tests.dashboards.world import SALES, STOCK, Installation, configure, guarding, installed
from tests.installation import exporting
from tests.loopback import free_port
from tests.processes import Process, eventually, poll
from tests.prometheus import GENERATIONS, real_part, scraping

#: Panels that say something good while the sidecar is up and nobody was killed.
OF_THE_SIDECAR = {"Sidecar", "Kills in flight", "Audit write errors", "Kills not confirmed", "Recent kill outcomes"}
#: What fails of a target that is unavailable, and why.
FAILURES = {("jobs", "server_error"), ("executions", "server_error")}
RED, BLUE = "#C4162A", "#1F60C4"


@dataclass(frozen=True, slots=True)
class Quiet:
    """One installation where everything is well and nothing runs, and a view of it in Prometheus of each generation."""

    views: tuple[View, ...]
    installation: Installation
    exporter: Process


@contextlib.contextmanager
def quietness(node: Node, folder: Path) -> Iterator[Quiet]:
    """Run an installation, an exporter, and Prometheus, which knows the target when this begins, but no sidecar."""
    with contextlib.ExitStack() as stack:
        installation = stack.enter_context(installed("north", folder))
        installation.alter(STOCK, "archive_invoices_0.1", status="ENABLED", error=None)
        installation.alter(STOCK, "reserve_stock_1.1", status="STARTED", error=None)
        installation.alter(STOCK, "stock_feed_0.1", status="STARTED", published_version=3)
        installation.alter(STOCK, "count_stock_0.4", published_version=9)
        exporter = stack.enter_context(exporting(configure(folder / "exporter", [installation])))
        views = stack.enter_context(viewing(node, folder, {"dumbella-exporter": exporter.url}))
        poll(lambda: all(view.prometheus.query("count_over_time(dumbella_up[1m]) > 3") for view in views))
        yield Quiet(views, installation, exporter.process)


@contextlib.contextmanager
def viewing(node: Node, folder: Path, scraped: Mapping[str, str]) -> Iterator[tuple[View, ...]]:
    """Run Prometheus of each generation, side by side, and yield a view of each."""
    with contextlib.ExitStack() as stack:
        yield tuple(
            View(stack.enter_context(scraping(binary, folder / f"prometheus-{number}", scraped)), node)
            for number, binary in enumerate([real_part("prometheus", generation) for generation in GENERATIONS])
        )


@pytest.fixture(scope="module")
def quiet(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quiet]:
    """What tests share that leave everything as they found it."""
    with quietness(node, tmp_path_factory.mktemp("quiet")) as running:
        yield running


def agree(expected: object, actual: object) -> None:
    """Assert that two things are equal; to be repeated while they need not be yet."""
    assert expected == actual


def test_nothing_running_is_zero(quiet: Quiet) -> None:
    """While the target is up, what there is none of is zero, and tables of executions are empty."""
    for view in quiet.views:
        assert {
            "Jobs": 15,
            "Running": 0,
            "In error": 0,
            "Services not running": 0,
            "Versions outdated": 0,
        } == {
            title: view.number("jobs", title)
            for title in ("Jobs", "Running", "In error", "Services not running", "Versions outdated")
        }
        assert 0 == view.number("job-manager", "Running")
        assert 0 == view.number("job-manager", "Longest running")
        assert 0 == view.number("job-manager", "Past expected runtime")
        assert [] == view.rows("job-manager", "Running executions")
        assert {"0"} == {running for (running,) in view.texts("jobs", "All jobs", "Running")}
        assert {0} == set(view.numbers("job-manager", "Concurrency", "application").values())


def test_without_a_sidecar_nobody_says_that_it_is_up(quiet: Quiet) -> None:
    """Where no sidecar is scraped, its panels have no data."""
    for view in quiet.views:
        assert {} == view.stat("job-manager", "Sidecar")
        assert {} == view.stat("health", "Mode")
        assert view.number("health", "Audit write errors") is None


def test_the_url_of_a_job_runs_it(quiet: Quiet) -> None:
    """The addresses that the Job dashboard shows are those under which Cockpit and Dumbella run that job."""
    content = panel(load("job"), "Url")["options"]["content"]
    job_id = quiet.installation.id(SALES, "load_orders_0.1.zip")
    shown = content.replace("${application:text}", SALES).replace("${job_id:text}", job_id)
    addresses = re.findall(r"^/\S+$", shown, re.MULTILINE)
    assert 4 == len(addresses)
    simulator = quiet.installation.simulator
    for address in addresses:
        base = f"{simulator.url}/cockpit" if address.startswith("/api") else simulator.url
        headers = {"Authorization": f"Bearer {simulator.token}"}
        answer = loopback.request("POST", f"{base}{address}", json={"jobParams": {"pause": 0}}, headers=headers)
        assert 200 == answer.status_code, answer.text
    poll(lambda: all(run["ended_at"] for run in quiet.installation.history()))
    assert 4 == len([run for run in quiet.installation.history() if run["outcome"] == "done"])
    eventually(lambda: agree([0, 0], [view.number("job-manager", "Running") for view in quiet.views]))


def test_a_target_that_is_down_looks_down(quiet: Quiet) -> None:
    """When reads fail, the target is shown as down at once, nothing turns to zero, and old data goes."""
    quiet.installation.simulator.switch_faults("unavailable")
    for view in quiet.views:
        _looks_down(view)
    for view in quiet.views:
        eventually(lambda: agree(set(), FAILURES - _failures(view)))  # noqa: B023 - called at once
        eventually(lambda: agree([], view.rows("jobs", "All jobs")))  # noqa: B023 - called at once
        assert view.number("jobs", "Jobs") is None
    quiet.installation.simulator.switch_faults()
    for view in quiet.views:
        eventually(lambda: agree({"north": ("Up", BLUE)}, view.stat("jobs", "Targets")))  # noqa: B023 - called at once
        eventually(lambda: agree(0, view.number("jobs", "In error")))  # noqa: B023 - called at once


def _failures(view: View) -> set[tuple[str, ...]]:
    # An increase shows with the second scrape that has it.
    return set(view.numbers("health", "API failures by reason", "endpoint", "reason"))


def _looks_down(view: View) -> None:
    eventually(lambda: agree({"north": ("Down", RED)}, view.stat("jobs", "Targets")))
    for title in ("Running", "In error", "Services not running", "Versions outdated"):
        assert view.number("jobs", title) is None
    assert view.number("job-manager", "Running") is None
    assert view.number("job-manager", "Longest running") is None
    assert {"Exporter": ("Up", BLUE)} == view.stat("jobs", "Exporter")


def test_a_part_that_fails_is_named(quiet: Quiet) -> None:
    """When one list of one application fails, the target is down and one collector is counted as failing."""
    quiet.installation.simulator.switch_faults(f"server_error@executions@{SALES}")
    for view in quiet.views:
        eventually(lambda: agree({"north": ("Down", RED)}, view.stat("health", "Targets")))  # noqa: B023 - called at once
        assert 1 == view.number("health", "Collectors failing")
    quiet.installation.simulator.switch_faults()
    for view in quiet.views:
        eventually(lambda: agree({"north": ("Up", BLUE)}, view.stat("health", "Targets")))  # noqa: B023 - called at once


def _healthy(view: View, name: str) -> set[str]:
    """Return the titles of panels of which the latest value says that all is well."""
    found: set[str] = set()
    for shown in panels(load(name)):
        if shown["type"] not in {"stat", "bargauge"}:
            continue
        for text, colour in view.stat(name, shown["title"]).values():
            if colour == BLUE or text == "0":
                found.add(shown["title"])
    return found


def test_nothing_looks_healthy_without_the_exporter(node: Node, tmp_path: Path) -> None:
    """When the exporter is gone it is shown as down, and no number is zero or of the colour of health."""
    with quietness(node, tmp_path) as quiet:
        views = [view.selecting(job_name="load_orders_0.1", target="north") for view in quiet.views]
        for view in views:
            assert all(_healthy(view, name) for name in UIDS)
        quiet.exporter.stop()
        poll(lambda: all(view.prometheus.query("up == 0") for view in views))
        for view in views:
            assert {name: set() for name in UIDS} == {name: _healthy(view, name) for name in UIDS}
            assert {"Exporter": ("Down", RED)} == view.stat("jobs", "Exporter")
            assert {} == view.stat("jobs", "Targets")
            assert [] == view.rows("jobs", "All jobs")
            assert [] == view.rows("job-manager", "Running executions")


def test_without_the_sidecar_the_kill_links_go(node: Node, tmp_path: Path) -> None:
    """When the sidecar goes down, the executions stay, and the column with their kill links goes."""
    with contextlib.ExitStack() as stack:
        installation = stack.enter_context(installed("north", tmp_path))
        port = free_port()
        file = configure(tmp_path / "exporter", [installation], sidecar_port=port)
        exporter = stack.enter_context(exporting(file))
        sidecar = stack.enter_context(contextlib.ExitStack())
        address = sidecar.enter_context(guarding(file, port))
        (running,) = installation.start(SALES, "sync_customers_2.1")
        scraped = {"dumbella-exporter": exporter.url, "dumbella-sidecar": address}
        views = stack.enter_context(viewing(node, tmp_path, scraped))
        linked = "dumbella_execution_start_timestamp_seconds and on () dumbella_kill_target_info"
        counted = "count_over_time(dumbella_kill_audit_write_errors_total[1m]) > 3"
        for question in (linked, counted):
            poll(lambda: all(view.prometheus.query(question) for view in views))  # noqa: B023 - called at once
        for view in views:
            assert OF_THE_SIDECAR <= _healthy(view, "job-manager") | _healthy(view, "health")
            (row,) = view.rows("job-manager", "Running executions")
            assert ["Kill"] == [link["title"] for link in row["Kill"]["links"]]
        sidecar.close()
        for view in views:
            _has_no_kill_links(view, running)


def _has_no_kill_links(view: View, running: str) -> None:
    eventually(lambda: agree({"Sidecar": ("Down", RED)}, view.stat("job-manager", "Sidecar")))
    for keeps_empty in (True, False):
        (row,) = replace(view, keeps_empty=keeps_empty).rows("job-manager", "Running executions")
        assert running == row["Execution"]["text"]
        assert "Kill" not in row
        assert ["Name"] == [column for column, cell in row.items() if cell["links"]]
    assert not OF_THE_SIDECAR & (_healthy(view, "job-manager") | _healthy(view, "health"))
