"""The dashboards keep every convention, and every check finds the mistake that it is there for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dashboards import conventions, queries
from tests.dashboards.files import UIDS, Dashboard, load
from tests.dashboards.mistakes import MISTAKES, Mistake
from tests.dashboards.node import Node


def every_problem(dashboard: Dashboard, node: Node) -> Iterator[str]:
    """Yield what any check finds wrong."""
    yield from node.problems(dashboard)
    yield from conventions.problems(dashboard)
    yield from queries.problems(dashboard, node)


@pytest.mark.parametrize("name", UIDS)
def test_a_dashboard_has_no_problem(name: str, node: Node) -> None:
    """Grafana's types, the conventions, and the catalogue agree with the dashboard."""
    assert [] == list(every_problem(load(name), node))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_found(mistake: Mistake, node: Node) -> None:
    """A dashboard with one mistake is refused, in words that name it."""
    dashboard = load(mistake.dashboard)
    mistake.make(dashboard)
    found = list(every_problem(dashboard, node))
    assert any(mistake.found in problem for problem in found), found
