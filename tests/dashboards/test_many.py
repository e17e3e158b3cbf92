"""Five hundred jobs: every one has its row, and what cannot show them all shows the worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.node import Node
from tests.dashboards.view import View
from tests.dashboards.world import SALES, STOCK, Installation, configure, installed
from tests.installation import exporting
from tests.processes import poll
from tests.prometheus import scraping


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    """An installation with 500 jobs besides its 15, and the address of an exporter that reads it."""
    folder = tmp_path_factory.mktemp("many")
    with (
        installed("north", folder, "--jobs", "500") as installation,
        exporting(configure(folder / "exporter", [installation])) as exporter,
    ):
        yield installation, exporter.url


@pytest.fixture(scope="module")
def view(
    many: tuple[Installation, str], prometheus_binary: Path, node: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[View]:
    """A view of them."""
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(prometheus_binary, folder, {"dumbella-exporter": many[1]}) as prometheus:
        poll(lambda: len(prometheus.query("count_over_time(dumbella_job_info[1m]) > 3")) == 515)
        yield View(prometheus, node)


def test_each_of_500_jobs_has_its_row(many: tuple[Installation, str], view: View) -> None:
    """The table has a row for each job, the number of jobs is theirs, and every status is right."""
    installation, _ = many
    jobs = [job for application in (SALES, STOCK) for job in installation.jobs(application)]
    assert 515 == len(jobs) == view.number("jobs", "Jobs")
    shown = view.texts("jobs", "All jobs", "Id", "Application", "Status")
    assert {(str(job["id"]), job["application"], job["status"].capitalize()) for job in jobs} == set(shown)
    assert 515 == len(shown)
    in_error = Counter(job["status"] for job in jobs)["ERROR"]
    assert in_error == view.number("jobs", "In error")
    assert {"Error"} == {status for _, _, status in shown[:in_error]}


def test_the_timeline_shows_the_worst(view: View) -> None:
    """Of 500 jobs the thirty with the worst statuses are in the timeline."""
    frames = view.frames("jobs", "Status over time")
    assert 30 == len(frames)
    worst = sorted((row["Status"]["value"] for row in view.rows("jobs", "All jobs")), reverse=True)[:30]
    assert worst == sorted((frame["rows"][-1][frame["columns"][-1]]["value"] for frame in frames), reverse=True)


def test_failures_show_the_most(view: View) -> None:
    """Of 500 jobs ten are in the panels of failures."""
    assert 10 == len(view.frames("jobs", "Failures per job"))
    assert 10 == len(view.frames("jobs", "Failures over time"))
