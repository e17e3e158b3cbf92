"""Facts for tests: small constructors with invented names, everything else at its default."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from exporter.catalogue import JOB_LABELS
from exporter.exposition import Format, Page, TargetBlocks, build_page
from exporter.model import Execution, Job
from exporter.observe import Durations, History
from exporter.snapshot import ApplicationView, ExecutionView, JobView, Running, Snapshot, TargetView


def a_job(job_id: str = "41000000000001", **facts: Any) -> Job:
    """Return an enabled job of K7SALES."""
    facts = {
        "name": "load_orders_0.1",
        "job_type": "JOB",
        "status": "ENABLED",
        "execution_mode": "SEQUENTIAL",
        **facts,
    }
    return Job("K7SALES", job_id, **facts)


def a_view(job: Job | None = None, **facts: Any) -> JobView:
    """Return the view of a job of which nothing runs and nothing was observed."""
    facts = {"running": Running(0, None), "history": History(), "expectation": None, "error_detail": True, **facts}
    return JobView("production", job if job is not None else a_job(), **facts)


def an_application(**facts: Any) -> ApplicationView:
    """Return the view of an application without jobs that was read well."""
    facts = {
        "collector_success": {"jobs": True, "executions": True},
        "read_at": 1_763_900_000.0,
        "jobs": 0,
        "jobs_dropped": {"filter": 0, "limit": 0, "invalid": 0, "duplicate": 0},
        "executions_dropped": {"limit": 0, "invalid": 0, "duplicate": 0},
        "observing_since": 1_763_890_000.0,
        "durations": Durations(),
        **facts,
    }
    return ApplicationView("production", "K7SALES", **facts)


def a_snapshot(
    jobs: Iterable[JobView] = (),
    executions: Iterable[Execution] = (),
    applications: Iterable[ApplicationView] | None = None,
) -> Snapshot:
    """Return a snapshot of a target that is up."""
    return Snapshot(
        TargetView("production", up=True, read_duration=0.25),
        [an_application()] if applications is None else list(applications),
        {(view.job.application, view.job.id): view for view in jobs},
        {(row.application, row.job_id, row.id): ExecutionView("production", row) for row in executions},
    )


def page_of(snapshot: Snapshot, format_: Format = "text") -> Page:
    """Return the page that shows a snapshot alone."""
    blocks = TargetBlocks()
    blocks.update(snapshot)
    return build_page(format_, [blocks.chunks(format_)])


def lines_of(page: Page, family: str) -> list[str]:
    """Return the sample lines of a family (a pattern), suffixes included, in the order of the page."""
    pattern = re.compile(rf"(?:{family})(_bucket|_sum|_count)?\{{")
    return [line for line in page.plain.join().decode().split("\n") if pattern.match(line)]


#: The labels of :func:`a_job` as they stand in a line.
JOB_TEXT = ",".join(
    f'{name}="{value}"'
    for name, value in zip(JOB_LABELS, ("production", "K7SALES", "41000000000001", "load_orders_0.1"), strict=True)
)
