"""A simulated installation and a sidecar that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.installation import Simulator, simulating
from tests.sidecar.browser import browsing
from tests.sidecar.running import HASTY, PARALLEL_JOB, RESIGNED, WIDE, Sidecar, sidecar


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator in which nothing begins by itself, and which has a job of many runs."""
    with simulating(tmp_path_factory.mktemp("simulator"), "--seed", "7") as running:
        running.control("DELETE", "scheduler")
        running.control("POST", "jobs", json=PARALLEL_JOB)
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, installation: Simulator) -> Iterator[Sidecar]:
    """A sidecar that kills, with wide limits and long timeouts."""
    with sidecar(tmp_path_factory.mktemp("sidecar"), installation) as running:
        yield running


@pytest.fixture(scope="module")
def resigned(tmp_path_factory: pytest.TempPathFactory, installation: Simulator) -> Iterator[Sidecar]:
    """A sidecar that soon gives up to wait for the end of a killed run."""
    with sidecar(tmp_path_factory.mktemp("resigned"), installation, more=WIDE + RESIGNED) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, installation: Simulator) -> Iterator[Sidecar]:
    """A sidecar that soon gives up to wait for Cockpit, which may happen at any time on a busy machine."""
    with sidecar(tmp_path_factory.mktemp("hasty"), installation, more=WIDE + HASTY) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium."""
    with browsing() as running:
        yield running


@pytest.fixture(autouse=True)
def _without_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins and ends with an installation in which nothing is broken."""
    yield
    if "installation" in request.fixturenames:
        request.getfixturevalue("installation").switch_faults()
