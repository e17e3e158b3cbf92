"""A simulated installation and an exporter that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.installation import Exporter, Simulator, configuration, exporting, simulating


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator with its default scenario."""
    with simulating(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture(scope="module")
def exporter(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter that reads the simulator every second, asks for results, and expects something of every job."""
    file = configuration(
        simulator,
        tmp_path_factory.mktemp("exporter"),
        timing="{interval: 1s}",
        target=f"    results: {{url: '{simulator.url}'}}\n",
        more="expectations: [{max_runtime: 45m, success_every: 26h}]\n",
    )
    with exporting(file) as running:
        yield running
