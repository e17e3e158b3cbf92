"""The example of an Alertmanager configuration: accepted by amtool, routed as promised, and what it keeps back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.rules import ALERTS, Alert
from tests.alerts.test_rules import every_alert
from tests.alerts.watching import Alertmanager, alerting
from tests.processes import eventually

EXAMPLE = ALERTS / "alertmanager.yml"
RECEIVERS = {"critical": "on-call", "warning": "operations", "info": "nobody"}

JOB = {"application": "K7SALES", "job_id": "40170000000001", "job_name": "load_orders_0.1"}
OTHER_JOB = {"application": "K7SALES", "job_id": "40170000000002", "job_name": "load_orders_0.2"}


def amtool(binary: Path, *arguments: object) -> str:
    """Return what amtool prints, or fail with it."""
    answer = subprocess.run(  # noqa: S603 - found by the fixture
        [binary, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_amtool_accepts_the_example(amtool_binary: Path) -> None:
    """``amtool check-config`` accepts the configuration and its template."""
    found = amtool(amtool_binary, "check-config", EXAMPLE)
    assert 2 == found.count("SUCCESS")
    for counted in ("3 inhibit rules", "3 receivers", "1 templates"):
        assert f" - {counted}\n" in found


@every_alert
def test_severity_decides_who_is_told(alert: Alert, amtool_binary: Path) -> None:
    """``amtool config routes test`` leads every alert to the receiver of its severity."""
    labels = [
        f"alertname={alert.name}",
        "target=production",
        *(f"{name}={value}" for name, value in alert.labels.items()),
    ]
    found = amtool(amtool_binary, "config", "routes", "test", "--config.file", EXAMPLE, *labels)
    assert RECEIVERS[alert.labels["severity"]] == found.strip()


@pytest.fixture(scope="module")
def alertmanager(alertmanager_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """A running Alertmanager."""
    with alerting(alertmanager_binary, tmp_path_factory.mktemp("alertmanager")) as process:
        yield process


def kept_back(alertmanager: Alertmanager, target: str) -> dict[tuple[str, str], bool]:
    """Return for each alert on a target, by its name and job, whether another one keeps it back."""
    return {
        (alert["labels"]["alertname"], alert["labels"].get("job_name", "")): alert["status"]["inhibitedBy"] != []
        for alert in alertmanager.alerts(target=target)
    }


def test_a_target_that_is_down_keeps_back_what_is_said_of_its_jobs(alertmanager: Alertmanager) -> None:
    """While one target is down its applications and jobs are not talked of; other targets, kills and causes are."""
    alertmanager.fire(
        {"alertname": "DumbellaDown", "target": "one"},
        {"alertname": "DumbellaAuthenticationFailing", "target": "one"},
        {"alertname": "DumbellaKillUnconfirmed", "target": "one", "outcome": "unconfirmed"},
        {"alertname": "DumbellaJobError", "target": "one", **JOB},
        {"alertname": "DumbellaDataStale", "target": "one", "application": "K7SALES"},
        {"alertname": "SomethingElse", "target": "one", "application": "K7SALES"},
        {"alertname": "DumbellaJobError", "target": "two", **JOB},
    )

    def judged() -> None:
        assert {
            ("DumbellaDown", ""): False,
            ("DumbellaAuthenticationFailing", ""): False,
            ("DumbellaKillUnconfirmed", ""): False,
            ("DumbellaJobError", "load_orders_0.1"): True,
            ("DumbellaDataStale", ""): True,
            ("SomethingElse", ""): False,
        } == kept_back(alertmanager, "one")
        assert {("DumbellaJobError", "load_orders_0.1"): False} == kept_back(alertmanager, "two")

    eventually(judged)


def test_the_worse_alert_on_a_job_keeps_back_the_milder_one(alertmanager: Alertmanager) -> None:
    """A blocked job is not also running too long, a flapping service not also in error; other jobs are."""
    alertmanager.fire(
        {"alertname": "DumbellaSequentialJobBlocked", "target": "three", **JOB},
        {"alertname": "DumbellaExecutionRunningTooLong", "target": "three", **JOB},
        {"alertname": "DumbellaExecutionRunningTooLong", "target": "three", **OTHER_JOB},
        {"alertname": "DumbellaServiceFlapping", "target": "three", **OTHER_JOB},
        {"alertname": "DumbellaServiceError", "target": "three", **OTHER_JOB},
        {"alertname": "DumbellaServiceError", "target": "three", **JOB},
    )

    def judged() -> None:
        assert {
            ("DumbellaSequentialJobBlocked", "load_orders_0.1"): False,
            ("DumbellaExecutionRunningTooLong", "load_orders_0.1"): True,
            ("DumbellaExecutionRunningTooLong", "load_orders_0.2"): False,
            ("DumbellaServiceFlapping", "load_orders_0.2"): False,
            ("DumbellaServiceError", "load_orders_0.2"): True,
            ("DumbellaServiceError", "load_orders_0.1"): False,
        } == kept_back(alertmanager, "three")

    eventually(judged)
