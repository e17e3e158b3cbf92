"""Applications, jobs and executions as state."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.simulator.scenario import SALES, STOCK, populate
from exporter.simulator.synthetic import add_synthetic_jobs
from exporter.simulator.world import HISTORY_LENGTH, Execution, Job, Outcome, World

NOW = 1_750_000_000.0


def populated(seed: int, jobs: int = 0) -> World:
    """Return the default scenario's world with some synthetic jobs."""
    world = World(seed)
    populate(world, NOW)
    add_synthetic_jobs(world, jobs, NOW)
    return world


def test_job_ids_are_derived_from_the_creation_time() -> None:
    """An id has 14 or 15 digits, of which the last 12 are those of a moment in 2023 or 2024 in milliseconds."""
    world = World(1)
    ids = [world.new_job_id() for _ in range(1000)]
    assert {len(str(job_id)) for job_id in ids} == {14, 15}
    # 2023-03-01 and 2024-11-01, without the leading 1 of 13 digits.
    assert all(677_628_800_000 <= job_id % 10**12 <= 730_419_200_000 for job_id in ids)


def test_the_same_seed_makes_the_same_world() -> None:
    """Ids, names and facts of all jobs are repeatable, and so are execution ids."""
    one, two = populated(7, 500), populated(7, 500)
    assert list(one.jobs()) == list(two.jobs())
    assert [one.new_execution_id() for _ in range(3)] == [two.new_execution_id() for _ in range(3)]


def test_another_seed_makes_another_world() -> None:
    """Two seeds share no job id."""
    one, two = ({job.id for job in populated(seed).jobs()} for seed in (1, 2))
    assert not one & two


def test_the_scenario_covers_types_statuses_and_oddities() -> None:
    """The default jobs have every type, all statuses that need no start, and the known oddities."""
    world = populated(1)
    jobs = list(world.jobs())
    assert {job.type for job in jobs} == {"NONE", "JOB", "SERVICE"}
    assert {job.status for job in jobs} == {"DISABLED", "ENABLED", "STOPPED", "ERROR", "DELETED"}
    assert {job.mode for job in jobs} == {"SEQUENTIAL", "PARALLEL"}
    by_name = {(job.application, job.name): job for job in jobs}
    deleted, live = by_name[SALES, "import_leads_0.1.zip"], by_name[SALES, "import_leads_0.1"]
    assert (deleted.status, deleted.current_version, deleted.published_version) == ("DELETED", None, 3)
    assert (live.status, live.current_version, live.published_version) == ("ENABLED", 0, 0)
    draft = by_name[SALES, "draft_forecast_0.1"]
    assert (draft.status, draft.published_version, draft.last_update) == ("DISABLED", None, None)
    assert by_name[STOCK, "count_stock_0.4"].id == by_name[SALES, "load_orders_0.1.zip"].id
    assert (STOCK, 'Größen "Übersee"_0.1.zip') in by_name
    error = by_name[STOCK, "reserve_stock_1.1.zip"].error
    assert error is not None
    assert len(error) > 6000


def test_synthetic_jobs_are_spread_over_the_applications() -> None:
    """Both applications get the same number, with ids that are unique in each, and of several kinds."""
    world = World(1)
    for code in (SALES, STOCK):
        world.add_application(code, code)
    runnable = add_synthetic_jobs(world, 10_000, NOW)
    assert [len(world.applications[code].jobs) for code in (SALES, STOCK)] == [5000, 5000]
    assert {job.status for job in world.jobs()} == {"ENABLED", "STOPPED", "STARTED", "ERROR", "DISABLED", "DELETED"}
    assert len(runnable) == 20
    assert {job.status for job in runnable} == {"ENABLED"}


@pytest.mark.parametrize(
    ("reference", "status"),
    [("import_leads_0.1", "ENABLED"), ("import_leads_0.1.zip", "DELETED"), ("draft_forecast_0.1.zip", "DISABLED")],
)
def test_jobs_are_found_by_name(reference: str, status: str) -> None:
    """The exact name is preferred; otherwise .zip makes no difference."""
    job = populated(1).applications[SALES].find(reference)
    assert job is not None
    assert job.status == status


def test_jobs_are_found_by_id() -> None:
    """An id finds its job; what is no job's id or name finds nothing."""
    application = populated(1).applications[SALES]
    job = next(iter(application.jobs.values()))
    assert application.find(str(job.id)) is job
    assert application.find("1") is None
    assert application.find("no_such_job") is None


@pytest.mark.parametrize(
    ("name", "talend_name", "version"),
    [
        ("load_orders_0.1.zip", "load_orders", "0.1"),
        ("load_orders_2.13", "load_orders", "2.13"),
        ("plain", "plain", ""),
    ],
)
def test_names_consist_of_talend_job_and_version(name: str, talend_name: str, version: str) -> None:
    """The Talend job's name and version are parts of the job's name."""
    job = Job(SALES, 1, name)
    assert (job.talend_name, job.talend_version) == (talend_name, version)


def test_two_jobs_of_an_application_cannot_have_one_id() -> None:
    """An id that is taken is refused with the id and the application."""
    world = populated(1)
    job = next(world.jobs())
    with pytest.raises(ValueError, match=f"^{job.application} already has a job with id {job.id}$"):
        world.add_job(Job(job.application, job.id, "again_0.1"))


def test_the_oldest_executions_are_forgotten(tmp_path: Path) -> None:
    """Beyond its length the history loses its oldest execution, and that one's output."""
    world = populated(1)
    job = next(world.jobs())
    output = tmp_path / "first.log"
    output.write_text("done\n")
    for number in range(HISTORY_LENGTH + 1):
        file = output if number == 0 else tmp_path / "none.log"
        world.remember(Execution(f"run-{number}", job, "Default", {}, file, 0.0, outcome=Outcome.DONE))
    assert len(world.ended) == HISTORY_LENGTH
    assert world.execution("run-0") is None
    assert world.execution("run-1") is not None
    assert not output.exists()
