"""Fixtures of all tests of the dashboards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dashboards.node import Node, answering, lacking
from tests.parts import missing


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Grafana's own code; where it is missing, the test is skipped, or under ``CI=true`` fails."""
    reason = lacking()
    if reason is not None:
        missing(reason)
    with answering() as process:
        yield process
