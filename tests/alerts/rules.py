"""The shipped alert rules and their promtool tests, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ALERTS = Path(__file__).parent.parent.parent / "alerts"
RULES = ALERTS / "dumbella.rules.yml"
TESTS = sorted((ALERTS / "tests").glob("*.yml"))


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule; durations as Prometheus writes them, empty where there is none."""

    name: str
    expr: str
    wait: str
    keep: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def section(self) -> str:
        """The fragment of its runbook's address."""
        return self.annotations["runbook_url"].partition("#")[2]

    @property
    def dashboard(self) -> str:
        """The uid of its dashboard."""
        return self.annotations["dashboard_url"].removeprefix("https://grafana.example.com/d/").partition("?")[0]


def rules() -> list[dict[str, Any]]:
    """Return all rules, recording ones included, as the file has them."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[Alert]:
    """Return all alerts in the order of the file."""
    return [
        Alert(
            rule["alert"],
            rule["expr"],
            rule.get("for", ""),
            rule.get("keep_firing_for", ""),
            rule["labels"],
            rule["annotations"],
        )
        for rule in rules()
        if "alert" in rule
    ]


@dataclass(frozen=True, slots=True)
class Course:
    """What one test expects of one alert in the course of time: whether it fires, at each moment looked at."""

    alert: str
    firing: tuple[bool, ...]

    @property
    def resolves(self) -> bool:
        """Whether it fires and later does not."""
        return any(self.firing) and not self.firing[-1]

    @property
    def begins(self) -> bool:
        """Whether it does not fire and later does."""
        return any(self.firing) and not self.firing[0]


def courses() -> Iterator[Course]:
    """Yield what the promtool tests look at, one course per test and alert."""
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            seen: dict[str, list[tuple[int, bool]]] = {}
            for check in test["alert_rule_test"]:
                moment = (seconds(check["eval_time"]), bool(check["exp_alerts"]))
                seen.setdefault(check["alertname"], []).append(moment)
            for alert, moments in seen.items():
                yield Course(alert, tuple(fires for _, fires in sorted(moments)))


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """Return a duration of Prometheus, as in ``14m45s``, in seconds."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def sections() -> dict[str, str]:
    """Return the sections of the runbooks by their headings."""
    _, *parts = re.split(r"^## (.+)$", (ALERTS / "runbooks.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def dashboards() -> dict[str, Any]:
    """Return the shipped dashboards by their uids."""
    found = [json.loads(file.read_text()) for file in (ALERTS.parent / "dashboards").glob("*.json")]
    return {dashboard["uid"]: dashboard for dashboard in found}
