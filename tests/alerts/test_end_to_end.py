"""The shipped rules and the shipped Alertmanager configuration at work on a simulated installation.

Real servers of both generations watch the same exporter and the same sidecar: what happens once has to reach the
receivers of both, with the same labels and links.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.alerts.watching import Alertmanager, Notification, alerting, write_rules
from tests.installation import Exporter, Simulator, configuration, exporting, simulating
from tests.processes import eventually, poll
from tests.prometheus import GENERATIONS, Prometheus, real_part, scraping
from tests.sidecar.running import JOB, PARALLEL_JOB, RESIGNED, TOKEN, WIDE, Sidecar, begin, sidecar

EXPECTATIONS = """\
expectations: [{job: "nightly_*", max_runtime: 3s}, {job: "etl_*", max_runtime: 3s}]
"""
#: The API's tokens alone, so that Prometheus needs no login.
TOKENS = """\
  auth:
    - type: token
      tokens: [{name: ci, sha256: "%s"}]
"""
OFTEN = "    scrape_interval: 500ms\n    scrape_timeout: 500ms\n"
RUNBOOKS = "https://git.example.com/dumbella-exporter/blob/main/alerts/runbooks.md#"


@dataclass(frozen=True, slots=True)
class Watch:
    """A Prometheus and the Alertmanager that it tells."""

    prometheus: Prometheus
    alertmanager: Alertmanager


@dataclass(frozen=True, slots=True)
class Watched:
    """An installation and everything that watches it."""

    simulator: Simulator
    exporter: Exporter
    sidecar: Sidecar
    watches: tuple[Watch, ...]

    def add_job(self, name: str) -> str:
        """Add a job whose runs overlap, wait until everybody knows it, and return its id."""
        job_id = str(self.simulator.control("POST", "jobs", json={**PARALLEL_JOB, "name": name})["id"])
        counter = f'dumbella_job_executions_finished_total{{outcome="error",job_id="{job_id}"}} == 0'
        poll(lambda: all(watch.prometheus.query(counter) for watch in self.watches))
        return job_id

    def run(self, job: str, **options: Any) -> str:
        """Start an execution of a job of K7SALES and return its id."""
        (run,) = self.simulator.control("POST", "run", json={"application": "K7SALES", "job": job, **options})
        return str(run["execution_id"])

    def told(self, alertname: str, status: str = "firing", **labels: str) -> list[Notification]:
        """Wait until every generation's receiver was told of an alert, and return what each was told."""
        found: list[Notification] = []

        def everybody() -> None:
            told = [watch.alertmanager.told(alertname, status, **labels) for watch in self.watches]
            assert None not in told, (alertname, status)
            found[:] = [one for one in told if one is not None]

        eventually(everybody)
        return found

    def wait_until_seen(self, execution_id: str) -> None:
        """Wait until everybody knows that an execution is running."""
        start = f'dumbella_execution_start_timestamp_seconds{{execution_id="{execution_id}"}}'
        poll(lambda: all(watch.prometheus.query(start) for watch in self.watches))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A quiet simulator with exporter and sidecar, watched by both generations."""
    folder = tmp_path_factory.mktemp("watched")
    binaries = [(real_part("prometheus", one), real_part("alertmanager", one)) for one in GENERATIONS]
    rules = folder / "dumbella.rules.yml"
    write_rules(rules)
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(simulating(folder / "simulator"))
        simulator.control("DELETE", "scheduler")
        simulator.control("POST", "jobs", json=PARALLEL_JOB)
        file = configuration(
            simulator,
            folder / "exporter",
            timing="{interval: 500ms, stale_after: 1m}",
            target=f"    results: {{url: '{simulator.url}'}}\n",
            more=EXPECTATIONS,
        )
        exporter = stack.enter_context(exporting(file))
        tokens = TOKENS % hashlib.sha256(TOKEN.encode()).hexdigest()
        killer = stack.enter_context(sidecar(folder / "sidecar", simulator, auth=tokens, more=WIDE + RESIGNED))
        scraped = {"dumbella-exporter": exporter.url, "dumbella-sidecar": killer.url}
        watches = []
        for number, (prometheus_binary, alertmanager_binary) in enumerate(binaries):
            alertmanager = stack.enter_context(alerting(alertmanager_binary, folder / f"alertmanager-{number}"))
            address = alertmanager.url.removeprefix("http://")
            more = (
                f"rule_files: ['{rules}']\n"
                f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{address}']}}]}}]}}\n"
            )
            prometheus = stack.enter_context(
                scraping(prometheus_binary, folder / f"prometheus-{number}", scraped, OFTEN, more)
            )
            watches.append(Watch(prometheus, alertmanager))
        yield Watched(simulator, exporter, killer, tuple(watches))


def test_a_job_that_fails(watched: Watched) -> None:
    """Its first failure reaches those who operate it, by name and with links, and ends when it is long enough ago."""
    job_id = watched.add_job("import_prices_0.1")
    execution_id = watched.run(job_id, duration=None, exit_code=1)
    watched.wait_until_seen(execution_id)
    watched.simulator.finish(execution_id)
    for told in watched.told("DumbellaExecutionFailed", job_id=job_id):
        assert "operations" == told.receiver
        assert {
            "alertname": "DumbellaExecutionFailed",
            "severity": "warning",
            "target": "simulated",
            "application": "K7SALES",
            "job_id": job_id,
            "job_name": "import_prices_0.1",
        } == told.labels
        assert {
            "summary": "An execution ended with an error",
            "description": "An execution of import_prices_0.1 of K7SALES on simulated failed in the last 30 minutes; "
            "1 in all since observation began.",
            "runbook_url": f"{RUNBOOKS}dumbellaexecutionfailed",
            "dashboard_url": "https://grafana.example.com/d/dumbella-job?var-target=simulated&var-application=K7SALES"
            f"&var-job_name=import_prices_0.1&var-job_id={job_id}",
        } == told.annotations
    for watch in watched.watches:
        texts = dict(watch.alertmanager.receiver.texts("operations"))
        text = texts["[FIRING 1] DumbellaExecutionFailed on simulated"]
        assert text.startswith("An execution ended with an error (warning, since ")
        assert "\nDashboard: https://grafana.example.com/d/dumbella-job?var-target=simulated" in text
        assert f"\nRunbook: {RUNBOOKS}dumbellaexecutionfailed" in text
    watched.told("DumbellaExecutionFailed", "resolved", job_id=job_id)


def test_a_service_that_crashes(watched: Watched) -> None:
    """A takeover is told, and ends when somebody stops and starts the service."""
    service = {"application": "K7SALES", "job": "order_events_0.2"}
    watched.simulator.control("POST", "service/crash", json=service)
    for told in watched.told("DumbellaServiceRestarted", job_name="order_events_0.2"):
        assert ("operations", "warning") == (told.receiver, told.labels["severity"])
        assert "order_events_0.2 of K7SALES on simulated is RESTARTED, since " in told.annotations["description"]
        assert f"{RUNBOOKS}dumbellaservicerestarted" == told.annotations["runbook_url"]
    watched.simulator.control("POST", "service/stop", json=service)
    watched.simulator.control("POST", "service/start", json=service)
    watched.told("DumbellaServiceRestarted", "resolved", job_name="order_events_0.2")


def test_executions_that_hang(watched: Watched) -> None:
    """One that hangs is a warning, one that blocks the runs behind it brings somebody; both end with a kill."""
    watched.add_job("etl_hangs_0.1")
    hanging = [watched.run("nightly_close_0.3", duration=None), watched.run("etl_hangs_0.1", duration=None)]
    for told in watched.told("DumbellaExecutionRunningTooLong", job_name="etl_hangs_0.1"):
        assert ("operations", "warning") == (told.receiver, told.labels["severity"])
        assert told.annotations["description"].endswith("; 3s would be usual at most.")
        assert (
            "https://grafana.example.com/d/dumbella-job-manager?var-target=simulated&var-application=K7SALES"
            == told.annotations["dashboard_url"]
        )
    for told in watched.told("DumbellaSequentialJobBlocked", job_name="nightly_close_0.3"):
        assert ("on-call", "critical") == (told.receiver, told.labels["severity"])
        assert (
            "nightly_close_0.3 of K7SALES on simulated runs one execution at a time" in told.annotations["description"]
        )
    for execution_id in hanging:
        watched.simulator.kill(execution_id)
    watched.told("DumbellaExecutionRunningTooLong", "resolved", job_name="etl_hangs_0.1")
    watched.told("DumbellaSequentialJobBlocked", "resolved", job_name="nightly_close_0.3")


def test_a_target_that_goes_down(watched: Watched) -> None:
    """It brings somebody, and while it lasts nobody is told anything of its jobs, whether it fired before or not."""
    job = "archive_invoices_0.1"
    watched.told("DumbellaJobError", job_name=job)
    watched.simulator.control("PUT", "faults", json=["server_error"])
    try:
        for told in watched.told("DumbellaDown"):
            assert "on-call" == told.receiver
            assert {"alertname": "DumbellaDown", "severity": "critical", "target": "simulated"} == told.labels
            assert f"{RUNBOOKS}dumbelladown" == told.annotations["runbook_url"]
            assert (
                "https://grafana.example.com/d/dumbella-health?var-target=simulated"
                == told.annotations["dashboard_url"]
            )
        for watch in watched.watches:
            _wait_until_kept_back(watch, "DumbellaJobError", job_name=job)
            _wait_until_kept_back(watch, "DumbellaCollectorFailing", collector="jobs", application="K7SALES")
            assert watch.alertmanager.told("DumbellaCollectorFailing") is None
    finally:
        watched.simulator.control("DELETE", "faults")
    watched.told("DumbellaDown", "resolved")


def _wait_until_kept_back(watch: Watch, alertname: str, **labels: str) -> None:
    def kept_back() -> None:
        causes = [down["fingerprint"] for down in watch.alertmanager.alerts(alertname="DumbellaDown")]
        assert 1 == len(causes)
        assert [("suppressed", causes)] == [
            (found["status"]["state"], found["status"]["inhibitedBy"])
            for found in watch.alertmanager.alerts(alertname=alertname, **labels)
        ]

    eventually(kept_back)


def test_a_kill_that_stays_unconfirmed(watched: Watched) -> None:
    """A kill that Cockpit accepts and that ends nothing is told, and its alert ends when it is long enough ago."""
    (run,) = begin(watched.simulator)
    watched.simulator.control("PUT", "faults", json=["kill_ignored"])
    try:
        started = datetime.fromtimestamp(run["started_at"], UTC).isoformat()
        path = f"/targets/simulated/executions/{run['execution_id']}/kill"
        with watched.sidecar.api() as client:
            answer = client.post(path, json={"expected_started_at": started, "reason": "hangs"})
        assert 202 == answer.status_code, answer.text
        for told in watched.told("DumbellaKillUnconfirmed"):
            assert ("operations", "simulated") == (told.receiver, told.labels["target"])
            assert (
                "A kill on simulated of the last 15 minutes ended unconfirmed, that is, the execution is still listed; "
                "1 in all since the sidecar started." == told.annotations["description"]
            )
            assert f"{RUNBOOKS}dumbellakillunconfirmed" == told.annotations["runbook_url"]
    finally:
        watched.simulator.control("DELETE", "faults")
        watched.simulator.kill(run["execution_id"])
    watched.told("DumbellaKillUnconfirmed", "resolved")
    assert JOB == run["job_name"]


def test_what_is_only_informative(watched: Watched) -> None:
    """It stands in Alertmanager, and nobody is told."""
    for alertmanager in (watch.alertmanager for watch in watched.watches):
        found = poll(lambda: alertmanager.alerts(severity="info"))  # noqa: B023 - called at once
        assert {"DumbellaPublishedVersionOutdated"} == {alert["labels"]["alertname"] for alert in found}
        assert [[{"name": "nobody"}]] * len(found) == [alert["receivers"] for alert in found]
        assert alertmanager.told("DumbellaPublishedVersionOutdated") is None
