"""Simulator, exporter and a real Prometheus as processes: what Dumbella knows is what Prometheus answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter import catalogue
from tests.installation import APPLICATIONS, Exporter, Simulator
from tests.processes import eventually, poll
from tests.prometheus import Prometheus, Sample, scraping

#: The longest that a run of the default scenario may take until it has been seen to start and to end.
EVENTUALLY = 90.0


@pytest.fixture(scope="module")
def prometheus(
    prometheus_binary: Path, exporter: Exporter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the exporter every second."""
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(prometheus_binary, folder, {"dumbella-exporter": exporter.url}) as server:
        yield server


def series_of(metric: catalogue.Metric) -> list[str]:
    """Return the names that a family's series have in Prometheus."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(metric.kind, ("",))
    return [metric.name + suffix for suffix in suffixes]


@pytest.mark.parametrize(
    "name", [name for metric in catalogue.metrics() if metric not in catalogue.SIDECAR for name in series_of(metric)]
)
def test_every_family_of_the_catalogue_arrives(prometheus: Prometheus, name: str) -> None:
    """Every series of the catalogue has samples in Prometheus, and no label that Prometheus had to rename."""

    for sample in poll(lambda: prometheus.query(name), deadline=EVENTUALLY):
        assert sample.labels["job"] == "dumbella-exporter"
        assert not [label for label in sample.labels if label.startswith("exported_")]


def test_scrapes_are_accepted_as_a_whole(prometheus: Prometheus) -> None:
    """Prometheus reports the exporter as up and drops none of its samples."""

    def scraped() -> None:
        (target,) = prometheus.get("targets")["activeTargets"]
        assert target["health"] == "up", target["lastError"]
        assert [sample.value for sample in prometheus.query("up")] == [1]
        (scraped,), (kept,) = (
            prometheus.query(f"scrape_samples_{what}") for what in ("scraped", "post_metric_relabeling")
        )
        assert scraped.value == kept.value > 0

    eventually(scraped)


def test_target_is_up(prometheus: Prometheus) -> None:
    """With a healthy Dumbella the target and all of its collectors are reported as working."""

    def all_up() -> None:
        assert [sample.value for sample in prometheus.query("dumbella_up")] == [1]
        assert {
            (sample.labels["application"], sample.labels["collector"]): sample.value
            for sample in prometheus.query("dumbella_collector_success")
        } == {
            (application, collector): 1
            for application in APPLICATIONS
            for collector in ("jobs", "executions", "results")
        }

    eventually(all_up)


def test_jobs_agree_with_cockpit(simulator: Simulator, prometheus: Prometheus) -> None:
    """Type, execution mode, status, versions and last update of every job are those that Cockpit lists."""

    def agree() -> None:
        listed = {
            (application, str(job["id"])): {
                "name": job["name"].removesuffix(".zip"),
                "type": job["type"],
                "mode": job["execution"].upper(),
                "status": job["status"],
                "current": _text(job["currentVersion"]),
                "published": _text(job["publishedVersion"]),
                "updated": _seconds(job["lastUpdate"]),
            }
            for application in APPLICATIONS
            for job in simulator.jobs(application)
        }
        assert listed == _jobs_in(prometheus)
        assert {application for application, _ in listed} == set(APPLICATIONS)

    eventually(agree)


def _jobs_in(prometheus: Prometheus) -> dict[tuple[str, str], dict[str, Any]]:
    jobs: dict[tuple[str, str], dict[str, Any]] = {}

    def note(expression: str, **columns: str) -> None:
        for sample in prometheus.query(expression):
            job = jobs.setdefault(_key(sample), {"updated": None})
            job.update({column: sample.labels.get(label, "") for column, label in columns.items()})

    note("dumbella_job_info == 1", name="job_name", type="job_type", mode="execution_mode")
    note("dumbella_job_status == 1", status="status")
    note("dumbella_job_version_info == 1", current="current_version", published="published_version")
    for sample in prometheus.query("dumbella_job_last_update_timestamp_seconds"):
        jobs[_key(sample)]["updated"] = sample.value
    return jobs


def _key(sample: Sample) -> tuple[str, str]:
    return sample.labels["application"], sample.labels["job_id"]


def _text(version: int | None) -> str:
    return "" if version is None else str(version)


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else dt.datetime.fromisoformat(moment).timestamp()


def test_versions_compare_in_promql(simulator: Simulator, prometheus: Prometheus) -> None:
    """A query for current versions above the published ones finds the jobs that were uploaded and not published."""

    def agree() -> None:
        found = prometheus.query("dumbella_job_current_version > dumbella_job_published_version")
        assert {_key(sample) for sample in found} == {
            (application, str(job["id"]))
            for application in APPLICATIONS
            for job in simulator.jobs(application)
            if None not in {job["currentVersion"], job["publishedVersion"]}
            and job["currentVersion"] > job["publishedVersion"]
        }
        assert found

    eventually(agree)


def test_errors_show_their_first_line(simulator: Simulator, prometheus: Prometheus) -> None:
    """A job in status ERROR carries the first line of what Cockpit shows, and no other job does."""

    def agree() -> None:
        listed = {
            (application, str(job["id"])): job["error"].splitlines()[0]
            for application in APPLICATIONS
            for job in simulator.jobs(application)
            if job["status"] == "ERROR"
        }
        errors = prometheus.query("dumbella_job_error_info")
        shown = {_key(sample): sample.labels["error"] for sample in errors}
        assert listed.keys() == shown.keys()
        for key, error in shown.items():
            assert len(error) <= 160
            assert listed[key].startswith(error.removesuffix("…"))

    eventually(agree)


def test_running_executions_agree_with_cockpit(simulator: Simulator, prometheus: Prometheus) -> None:
    """Every running execution has its start, and every job the number of its executions and the oldest start."""

    def agree() -> None:
        listed = {
            (application, str(run["jobId"]), run["executionId"]): _seconds(run["startDate"])
            for application in APPLICATIONS
            for run in simulator.executions(application)
        }
        assert listed == {
            (*_key(sample), sample.labels["execution_id"]): sample.value
            for sample in prometheus.query("dumbella_execution_start_timestamp_seconds")
        }
        starts: dict[tuple[str, str], list[float | None]] = {}
        for (application, job_id, _), start in listed.items():
            starts.setdefault((application, job_id), []).append(start)
        assert starts
        assert {key: len(moments) for key, moments in starts.items()} == {
            _key(sample): sample.value for sample in prometheus.query("dumbella_job_running_executions > 0")
        }
        assert {key: min(filter(None, moments)) for key, moments in starts.items()} == {
            _key(sample): sample.value
            for sample in prometheus.query("dumbella_job_oldest_running_execution_start_timestamp_seconds")
        }

    eventually(agree, deadline=EVENTUALLY)
