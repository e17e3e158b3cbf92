"""The catalogue: facts in, exposition text out; and rules that every declaration keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exporter import catalogue
from exporter.config import Expectation
from exporter.model import Execution
from exporter.observe import Durations, Exemplar, History
from exporter.sidecar.outcomes import OUTCOMES
from exporter.snapshot import Running
from tests.views import JOB_TEXT, a_job, a_snapshot, a_view, an_application, lines_of, page_of

METRICS = list(catalogue.metrics())


@pytest.mark.parametrize(
    ("facts", "family", "expected"),
    [
        ({}, "dumbella_job_info", [f'dumbella_job_info{{{JOB_TEXT},job_type="JOB",execution_mode="SEQUENTIAL"}} 1']),
        (
            {"current_version": "3", "published_version": ""},
            "dumbella_job_version_info",
            [f'dumbella_job_version_info{{{JOB_TEXT},current_version="3",published_version=""}} 1'],
        ),
        ({"current_version": "12"}, "dumbella_job_current_version", [f"dumbella_job_current_version{{{JOB_TEXT}}} 12"]),
        ({"current_version": "0"}, "dumbella_job_current_version", [f"dumbella_job_current_version{{{JOB_TEXT}}} 0"]),
        ({"current_version": ""}, "dumbella_job_current_version", []),
        ({"current_version": "1.2-beta"}, "dumbella_job_current_version", []),
        ({"current_version": "9" * 400}, "dumbella_job_current_version", []),
        ({"current_version": "٣"}, "dumbella_job_current_version", []),
        (
            {"published_version": "2"},
            "dumbella_job_published_version",
            [f"dumbella_job_published_version{{{JOB_TEXT}}} 2"],
        ),
        (
            {"status": "STOPPED"},
            "dumbella_job_status",
            [
                f'dumbella_job_status{{{JOB_TEXT},status="{status}"}} {int(status == "STOPPED")}'
                for status in (
                    "DISABLED",
                    "ENABLED",
                    "STOPPED",
                    "STARTED",
                    "RESTARTED",
                    "ERROR",
                    "DELETED",
                    "UNKNOWN",
                )
            ],
        ),
        (
            {"status": "ERROR", "error": "\n java.io.IOException:\tdisk  full\n\tat x.Y(Y.java:1)"},
            "dumbella_job_error_info",
            [f'dumbella_job_error_info{{{JOB_TEXT},error="java.io.IOException: disk full"}} 1'],
        ),
        ({"status": "ERROR"}, "dumbella_job_error_info", [f'dumbella_job_error_info{{{JOB_TEXT},error=""}} 1']),
        ({"status": "STARTED", "error": "long gone"}, "dumbella_job_error_info", []),
        (
            {"last_update": 1763900000.5},
            "dumbella_job_last_update_timestamp_seconds",
            [f"dumbella_job_last_update_timestamp_seconds{{{JOB_TEXT}}} 1763900000.5"],
        ),
        ({}, "dumbella_job_last_update_timestamp_seconds", []),
        (
            {"status": "STARTED", "started_at": 1763900000.0},
            "dumbella_job_service_start_timestamp_seconds",
            [f"dumbella_job_service_start_timestamp_seconds{{{JOB_TEXT}}} 1763900000"],
        ),
        ({"status": "STOPPED", "started_at": 1763900000.0}, "dumbella_job_service_start_timestamp_seconds", []),
    ],
)
def test_job_facts_in_text_out(facts: dict[str, Any], family: str, expected: list[str]) -> None:
    """What Cockpit says of a job appears in its families, and what it does not say does not."""
    assert expected == lines_of(page_of(a_snapshot([a_view(a_job(**facts))])), family)


@pytest.mark.parametrize(
    ("facts", "family", "expected"),
    [
        (
            {"running": Running(2, 1763900000.0)},
            "dumbella_job_running_executions",
            [f"dumbella_job_running_executions{{{JOB_TEXT}}} 2"],
        ),
        ({}, "dumbella_job_running_executions", [f"dumbella_job_running_executions{{{JOB_TEXT}}} 0"]),
        ({"running": None}, "dumbella_job_running_executions", []),
        (
            {"running": Running(2, 1763900000.0)},
            "dumbella_job_oldest_running_execution_start_timestamp_seconds",
            [f"dumbella_job_oldest_running_execution_start_timestamp_seconds{{{JOB_TEXT}}} 1763900000"],
        ),
        ({}, "dumbella_job_oldest_running_execution_start_timestamp_seconds", []),
        (
            {"history": History(started=4)},
            "dumbella_job_executions_started_total",
            [f"dumbella_job_executions_started_total{{{JOB_TEXT}}} 4"],
        ),
        (
            {"history": History(outcomes=(5, 3, 0, 1))},
            "dumbella_job_executions_finished_total",
            [
                f'dumbella_job_executions_finished_total{{{JOB_TEXT},outcome="done"}} 5',
                f'dumbella_job_executions_finished_total{{{JOB_TEXT},outcome="error"}} 3',
                f'dumbella_job_executions_finished_total{{{JOB_TEXT},outcome="killed"}} 0',
                f'dumbella_job_executions_finished_total{{{JOB_TEXT},outcome="unresolved"}} 1',
            ],
        ),
        (
            {"history": History(duration_sum=12.5, duration_count=2)},
            "dumbella_job_execution_duration_seconds",
            [
                f"dumbella_job_execution_duration_seconds_sum{{{JOB_TEXT}}} 12.5",
                f"dumbella_job_execution_duration_seconds_count{{{JOB_TEXT}}} 2",
            ],
        ),
        (
            {"history": History(last_start=1.0, last_end=8.5, last_duration=7.5, last_success=8.5)},
            r"dumbella_job_last_(execution|success)\w+",
            [
                f"dumbella_job_last_execution_start_timestamp_seconds{{{JOB_TEXT}}} 1",
                f"dumbella_job_last_execution_end_timestamp_seconds{{{JOB_TEXT}}} 8.5",
                f"dumbella_job_last_execution_duration_seconds{{{JOB_TEXT}}} 7.5",
                f"dumbella_job_last_success_timestamp_seconds{{{JOB_TEXT}}} 8.5",
            ],
        ),
        ({}, r"dumbella_job_last_(execution|success)\w+", []),
        (
            {"history": History(status_changes=2)},
            "dumbella_job_status_changes_total",
            [f"dumbella_job_status_changes_total{{{JOB_TEXT}}} 2"],
        ),
        (
            {"expectation": Expectation(max_runtime=2700.0, success_every=None)},
            "dumbella_job_max_runtime_seconds",
            [f"dumbella_job_max_runtime_seconds{{{JOB_TEXT}}} 2700"],
        ),
        (
            {"expectation": Expectation(max_runtime=2700.0, success_every=None)},
            "dumbella_job_success_interval_seconds",
            [],
        ),
        (
            {"expectation": Expectation(success_every=93600.0)},
            "dumbella_job_success_interval_seconds",
            [f"dumbella_job_success_interval_seconds{{{JOB_TEXT}}} 93600"],
        ),
        ({"error_detail": False}, "dumbella_job_error_info", []),
    ],
)
def test_observations_in_text_out(facts: dict[str, Any], family: str, expected: list[str]) -> None:
    """What runs, what was observed and what is expected of a job appears in its families."""
    assert expected == lines_of(page_of(a_snapshot([a_view(**facts)])), family)


def test_error_detail_can_be_turned_off() -> None:
    """With error_detail: false no text of an error leaves the exporter."""
    view = a_view(a_job(status="ERROR", error="password=hunter2"), error_detail=False)
    assert [] == lines_of(page_of(a_snapshot([view])), "dumbella_job_error_info")


def test_a_long_error_is_cut() -> None:
    """An error's first line is cut to 160 characters, the last of which says that it was cut."""
    summary = catalogue.error_summary("x" * 500 + "\nsecond line")
    assert "x" * 159 + "…" == summary


def test_executions_in_text_out() -> None:
    """An execution in progress has a series of its own with its start."""
    row = Execution("K7SALES", "e-1", "41000000000001", "load_orders_0.1", 1763900000.25)
    expected = [f'dumbella_execution_start_timestamp_seconds{{{JOB_TEXT},execution_id="e-1"}} 1763900000.25']
    assert expected == lines_of(page_of(a_snapshot(executions=[row])), "dumbella_execution_start_timestamp_seconds")


def test_application_facts_in_text_out() -> None:
    """An application's families tell what failed, what was dropped and since when it is observed."""
    view = an_application(collector_success={"jobs": True, "executions": False}, jobs=7)
    page = page_of(a_snapshot(applications=[view]))
    where = 'target="production",application="K7SALES"'
    assert [
        f'dumbella_collector_success{{{where},collector="jobs"}} 1',
        f'dumbella_collector_success{{{where},collector="executions"}} 0',
    ] == lines_of(page, "dumbella_collector_success")
    assert [f"dumbella_jobs{{{where}}} 7"] == lines_of(page, "dumbella_jobs")
    assert [f"dumbella_snapshot_timestamp_seconds{{{where}}} 1763900000"] == lines_of(
        page, "dumbella_snapshot_timestamp_seconds"
    )
    assert ['dumbella_up{target="production"} 1'] == lines_of(page, "dumbella_up")
    assert ['dumbella_read_duration_seconds{target="production"} 0.25'] == lines_of(
        page, "dumbella_read_duration_seconds"
    )


def test_histogram_is_cumulative_and_has_exemplars_in_openmetrics_only() -> None:
    """Buckets count everything up to their bound; the execution that fell into one is named in OpenMetrics."""
    durations = Durations().add(0.5, Exemplar("e-1", 0.5, 1763900000.0)).add(1e6, Exemplar("e-2", 1e6, 1763900001.0))
    snapshot = a_snapshot(applications=[an_application(durations=durations)])
    where = 'target="production",application="K7SALES"'
    name = "dumbella_execution_duration_seconds"
    text = lines_of(page_of(snapshot), name)
    assert f'{name}_bucket{{{where},le="1.0"}} 1' == text[0]
    assert [
        f'{name}_bucket{{{where},le="+Inf"}} 2',
        f"{name}_count{{{where}}} 2",
        f"{name}_sum{{{where}}} 1000000.5",
    ] == (text[-3:])
    openmetrics = lines_of(page_of(snapshot, "openmetrics"), name)
    assert f'{name}_bucket{{{where},le="1.0"}} 1 # {{execution_id="e-1"}} 0.5 1763900000.000' == openmetrics[0]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
class TestRules:
    """Rules that hold for every metric of the catalogue."""

    RESERVED = frozenset({"job", "instance", "type", "service", "env", "cluster", "le", "quantile"})

    def test_label_names(self, metric: catalogue.Metric) -> None:
        """No label has a name that belongs to Prometheus, or that relabelling usually claims."""
        assert set() == self.RESERVED & set(metric.labels)
        assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in metric.labels)

    def test_suffixes(self, metric: catalogue.Metric) -> None:
        """Only counters end in _total, only info metrics in _info, and moments in _timestamp_seconds."""
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert (metric.kind == "info") == metric.name.endswith("_info")
        assert ("timestamp" in metric.name) == metric.name.endswith("_timestamp_seconds")

    def test_help(self, metric: catalogue.Metric) -> None:
        """Every HELP is a sentence on one line."""
        assert re.fullmatch(r"[A-Z0-9][^\n]+\.", metric.help)


def test_names_are_unique() -> None:
    """No two declarations have the same name."""
    names = [metric.name for metric in METRICS]
    assert sorted(set(names)) == sorted(names)


def test_kills_are_counted_by_every_outcome_that_is_final() -> None:
    """A kill is counted under the words that pages, API and audit use, except while it is still in progress."""
    assert tuple(outcome for outcome in OUTCOMES if outcome != "requested") == catalogue.KILL_REQUESTS.values
