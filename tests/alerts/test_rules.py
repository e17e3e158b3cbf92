"""The alert rules: accepted and tested by promtool, complete, and made of what the exporter really shows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import catalogue
from tests.alerts.rules import ALERTS, RULES, TESTS, Alert, alerts, courses, dashboards, rules, seconds

#: Every alert that was promised, and how bad it is.
SEVERITIES = {
    "DumbellaExporterDown": "critical",
    "DumbellaDown": "critical",
    "DumbellaCollectorFailing": "warning",
    "DumbellaDataStale": "warning",
    "DumbellaAuthenticationFailing": "warning",
    "DumbellaReadOverrun": "warning",
    "DumbellaConfigReloadFailed": "warning",
    "DumbellaJobsDropped": "warning",
    "DumbellaUnknownValues": "info",
    "DumbellaMappingErrors": "warning",
    "DumbellaJobError": "warning",
    "DumbellaServiceError": "critical",
    "DumbellaServiceStopped": "warning",
    "DumbellaServiceRestarted": "warning",
    "DumbellaServiceFlapping": "critical",
    "DumbellaPublishedVersionOutdated": "info",
    "DumbellaPublishedJobDeleted": "warning",
    "DumbellaExecutionRunningTooLong": "warning",
    "DumbellaSequentialJobBlocked": "critical",
    "DumbellaExecutionFailed": "warning",
    "DumbellaJobNotSucceededRecently": "warning",
    "DumbellaExecutionsUnresolved": "warning",
    "DumbellaSidecarDown": "warning",
    "DumbellaKillUnconfirmed": "warning",
    "DumbellaKillFailing": "warning",
    "DumbellaKillDeniedMany": "warning",
    "DumbellaKillAuditFailing": "critical",
    "DumbellaKillDryRun": "info",
}
RUNBOOKS = "https://git.example.com/dumbella-exporter/blob/main/alerts/runbooks.md#"
GRAFANA = "https://grafana.example.com/d/"

every_alert = pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)


def promtool(binary: Path, *arguments: object) -> str:
    """Return what promtool prints, or fail with it."""
    answer = subprocess.run(  # noqa: S603 - found by the fixture
        [binary, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_promtool_accepts_the_rules(promtool_binary: Path) -> None:
    """``promtool check rules`` finds no mistake and no duplicate."""
    found = promtool(promtool_binary, "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert f"SUCCESS: {len(rules())} rules found" in found


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_promtool_tests_pass(promtool_binary: Path, file: Path) -> None:
    """``promtool test rules`` passes for every file of alerts/tests."""
    assert "SUCCESS" in promtool(promtool_binary, "test", "rules", file)


#: What is meant to tell one exporter from another.
_PER_EXPORTER = {"DumbellaExporterDown", "DumbellaConfigReloadFailed"}


@pytest.mark.parametrize("file", ["reading.yml", "jobs.yml", "executions.yml"])
def test_a_second_exporter_changes_nothing(promtool_binary: Path, tmp_path: Path, file: str) -> None:
    """The same tests pass when every series is there twice, from two exporters: no alert fires twice, or less."""
    content = yaml.safe_load((ALERTS / "tests" / file).read_text())
    content["rule_files"] = [str(RULES)]
    content["tests"] = [
        test
        for test in content["tests"]
        if not _PER_EXPORTER & {check["alertname"] for check in test["alert_rule_test"]}
    ]
    for test in content["tests"]:
        test["input_series"] += [
            {**series, "series": series["series"].replace('instance="a:9877"', 'instance="b:9877"')}
            for series in test["input_series"]
        ]
    doubled = tmp_path / file
    doubled.write_text(yaml.safe_dump(content))
    assert 'instance="b:9877"' in doubled.read_text()
    assert "SUCCESS" in promtool(promtool_binary, "test", "rules", doubled)


def test_all_promised_alerts_are_there_with_their_severities() -> None:
    """The rules are the promised alerts, each once, with the severity that routing relies on."""
    assert [(alert.name, alert.labels) for alert in alerts()] == [
        (name, {"severity": severity}) for name, severity in SEVERITIES.items()
    ]


@every_alert
def test_promtool_tests_cover_the_alert(alert: Alert) -> None:
    """A test sees the alert begin, one sees it resolve, and one looks where it has to stay silent."""
    mine = [course for course in courses() if course.alert == alert.name]
    assert [] != [course for course in mine if course.begins or len(course.firing) == 1]
    assert [] != [course for course in mine if course.resolves]
    assert [] != [course for course in mine if not course.firing[0]]


@every_alert
def test_annotations_are_complete(alert: Alert) -> None:
    """The summary is static, the description tells value and moment, and the links begin with one constant each."""
    assert {"summary", "description", "runbook_url", "dashboard_url"} == set(alert.annotations)
    assert "{{" not in alert.annotations["summary"]
    assert f"{RUNBOOKS}{alert.name.lower()}" == alert.annotations["runbook_url"]
    assert alert.annotations["dashboard_url"].startswith(GRAFANA)
    description = alert.annotations["description"]
    assert "$value" in description or "ALERTS_FOR_STATE" in description
    assert re.search(r"ALERTS_FOR_STATE|humanizeDuration|in the last \d+ minutes|of the last \d+ minutes", description)
    # A description that asks for its own alert's state asks for no other's.
    assert set(re.findall(r"alertname='(\w+)'", description)) <= {alert.name}


@every_alert
def test_the_dashboard_exists_and_has_the_variables(alert: Alert) -> None:
    """The link leads to a shipped dashboard and sets only variables that it has, to labels that the alert has."""
    link = alert.annotations["dashboard_url"]
    variables = re.findall(r"[?&]var-(\w+)=\{\{ \$labels\.(\w+) \| urlquery \}\}", link)
    assert link.count("var-") == len(variables)
    known = {variable["name"] for variable in dashboards()[alert.dashboard]["templating"]["list"]}
    assert {(name, name) for name in known} >= set(variables)
    assert {label for _, label in variables} <= _labels_that_reach(alert.expr)


@every_alert
def test_jobs_are_named(alert: Alert) -> None:
    """An alert on a job carries target, application, job id and name, and its description names the job."""
    if "job_name" not in alert.expr:
        assert not re.search(r"dumbella_job_(?!executions_finished)|dumbella_execution_", alert.expr)
        return
    assert "by (target, application, job_id, job_name)" in alert.expr
    for label in ("job_name", "application", "target"):
        assert f"$labels.{label} }}" in alert.annotations["description"]


#: What Prometheus itself adds, and what a rule makes up.
_SCRAPE_LABELS = {"job", "instance"}
_MADE_LABELS = {"dropped"}
_RECORDED = {rule["record"]: set(catalogue.JOB_LABELS) for rule in rules() if "record" in rule}
_LABELS = {
    "up": _SCRAPE_LABELS,
    **_RECORDED,
    **{metric.name: {*metric.labels, *_SCRAPE_LABELS} for metric in catalogue.metrics()},
}
_VALUES = {metric.name: set(metric.values) for metric in catalogue.metrics() if metric.values}
_SELECTOR = re.compile(r"(?<![\w:])(up|(?:job:)?dumbella_[\w:]*\w)(?:\{([^}]*)\})?")


def _family(name: str) -> str:
    return name if name in _LABELS else re.sub(r"_(sum|count|bucket)$", "", name)


def _labels_that_reach(expression: str) -> set[str]:
    """Return the labels that results of an expression can have."""
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    replaced = set(re.findall(r'label_replace\(.*, "(\w+)", "\w+", "", ""\)', expression))
    return replaced | (grouped or _SCRAPE_LABELS)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_metrics_and_labels_are_those_of_the_catalogue(rule: dict[str, Any]) -> None:
    """Every metric, label and label value that an expression names is one that the catalogue declares."""
    expression = rule["expr"]
    selectors = _SELECTOR.findall(expression)
    assert selectors
    used: set[str] = set()
    for name, matchers in selectors:
        family = _family(name)
        assert family in _LABELS
        used |= _LABELS[family]
        for label, operator, value in re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', matchers):
            assert label in _LABELS[family]
            if family in _VALUES and label not in {"target", "application", "job", "provider"}:
                assert (
                    {value} <= _VALUES[family] if operator in {"=", "!="} else set(value.split("|")) <= _VALUES[family]
                )
    grouped = re.findall(r"(?:by|on|without|ignoring) \(([^)]*)\)", expression)
    assert {label.strip() for group in grouped for label in group.split(",")} <= used
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.get("annotations", {}).values())))
    assert shown <= _labels_that_reach(expression)
    assert shown - _MADE_LABELS <= used


@every_alert
def test_ranges_are_wide_enough_for_a_scrape_a_minute(alert: Alert) -> None:
    """Ranges hold at least four scrapes at an interval of a minute, so that generations of Prometheus agree."""
    assert [] == [found for found in re.findall(r"\[(\w+)\]", alert.expr) if seconds(found) < 4 * 60]


@every_alert
def test_a_failed_scrape_ends_no_alert(alert: Alert) -> None:
    """Every alert on scraped data is kept for five minutes or more; one on ``up`` needs no keeping."""
    if re.search(r"(?<!\w)up\{", alert.expr):
        assert alert.keep == ""
    else:
        assert seconds(alert.keep) >= 300
