"""Fixtures of all tests of the dashboards."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.dashboards.node import Node, answering, missing


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Grafana's own code; where it is missing, the test is skipped, or under ``CI=true`` fails."""
    reason = missing()
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    with answering() as process:
        yield process
