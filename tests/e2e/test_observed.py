"""Observed executions of real processes: counts that agree with what really happened, before and after a restart."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Exporter, Simulator, configuration, exporting, simulating
from tests.processes import eventually, poll
from tests.prometheus import scraping

#: Seconds between two reads.
INTERVAL = 0.5

STARTED = "dumbella_job_executions_started_total"
FINISHED = "dumbella_job_executions_finished_total"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator in which nothing happens by itself."""
    with simulating(tmp_path_factory.mktemp("simulator")) as running:
        running.control("DELETE", "scheduler")
        yield running


@dataclass(frozen=True, slots=True)
class Job:
    """A job of its own for one test, parallel so that its executions need not wait for each other."""

    simulator: Simulator
    id: str
    name: str

    @classmethod
    def add(cls, simulator: Simulator, name: str) -> Job:
        """Add a job to K7SALES."""
        added = simulator.control("POST", "jobs", json={"application": "K7SALES", "name": name, "mode": "PARALLEL"})
        return cls(simulator, str(added["id"]), name)

    def run(self, *, duration: float | None = None, exit_code: int = 0, count: int = 1) -> list[str]:
        """Start executions, which go on until they are asked to finish unless told otherwise, and return their ids."""
        asked = {"application": "K7SALES", "job": self.id, "duration": duration, "exit_code": exit_code, "count": count}
        return [execution["execution_id"] for execution in self.simulator.control("POST", "run", json=asked)]

    def begin(self, exporter: Exporter, *, exit_code: int = 0, count: int = 1) -> list[str]:
        """Start executions, wait until the exporter has seen them, and return their ids."""
        begun = self.run(exit_code=exit_code, count=count)
        name = "dumbella_execution_start_timestamp_seconds"
        poll(lambda: {(one,) for one in begun} <= exporter.metrics().values(name, "execution_id").keys())
        return begun

    def happen(self, exporter: Exporter, *, exit_code: int = 0, count: int = 1) -> None:
        """Let executions begin, be seen, and end."""
        for execution_id in self.begin(exporter, exit_code=exit_code, count=count):
            self.simulator.finish(execution_id)

    def known(self, exporter: Exporter) -> None:
        """Wait until the exporter shows the job."""
        poll(lambda: exporter.metrics().values(STARTED, job_id=self.id))

    def history(self) -> list[dict[str, Any]]:
        """Return every execution that really was."""
        found: list[dict[str, Any]] = self.simulator.control("GET", "history", params={"job": self.id})
        return found

    def ended(self) -> bool:
        """Tell whether all executions have ended."""
        return all(execution["ended_at"] is not None for execution in self.history())

    def outcomes(self) -> dict[str, int]:
        """Return how many executions really ended in which way."""
        return dict(Counter(execution["outcome"] for execution in self.history()))

    def counted(self, exporter: Exporter) -> Mapping[str, float]:
        """Return how many executions the exporter has seen to start, and to end in which way."""
        page = exporter.metrics()
        started = page.values(STARTED, job_id=self.id)[()]
        finished = page.values(FINISHED, "outcome", job_id=self.id)
        return {"started": started, **{outcome: count for (outcome,), count in finished.items() if count}}


def exporter_configuration(simulator: Simulator, folder: Path, *, results: bool = True, more: str = "") -> Path:
    """Write the configuration of an exporter that reads often."""
    target = f"    results: {{url: '{simulator.url}'}}\n" if results else ""
    return configuration(simulator, folder, timing=f"{{interval: {INTERVAL * 1000:.0f}ms}}", target=target, more=more)


@pytest.fixture(scope="module")
def exporter(quiet: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter that reads the quiet simulator."""
    with exporting(exporter_configuration(quiet, tmp_path_factory.mktemp("exporter"))) as running:
        yield running


def test_200_executions_are_counted_as_they_were(quiet: Simulator, exporter: Exporter) -> None:
    """Executions that are there when the exporter reads are all counted, with the outcomes that they really had."""
    job = Job.add(quiet, "counted_0.1")
    job.known(exporter)
    for batch in range(5):
        job.happen(exporter, count=24)
        job.happen(exporter, exit_code=1 + batch, count=12)
        for execution_id in job.begin(exporter, count=4):
            quiet.kill(execution_id)
    poll(job.ended)
    assert {"done": 120, "error": 60, "killed": 20} == job.outcomes()
    expected = {"started": 200, "done": 120, "error": 60, "killed": 20}
    eventually(lambda: _agree(expected, job.counted(exporter)))


def _agree(expected: object, actual: object) -> None:
    assert expected == actual


def read_after(exporter: Exporter, moment: float) -> bool:
    """Tell whether the exporter has read K7SALES after a moment."""
    read_at = exporter.metrics().values("dumbella_snapshot_timestamp_seconds", application="K7SALES")[()]
    return read_at > moment


def test_short_executions_are_missed_never_invented(quiet: Simulator, exporter: Exporter) -> None:
    """Of executions shorter than an interval some are missed; what is counted did happen."""
    job = Job.add(quiet, "short_0.1")
    job.known(exporter)
    for _ in range(20):
        job.run(duration=0.05, count=2)
        poll(job.ended)
    poll(lambda: read_after(exporter, max(execution["ended_at"] for execution in job.history())))
    started = job.counted(exporter)["started"]
    assert started <= 40
    expected = {"started": started, "done": started} if started else {"started": 0}
    # Results are asked for after the lists were published.
    eventually(lambda: _agree(expected, job.counted(exporter)))


def test_durations_and_last_values_are_those_of_the_process(quiet: Simulator, exporter: Exporter) -> None:
    """The last execution's start is the real one, and its duration is right up to an interval and the read."""
    job = Job.add(quiet, "timed_0.1")
    job.known(exporter)
    job.happen(exporter)
    eventually(lambda: _agree({"started": 1, "done": 1}, job.counted(exporter)))
    (real,) = job.history()
    page = exporter.metrics()

    def last(name: str) -> float:
        return page.values(f"dumbella_job_last_{name}", job_id=job.id)[()]

    assert real["started_at"] == pytest.approx(last("execution_start_timestamp_seconds"), abs=0.01)
    assert last("execution_end_timestamp_seconds") >= real["ended_at"]
    assert last("execution_duration_seconds") >= real["ended_at"] - real["started_at"] - 0.01
    assert last("success_timestamp_seconds") == last("execution_end_timestamp_seconds")


def test_without_results_every_end_is_unresolved(quiet: Simulator, tmp_path: Path) -> None:
    """A target without a results address counts ends, and says that it does not know how they ended."""
    job = Job.add(quiet, "unresolved_0.1")
    with exporting(exporter_configuration(quiet, tmp_path, results=False)) as exporter:
        job.known(exporter)
        job.happen(exporter, count=3)
        eventually(lambda: _agree({"started": 3, "unresolved": 3}, job.counted(exporter)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_counts_survive_a_restart(quiet: Simulator, tmp_path: Path, number: signal.Signals) -> None:
    """With a state file counters go on where they were, after an orderly stop and after a crash."""
    job = Job.add(quiet, f"restarted_by_{number.name.lower()}_0.1")
    state = tmp_path / "state.json"
    file = exporter_configuration(quiet, tmp_path, more=f"state_file: {state}\n")
    with exporting(file) as exporter:
        job.known(exporter)
        job.happen(exporter, exit_code=3)
        (running,) = job.begin(exporter)
        eventually(lambda: _agree({"started": 2, "error": 1}, job.counted(exporter)))
        observing_since = exporter.metrics().values("dumbella_observing_since_timestamp_seconds", application="K7SALES")
        written = poll(lambda: state.exists() and running in state.read_text())
        assert written
        exporter.process.send(number)
        exporter.process.wait()
    with exporting(file) as exporter:
        job.known(exporter)
        assert {"started": 2, "error": 1} == job.counted(exporter)
        assert observing_since == exporter.metrics().values(
            "dumbella_observing_since_timestamp_seconds", application="K7SALES"
        )
        quiet.kill(running)
        eventually(lambda: _agree({"started": 2, "error": 1, "killed": 1}, job.counted(exporter)))


def test_an_orderly_stop_saves_what_happened_last(quiet: Simulator, tmp_path: Path) -> None:
    """What an exporter shows when it is told to stop is what the next one begins with."""
    job = Job.add(quiet, "stopped_0.1")
    file = exporter_configuration(quiet, tmp_path, more=f"state_file: {tmp_path / 'state.json'}\n")
    with exporting(file) as exporter:
        job.known(exporter)
        job.happen(exporter, count=2)
        eventually(lambda: _agree({"started": 2, "done": 2}, job.counted(exporter)))
        job.happen(exporter, count=2)
        eventually(lambda: _agree({"started": 4, "done": 4}, job.counted(exporter)))
        assert exporter.process.stop() == 0
    with exporting(file) as exporter:
        job.known(exporter)
        assert {"started": 4, "done": 4} == job.counted(exporter)


def test_a_restart_without_state_invents_nothing(quiet: Simulator, tmp_path: Path) -> None:
    """What runs when an exporter starts is a baseline: its end is in no counter."""
    job = Job.add(quiet, "baseline_0.1")
    (running,) = job.run()
    with exporting(exporter_configuration(quiet, tmp_path)) as exporter:
        seen = "dumbella_execution_start_timestamp_seconds"
        poll(lambda: exporter.metrics().values(seen, execution_id=running))
        quiet.kill(running)
        name = "dumbella_job_last_execution_end_timestamp_seconds"
        poll(lambda: exporter.metrics().values(name, job_id=job.id))
        assert {"started": 0} == job.counted(exporter)


def test_the_very_first_failure_is_an_increase(
    quiet: Simulator, exporter: Exporter, prometheus_binary: Path, tmp_path: Path
) -> None:
    """A rule on increase() sees a job's first failure ever, because its counter was there at 0 before."""
    job = Job.add(quiet, f"first_failure_{tmp_path.name}_0.1")
    job.known(exporter)
    with scraping(prometheus_binary, tmp_path, {"dumbella-exporter": exporter.url}) as prometheus:
        zero = f'{FINISHED}{{job_id="{job.id}",outcome="error"}} == 0'
        poll(lambda: prometheus.query(zero))
        job.happen(exporter, exit_code=1)
        failed = f'increase({FINISHED}{{job_id="{job.id}",outcome="error"}}[5m]) > 0'
        assert [job.name] == [sample.labels["job_name"] for sample in poll(lambda: prometheus.query(failed))]
