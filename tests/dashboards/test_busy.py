"""Two installations with the same applications, two exporters and a sidecar: what real dashboards show of them."""

from __future__ import annotations

import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.catalogue import error_summary
from tests import loopback
from tests.dashboards.files import UIDS, load, panel, panels
from tests.dashboards.node import Node
from tests.dashboards.view import View
from tests.dashboards.world import ODD, SALES, SHARED, SLOW, STOCK, Installation, World, busy_world
from tests.processes import eventually, poll
from tests.prometheus import scraping

#: Runs that each Prometheus sees from their beginning to their end.
DONE, FAILED = 2, 1
LOADING = "load_orders_0.1"

RED, AMBER, PURPLE, BLUE, TEAL, GREY = "#C4162A", "#A85A00", "#8F3BB8", "#1F60C4", "#0B7285", "#5F6673"
STATUS_COLOURS = {
    "Error": RED,
    "Restarted": AMBER,
    "Stopped": PURPLE,
    "Deleted": GREY,
    "Started": BLUE,
    "Enabled": TEAL,
    "Disabled": GREY,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The installations, exporters and the sidecar."""
    with busy_world(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(scope="module")
def view(world: World, prometheus_binary: Path, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """A view of everything, once Prometheus has seen a few runs from their beginning to their end."""
    with scraping(prometheus_binary, tmp_path_factory.mktemp("prometheus"), world.scraped) as prometheus:
        seen = f'count(dumbella_job_executions_finished_total{{job_name="{LOADING}"}})'
        poll(lambda: [each.value for each in prometheus.query(seen)] == [4 * 2 * 2])
        loading = world.north.id(SALES, "load_orders_0.1.zip")
        world.north.alter(SALES, loading, mode="PARALLEL")
        begun = world.north.start(SALES, loading, count=DONE)
        begun += world.north.start(SALES, loading, count=FAILED, exit_code=1)
        starts = f'count(dumbella_execution_start_timestamp_seconds{{execution_id=~"{"|".join(begun)}"}})'
        # Both exporters see all of them before they end.
        poll(lambda: [each.value for each in prometheus.query(starts)] == [(DONE + FAILED) * 2])
        for execution_id in begun:
            world.north.simulator.finish(execution_id)
        ended = f'increase(dumbella_job_executions_finished_total{{job_id="{loading}", outcome=~"done|error"}}[5m]) > 0'
        poll(lambda: len(prometheus.query(ended)) == 2 * 2)
        # Increases are extrapolated by up to a scrape, which counts one run of three too many where scrapes are few.
        counted = f'count_over_time(dumbella_job_executions_started_total{{job_id="{loading}"}}[5m]) >= 10'
        poll(lambda: len(prometheus.query(counted)) == 2 * 2)
        running = "dumbella_execution_start_timestamp_seconds"
        poll(lambda: len(prometheus.query(running)) == 6 * 2)
        poll(lambda: len(prometheus.query("dumbella_kill_target_info")) == 1)
        yield View(prometheus, node)


def agree(expected: object, actual: object) -> None:
    """Assert that two things are equal; to be repeated while they need not be yet."""
    assert expected == actual


@pytest.mark.parametrize("name", UIDS)
def test_every_question_has_an_answer(view: View, world: World, name: str) -> None:
    """Prometheus understands every expression, and every panel has data but those about what has not happened."""
    view = view.selecting(job_name=LOADING, job_id=world.north.id(SALES, "load_orders_0.1.zip"))
    without = {
        each["title"]
        for each in panels(load(name))
        if each["type"] != "text" and not any(answer["series"] for answer in view.ask(each))
    }
    expected = {
        "jobs": set(),
        "job-manager": set(),
        "job": {"Against what is allowed", "Next success due in", "Running against usual"},
        "health": {
            "API failures by reason",
            "Authentication failures",
            "Dropped jobs and executions",
            "Firing alerts",
            "Kill requests by outcome",
            "Mapping errors and unknown values",
        },
    }[name]
    assert expected == without


@pytest.mark.parametrize("name", UIDS)
def test_every_mark_has_a_question(view: View, name: str) -> None:
    """Prometheus understands the expressions of annotations."""
    for annotation in load(name)["annotations"]["list"]:
        view.prometheus.query(view.selecting(job_name=LOADING).interpolate(annotation["expr"]))


def test_variables_offer_what_there_is(view: View, world: World) -> None:
    """A person can choose among scrape jobs, instances, targets, applications, and on one dashboard jobs and ids."""
    job = load("job")
    assert ["dumbella-exporter", "dumbella-exporter-other", "dumbella-sidecar"] == view.values(job, "job")
    assert 3 == len(view.values(job, "instance"))
    assert ["north", "south"] == view.values(job, "target")
    assert [SALES, STOCK] == view.values(job, "application")
    assert ODD in view.values(job, "job_name")
    assert [world.north.id(SALES, ODD)] == view.selecting(job_name=ODD).values(job, "job_id")
    assert [world.sidecar] == view.values(load("job-manager"), "kill_url")


def test_numbers_of_jobs_are_right(view: View) -> None:
    """Each number of the Jobs dashboard is what there is, once, although two exporters report it."""
    assert {"Exporter": ("Up", BLUE)} == view.stat("jobs", "Exporter")
    assert {"north": ("Up", BLUE), "south": ("Up", BLUE)} == view.stat("jobs", "Targets")
    shown = {
        title: view.number("jobs", title)
        for title in ("Jobs", "Running", "In error", "Services not running", "Versions outdated")
    }
    assert {
        "Jobs": 33,
        "Running": 6,
        "In error": 4,
        "Services not running": 4,
        "Versions outdated": 5,
    } == shown


def test_two_exporters_show_what_one_shows(view: View) -> None:
    """With one of two exporters chosen, every table and number of Jobs and Job Manager is the same."""
    one = view.selecting(job=["dumbella-exporter", "dumbella-sidecar"])
    for title in ("Jobs", "Running", "In error", "Services not running", "Versions outdated"):
        assert view.number("jobs", title) == one.number("jobs", title)
    columns = ("Name", "Target", "Application", "Id", "Status", "Running")
    assert sorted(view.texts("jobs", "All jobs", *columns)) == sorted(one.texts("jobs", "All jobs", *columns))
    executions = ("job-manager", "Running executions", "Target", "Execution", "Started")
    assert sorted(view.texts(*executions)) == sorted(one.texts(*executions))
    assert {("north", SALES): 4, ("north", STOCK): 1, ("south", SALES): 1, ("south", STOCK): 0} == view.numbers(
        "job-manager", "Concurrency", "target", "application"
    )


def _expected_row(installation: Installation, application: str, job: dict[str, object]) -> dict[str, str]:
    current, published = (
        "" if job[f"{which}_version"] is None else str(job[f"{which}_version"]) for which in ("current", "published")
    )
    differs = current != "" and published not in {"", current}
    return {
        "Name": str(job["name"]).removesuffix(".zip"),
        "Application": application,
        "Type": str(job["type"]).capitalize(),
        "Status": str(job["status"]).capitalize(),
        "Execution": str(job["mode"]).capitalize(),
        "Current version": current,
        "Published version": f"{published} not current" if differs else published,
        "Error": error_summary(str(job["error"] or "")) if job["status"] == "ERROR" else "",
        "Target": installation.name,
        "Id": str(job["id"]),
    }


def test_every_job_has_its_row(view: View, world: World) -> None:
    """The table of jobs shows of every job what Cockpit's page shows of it, and nothing else."""
    expected = [
        _expected_row(installation, application, dict(job))
        for installation in (world.north, world.south)
        for application in (SALES, STOCK)
        for job in installation.jobs(application)
    ]
    columns = tuple(expected[0])
    shown = view.texts("jobs", "All jobs", *columns)
    assert sorted(tuple(row.values()) for row in expected) == sorted(shown)


def test_columns_are_those_of_cockpit_in_order(view: View) -> None:
    """The table of jobs has its columns from left to right, and no other."""
    (frame,) = view.frames("jobs", "All jobs")
    assert [
        "Name",
        "Application",
        "Type",
        "Status",
        "Execution",
        "Current version",
        "Published version",
        "Last update",
        "Running",
        "Runs in range",
        "Error",
        "Target",
        "Id",
    ] == frame["columns"]


def test_trouble_comes_first(view: View) -> None:
    """Jobs are sorted by how bad their status is."""
    statuses = [status for (status,) in view.texts("jobs", "All jobs", "Status")]
    order = ["Error", "Restarted", "Stopped", "Deleted", "Started", "Enabled", "Disabled"]
    assert order == list(dict.fromkeys(statuses))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_status_has_one_colour_in_every_theme(view: View, theme: str) -> None:
    """Every status has its colour beside its text, the same on dark and on light."""
    rows = replace(view, theme=theme).rows("jobs", "All jobs")
    assert STATUS_COLOURS == {row["Status"]["text"]: row["Status"]["colour"] for row in rows}


def test_versions_that_differ_are_marked(view: View) -> None:
    """A published version that is not the current one says so and is coloured, and no other is."""
    rows = view.selecting(target="north").rows("jobs", "All jobs")
    marked = {row["Name"]["text"]: row["Published version"]["text"] for row in rows if _is_marked(row)}
    assert {"count_stock_0.4": "8 not current", "stock_feed_0.1": "2 not current", ODD: "2 not current"} == marked


def _is_marked(row: dict[str, dict[str, str]]) -> bool:
    return row["Published version"]["colour"] == AMBER


def test_two_targets_with_the_same_application_stay_apart(view: View) -> None:
    """The same application and job names in two installations are two sets of rows, and can be chosen one by one."""
    south = view.selecting(target="south")
    assert 15 == south.number("jobs", "Jobs")
    assert 1 == south.number("jobs", "Running")
    rows = [row for row in view.rows("jobs", "All jobs") if row["Name"]["text"] == "sync_customers_2.1"]
    assert {"north": "0", "south": "1"} == {row["Target"]["text"]: row["Running"]["text"] for row in rows}
    assert {"south"} == {target for (target,) in south.texts("jobs", "All jobs", "Target")}


def test_two_applications_with_the_same_job_names_stay_apart(view: View) -> None:
    """Jobs of the same name in two applications have their own rows and numbers."""
    rows = [row for row in view.rows("jobs", "All jobs") if row["Name"]["text"] == SHARED]
    assert {SALES: "2", STOCK: "1"} == {row["Application"]["text"]: row["Running"]["text"] for row in rows}
    stock = view.selecting(application=STOCK)
    assert [(STOCK,)] == [
        (application,) for application, name in stock.texts("jobs", "All jobs", "Application", "Name") if name == SHARED
    ]


def test_a_deleted_job_stays_beside_its_live_namesake(view: View, world: World) -> None:
    """A deleted job and a live one of the same name are two rows, each with its own id and status."""
    north = view.selecting(target="north")
    shown = north.texts("jobs", "All jobs", "Name", "Status", "Id", "Current version", "Published version")
    assert {
        ("import_leads_0.1", "Deleted", world.north.id(SALES, "import_leads_0.1.zip"), "", "3"),
        ("import_leads_0.1", "Enabled", world.north.id(SALES, "import_leads_0.1"), "0", "0"),
    } == {row for row in shown if row[0] == "import_leads_0.1"}


def test_runs_are_counted_once(view: View, world: World) -> None:
    """Runs in range, and failures, are what happened, although two exporters counted it."""
    north = view.selecting(target="north")
    runs = {name: runs for name, runs in north.texts("jobs", "All jobs", "Name", "Runs in range") if runs != "0"}
    assert {LOADING: "3"} == runs
    failures = north.numbers("jobs", "Failures per job", "job_name", "job_id")
    loading = world.north.id(SALES, "load_orders_0.1.zip")
    assert {(LOADING, loading): 1} == {key: count for key, count in failures.items() if count}


def follow(row: dict[str, object], column: str) -> dict[str, list[str]]:
    """Return the parameters of the one link of a cell that leads to another dashboard."""
    (link,) = row[column]["links"]  # type: ignore[index] # a test fails
    address = urllib.parse.urlsplit(link["href"])
    assert "/d/dumbella-job" == address.path
    return urllib.parse.parse_qs(address.query, strict_parsing=True)


@pytest.mark.parametrize("source", [("jobs", "All jobs"), ("job-manager", "Running executions")])
def test_a_name_leads_to_its_job(view: View, world: World, source: tuple[str, str]) -> None:
    """A job's name opens its dashboard, with time range, selection and exactly that job, whatever its name holds."""
    view = view.selecting(job="dumbella-exporter")
    (row,) = (row for row in view.rows(*source) if row["Name"]["text"] == ODD)
    parameters = follow(row, "Name")
    assert {
        "from": ["now-1h"],
        "to": ["now"],
        "var-datasource": ["prometheus"],
        "var-job": ["dumbella-exporter"],
        "var-instance": ["$__all"],
        "var-target": ["north"],
        "var-application": [SALES],
        "var-job_name": [ODD],
        "var-job_id": [world.north.id(SALES, ODD)],
    } == parameters
    opened = view.selecting(
        **{name.removeprefix("var-"): values for name, values in parameters.items() if name.startswith("var-")}
    )
    (shown,) = opened.texts("job", "Facts", "Name", "Target", "Application", "Id", "Status")
    assert (ODD, "north", SALES, world.north.id(SALES, ODD), "Enabled") == shown
    assert 1 == opened.number("job", "Running now")


def test_running_executions_are_those_of_cockpit(view: View, world: World) -> None:
    """The Job Manager shows every execution in progress with its start, name, ids and how long it has run."""
    expected = {
        (installation.name, run["application"], run["job_name"], str(run["job_id"]), run["execution_id"])
        for installation in (world.north, world.south)
        for run in installation.history()
        if run["started_at"] and not run["ended_at"]
    }
    shown = view.texts("job-manager", "Running executions", "Target", "Application", "Name", "Id", "Execution")
    assert 6 == len(shown)
    assert expected == set(shown)
    for row in view.rows("job-manager", "Running executions"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row["Start date"]["text"])
        assert re.fullmatch(r"00:\d\d:\d\d", row["Running for"]["text"])


def test_the_longest_running_come_first(view: View) -> None:
    """Executions are sorted by how long they have been running."""
    durations = [row["Running for"]["value"] for row in view.rows("job-manager", "Running executions")]
    assert sorted(durations, reverse=True) == durations


def test_the_kill_link_names_exactly_that_run(view: View, world: World) -> None:
    """Kill opens the sidecar's page in a new tab, for that execution and its start, and the sidecar shows that run."""
    # The installations are so alike that both have an execution with this id.
    rows = view.selecting(target="north").rows("job-manager", "Running executions")
    (row,) = (row for row in rows if row["Execution"]["text"] == world.hanging)
    started = round(world.north.started_at(world.hanging) * 1000)
    (link,) = row["Kill"]["links"]
    assert "_blank" == link["target"]
    assert "Kill" == link["title"]
    address, _, query = link["href"].partition("?")
    assert f"{world.sidecar}/kill" == address
    names, values = zip(*urllib.parse.parse_qsl(query, strict_parsing=True), strict=True)
    assert ("target", "application", "execution", "started", "from") == names
    assert ("north", SALES, world.hanging) == values[:3]
    assert "dumbella-job-manager" == values[4]
    # Cockpit and Prometheus keep milliseconds, the sidecar compares seconds.
    assert started == pytest.approx(int(values[3]), abs=1)
    page = loopback.get(link["href"])
    assert 200 == page.status_code
    assert world.hanging in page.text


def test_only_served_targets_have_kill_links(view: View) -> None:
    """Where the sidecar does not serve a target, the rows are there, with nothing to click under Kill."""
    rows = view.rows("job-manager", "Running executions")
    titles = {(row["Target"]["text"], link["title"]) for row in rows for link in row["Kill"]["links"]}
    assert {("north", "Kill"), ("south", "")} == titles
    assert {"north": {"Kill"}, "south": {""}} == {
        target: {row["Kill"]["text"] for row in rows if row["Target"]["text"] == target}
        for target in ("north", "south")
    }


def test_numbers_of_the_job_manager_are_right(view: View) -> None:
    """The Job Manager counts what runs and what runs for too long, and shows the sidecar."""
    assert 6 == view.number("job-manager", "Running")
    assert 1 == view.number("job-manager", "Past expected runtime")
    assert {"Sidecar": ("Up", BLUE)} == view.stat("job-manager", "Sidecar")
    longest = view.number("job-manager", "Longest running")
    (first, *_) = view.rows("job-manager", "Running executions")
    assert longest == pytest.approx(first["Running for"]["value"], abs=5)
    ((shown, _),) = view.stat("job-manager", "Data updated at").values()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown)


def test_a_job_is_compared_with_itself(view: View) -> None:
    """The Job dashboard shows how its runs ended, how long they took, and how that is usual."""
    job = view.selecting(job_name=LOADING, job_id="$__all", target="north")
    (runs,) = job.ask(panel(load("job"), "Runs by outcome"))
    ended = {each["labels"]["outcome"] for each in runs["series"] if any(value > 0 for _, value in each["points"])}
    assert {"done", "error"} == ended
    assert 2 / 3 == pytest.approx(job.number("job", "Success ratio"), abs=0.02)
    durations = {name: text for name, (text, _) in job.stat("job", "Durations").items()}
    assert {"last", "usual"} == set(durations)
    assert 1 == pytest.approx(job.number("job", "Last run against usual"), abs=0.9)
    assert 0 == job.number("job", "Running now")
    last = job.number("job", "Last success")
    assert last is not None


def test_expectations_are_compared(view: View) -> None:
    """A job with an expectation is shown against it: late if it runs for longer than allowed."""
    slow = view.selecting(job_name=SLOW, target="north")
    ratio = slow.number("job", "Against what is allowed")
    assert ratio is not None
    assert ratio > 1
    ((_, colour),) = slow.stat("job", "Against what is allowed").values()
    assert RED == colour
    due = slow.number("job", "Next success due in")
    assert due is not None
    assert 0 < due <= 3600


def test_health_tells_what_to_trust(view: View) -> None:
    """With everything in order the health dashboard says so, number by number."""
    assert {"Exporter": ("Up", BLUE)} == view.stat("health", "Exporter")
    assert {"north": ("Up", BLUE), "south": ("Up", BLUE)} == view.stat("health", "Targets")
    assert 0 == view.number("health", "Collectors failing")
    assert 0 == view.number("health", "Dropped")
    ((shown, colour),) = view.stat("health", "Mode").values()
    assert ("Dry run: nothing is killed", AMBER) == (shown, colour)
    ((shown, colour),) = view.stat("health", "Configuration").values()
    assert ("Accepted", BLUE) == (shown, colour)
    assert 0 == view.number("health", "Audit write errors")
    durations = view.stat("health", "Read duration")
    assert {"north", "south", "interval", "timeout"} == set(durations)
    assert "1 s" == durations["interval"][0] == durations["timeout"][0]
    age = view.number("health", "Data age")
    assert age is not None
    assert age < 30


def test_the_timeline_has_a_row_for_each_job(view: View) -> None:
    """Jobs of the same name are apart in the timeline, of which there are at most thirty."""
    names = [frame["columns"][-1] for frame in view.frames("jobs", "Status over time")]
    assert 30 == len(names)
    assert {1} == set(Counter(names).values())


def test_what_is_published_is_marked(view: View, world: World) -> None:
    """Publishing a version marks that moment, once for both exporters."""
    (publications,) = (each for each in load("jobs")["annotations"]["list"] if each["name"] == "Publications")
    name = f"published_{len(world.north.jobs(STOCK))}_0.1"
    job = world.north.add(STOCK, name, current_version=2, published_version=1)
    poll(lambda: len(view.prometheus.query(f'dumbella_job_published_version{{job_id="{job}"}}')) == 2)
    world.north.simulator.control("POST", "publish", json={"application": STOCK, "job": job})
    asked = view.interpolate(publications["expr"])
    eventually(lambda: agree([job], [sample.labels["job_id"] for sample in view.prometheus.query(asked)]))
    world.north.simulator.control("DELETE", f"jobs/{STOCK}/{job}")
    poll(lambda: not view.prometheus.query(f'dumbella_job_info{{job_id="{job}"}}'))
