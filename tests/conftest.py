"""Fixtures that start the project's parts, and Prometheus, as real processes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import exporter as package
from tests import prometheus
from tests.deploy import kubectl, units
from tests.processes import RUNNING
from tests.prometheus import GENERATIONS, MissingError, real_part

# How long an example takes, or how long it takes to make one, says something about the machine only. What Hypothesis
# itself sets where CI is true, so that every run there tries the same examples, stays.
settings.register_profile(
    "steady", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("steady")


def pytest_report_header() -> list[str]:
    """Tell which package and which versions of the real parts are tested."""
    lines = [f"dumbella-exporter: {package.__version__} in {Path(package.__file__).parent}"]
    for program in ("prometheus", "promtool", "alertmanager", "amtool"):
        for generation in GENERATIONS:
            try:
                path = prometheus.find(program, generation)
                lines.append(f"{program} {generation}: {prometheus.version(path)} ({path})")
            except MissingError as error:
                lines.append(f"{program} {generation}: {error}")
    try:
        path = kubectl.find()
        lines.append(f"kubectl: kustomize {kubectl.kustomize_version(path)} ({path})")
    except MissingError as error:
        lines.append(f"kubectl: {error}")
    lines.append(f"systemd: {units.systemd_version()}")
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the output of every process that runs while a test fails."""
    report = yield
    if report.failed:
        report.sections.extend((f"Output of {process.name}", process.output) for process in RUNNING)
    return report


@pytest.fixture(scope="module", params=GENERATIONS)
def prometheus_binary(request: pytest.FixtureRequest) -> Path:
    """``prometheus``, of each generation in turn."""
    return real_part("prometheus", request.param)


@pytest.fixture(params=GENERATIONS)
def promtool_binary(request: pytest.FixtureRequest) -> Path:
    """``promtool``, of each generation in turn."""
    return real_part("promtool", request.param)
