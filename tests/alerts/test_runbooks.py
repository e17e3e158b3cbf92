"""The runbooks: a section per alert, complete, in step with the rules, with queries that Prometheus understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from exporter import catalogue
from tests.alerts.rules import ALERTS, Alert, alerts, dashboards, rules, sections
from tests.alerts.test_rules import every_alert, promtool

POINTS = ["Meaning", "Look", "Causes", "Do", "Clears", "Silence", "Threshold"]
_METRIC = re.compile(r"\b(?:job:)?dumbella_[a-z_]+[a-z](?::[a-z]+)?\b")


def _queries(section: str) -> list[str]:
    """Return what a section's point Look quotes, but for the uid of the dashboard."""
    look = re.sub(r"\s+", " ", section[section.index("**Look.**") : section.index("- **Causes.**")])
    return [quoted for quoted in re.findall(r"`([^`]+)`", look) if not quoted.startswith("dumbella-")]


def test_sections_are_the_alerts_in_their_order() -> None:
    """Every alert has a section, and there is no section besides."""
    assert [alert.name for alert in alerts()] == list(sections())


@every_alert
def test_the_link_leads_to_the_section(alert: Alert) -> None:
    """The fragment of the alert's link is the one that its heading gets."""
    assert alert.section in {heading.lower() for heading in sections()}
    assert alert.name.lower() == alert.section


@every_alert
def test_a_section_is_complete(alert: Alert) -> None:
    """A section tells severity and waiting time as the rule has them, and then every point, in one order."""
    section = sections()[alert.name]
    wait = f"after {alert.wait}" if alert.wait else "at once"
    assert section.split("\n")[2] == f"{alert.labels['severity']}, {wait}"
    assert re.findall(r"^- \*\*(\w+)\.\*\*", section, re.MULTILINE) == POINTS


@every_alert
def test_a_section_names_the_dashboard_of_the_link(alert: Alert) -> None:
    """The dashboard that the section names, by title and uid, is the one that the alert links to."""
    named = re.findall(r"Dashboard ([\w ]+) \(`([\w-]+)`\)", sections()[alert.name])
    assert named == [(dashboards()[alert.dashboard]["title"], alert.dashboard)]


@every_alert
def test_a_section_shows_a_metric_of_the_alert(alert: Alert) -> None:
    """The queries to look with name a metric of the alert's expression, or ``up`` where it is all that it has."""
    shown = " ".join(_queries(sections()[alert.name]))
    metrics = set(_METRIC.findall(alert.expr)) or {"up"}
    assert [] != [metric for metric in metrics if metric in shown]


def test_metrics_in_the_runbooks_exist() -> None:
    """The runbooks name no metric that neither the catalogue nor a recording rule has."""
    known = {metric.name for metric in catalogue.metrics()} | {rule["record"] for rule in rules() if "record" in rule}
    assert set(_METRIC.findall((ALERTS / "runbooks.md").read_text())) <= known


def test_queries_are_understood(promtool_binary: Path, tmp_path: Path) -> None:
    """Prometheus can parse every query of the runbooks."""
    queries = [query for section in sections().values() for query in _queries(section) if _METRIC.search(query)]
    assert len(queries) >= len(alerts())
    file = tmp_path / "queries.yml"
    recorded = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    assert f"SUCCESS: {len(queries)} rules found" in promtool(promtool_binary, "check", "rules", file)


@pytest.mark.parametrize("heading", sections())
def test_links_within_the_runbooks_lead_somewhere(heading: str) -> None:
    """A section links to sections and documents that exist."""
    fragments = re.findall(r"\]\(#([^)]+)\)", sections()[heading])
    assert set(fragments) <= {name.lower() for name in sections()}
    files = re.findall(r"\]\((?!https?:|#)([^)#]+)", sections()[heading])
    assert [] == [file for file in files if not (ALERTS / file).exists()]
