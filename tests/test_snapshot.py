"""What is published of a target: filters, limits, and views that stay the same object while nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from exporter.config import Config, Expectation, JobFilter, Limits, Target
from exporter.model import Execution, Job, Listing
from exporter.observe import Durations, History
from exporter.snapshot import ApplicationRead, Assembler, Running, Snapshot, attribute
from tests.views import a_job


def assembler(**settings: Any) -> Assembler:
    """Return an assembler for a target with the given settings."""
    target = Target(name="production", url="https://apps.example.com/cockpit", applications=("K7SALES",), **settings)
    expectations = (Expectation(job="nightly_*", max_runtime=60.0), Expectation(job="*", success_every=3600.0))
    return Assembler(Config(targets=(target,), expectations=expectations), target)


def a_read(
    jobs: Sequence[Job] | None = (), executions: Sequence[Execution] | None = (), **facts: Any
) -> ApplicationRead:
    """Return a good read of K7SALES."""
    facts = {
        "read_at": 1000.0,
        "collector_success": {"jobs": True, "executions": True},
        "histories": {},
        "observing_since": 900.0,
        "durations": Durations(),
        **facts,
    }
    return ApplicationRead(
        "K7SALES",
        jobs=None if jobs is None else Listing(tuple(jobs), len(jobs)),
        executions=None if executions is None else Listing(tuple(executions), len(executions)),
        **facts,
    )


def a_run(execution_id: str, started_at: float | None = 500.0, job_id: str = "1", name: str = "a_0.1") -> Execution:
    """Return an execution in progress."""
    return Execution("K7SALES", execution_id, job_id, name, started_at)


def assemble(subject: Assembler, *reads: ApplicationRead) -> Snapshot:
    """Return the snapshot of a target that is up."""
    return subject.assemble(reads, up=True, read_duration=0.5)


def names(snapshot: Snapshot) -> list[str]:
    """Return the names of the jobs shown."""
    return [view.job.name for view in snapshot.jobs.values()]


def test_a_job_knows_what_runs_of_it() -> None:
    """A job's view counts its executions in progress and has the oldest start; other jobs have none."""
    jobs = [a_job("1"), a_job("2")]
    snapshot = assemble(assembler(), a_read(jobs, [a_run("x", 500.0), a_run("y", 400.0), a_run("z", None)]))
    assert [Running(3, 400.0), Running(0, None)] == [view.running for view in snapshot.jobs.values()]


def test_without_a_list_of_executions_nobody_knows_what_runs() -> None:
    """A job's running executions are unknown, not zero, when no list of them is fresh."""
    snapshot = assemble(assembler(), a_read([a_job("1")], None))
    assert [None] == [view.running for view in snapshot.jobs.values()]


def test_without_a_job_list_there_are_no_jobs() -> None:
    """A stale job list is not shown, and its counts are absent."""
    snapshot = assemble(assembler(), a_read(None))
    view = snapshot.applications[0]
    assert ({}, None, None, None) == (snapshot.jobs, view.jobs, view.jobs_dropped, view.read_at)


def test_the_filter_is_counted() -> None:
    """Jobs that the filter leaves out have no series, and neither have their executions."""
    subject = assembler(jobs=JobFilter(include=("*_0.1",), exclude=("tmp_*",)))
    jobs = [a_job("1", name="a_0.1"), a_job("2", name="tmp_0.1"), a_job("3", name="b_0.2")]
    snapshot = assemble(subject, a_read(jobs, [a_run("x"), a_run("y", job_id="2", name="tmp_0.1")]))
    assert ["a_0.1"] == names(snapshot)
    assert {"filter": 2, "limit": 0, "invalid": 0, "duplicate": 0} == snapshot.applications[0].jobs_dropped
    assert ["x"] == [view.execution.id for view in snapshot.executions.values()]


def test_the_limit_is_per_target_and_counted() -> None:
    """Jobs over the target's limit have no series; which ones stay does not depend on the order of the list."""
    subject = assembler(limits=Limits(jobs=3))
    read = a_read([a_job("4", name="d"), a_job("1", name="a"), a_job("3", name="c"), a_job("2", name="b")])
    snapshot = assemble(subject, read)
    assert ["a", "b", "c"] == names(snapshot)
    assert {"filter": 0, "limit": 1, "invalid": 0, "duplicate": 0} == snapshot.applications[0].jobs_dropped
    assert 4 == snapshot.applications[0].jobs


def test_the_oldest_executions_stay() -> None:
    """Executions over the limit are the youngest ones, counted with their application."""
    subject = assembler(limits=Limits(executions=2))
    snapshot = assemble(subject, a_read([], [a_run("x", 300.0), a_run("y", 100.0), a_run("z", 200.0)]))
    assert ["y", "z"] == [view.execution.id for view in snapshot.executions.values()]
    assert {"limit": 1, "invalid": 0, "duplicate": 0} == snapshot.applications[0].executions_dropped


def test_the_first_expectation_that_matches_holds() -> None:
    """A job has the first expectation that matches its name."""
    snapshot = assemble(assembler(), a_read([a_job("1", name="nightly_load_0.1"), a_job("2", name="hourly_load_0.1")]))
    expected = [(60.0, None), (None, 3600.0)]
    assert expected == [
        (view.expectation.max_runtime, view.expectation.success_every)
        for view in snapshot.jobs.values()
        if view.expectation is not None
    ]


@pytest.mark.parametrize(
    "read",
    [
        a_read([a_job("1", status="ERROR")]),
        a_read([a_job("1")], [a_run("x")]),
        a_read([a_job("1")], None),
        a_read([a_job("1")], histories={"1": History(started=1)}),
    ],
)
def test_a_view_is_new_exactly_when_something_changed(read: ApplicationRead) -> None:
    """The same facts give the same object, any other fact another one."""
    subject, job = assembler(), a_job("1")
    first = assemble(subject, a_read([job])).jobs["K7SALES", "1"]
    assert first is assemble(subject, a_read([job])).jobs["K7SALES", "1"]
    assert first is not assemble(subject, read).jobs["K7SALES", "1"]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([a_job("7", name="a_0.1")], "7"),
        ([a_job("7", name="a_0.1"), a_job("8", name="a_0.1")], ""),
        ([a_job("7", name="b_0.1")], ""),
    ],
)
def test_an_execution_without_job_id_gets_that_of_the_only_job_of_its_name(jobs: list[Job], expected: str) -> None:
    """A name that several jobs share attributes nothing."""
    executions = Listing((a_run("x", job_id="", name="a_0.1"),), 1)
    assert [expected] == [row.job_id for row in attribute(executions, Listing(tuple(jobs), len(jobs))).rows]


def test_executions_with_job_ids_are_left_alone() -> None:
    """Where every execution names its job there is nothing to do, and nothing is copied."""
    executions = Listing((a_run("x"),), 1)
    assert executions is attribute(executions, Listing((), 0))
