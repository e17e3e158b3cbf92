"""What a person sees who looks at a dashboard: its questions to a real Prometheus, shown by Grafana's own code."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.dashboards.files import Dashboard, Panel, load, panel
from tests.dashboards.node import Node
from tests.prometheus import Prometheus

ALL = "$__all"
#: Seconds that the tests look back: longer than those of one module may take on a slow machine.
RANGE = 300
#: What rates are over: Grafana takes at least four scrapes, of a second here.
RATE_INTERVAL = "15s"

Selection = Mapping[str, Sequence[str]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """One person's view of the dashboards.

    Attributes:
        selection: the values that are chosen, by variable; all where nothing is.
        theme: ``dark`` or ``light``.
        keeps_empty: whether Grafana's server answers an empty result with an empty table, which depends on its version.
    """

    prometheus: Prometheus
    node: Node
    selection: Selection = field(default_factory=dict)
    theme: str = "dark"
    keeps_empty: bool = True

    def selecting(self, **values: str | Sequence[str]) -> View:
        """Return a view with other values chosen."""
        chosen = {name: [value] if isinstance(value, str) else value for name, value in values.items()}
        return replace(self, selection={**self.selection, **chosen})

    def ask(self, shown: Panel) -> list[dict[str, Any]]:
        """Return Prometheus' answers to all questions of a panel, all at one moment."""
        now = time.time()
        asked = ((target["refId"], self._answer(target, now)) for target in shown["targets"])
        return [{"refId": letter, "series": series} for letter, series in asked if series or self.keeps_empty]

    def _answer(self, target: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
        expression = self.interpolate(target["expr"])
        if target["instant"]:
            answer = self.prometheus.get("query", query=expression, time=str(now))
            found = answer["result"] if answer["resultType"] == "vector" else []
            return [{"labels": each["metric"], "points": [_point(each["value"])]} for each in found]
        span = {"start": str(now - RANGE), "end": str(now), "step": "1"}
        found = self.prometheus.get("query_range", query=expression, **span)["result"]
        return [{"labels": each["metric"], "points": [_point(value) for value in each["values"]]} for each in found]

    def interpolate(self, expression: str) -> str:
        """Return an expression as the Prometheus data source sends it."""
        expression = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", f"{RANGE}s")
        expression = re.sub(r"\$\{(\w+):raw\}", lambda found: self.selection[found[1]][0], expression)
        # Grafana leaves what is no variable of the dashboard, such as the groups of label_replace.
        return re.sub(r"\$([a-z]\w*)", lambda found: self._pattern(found[1]), expression)

    def _pattern(self, variable: str) -> str:
        values = self.selection.get(variable, [ALL])
        if list(values) == [ALL]:
            return ".+"
        # The backslash of a regular expression is doubled once more inside of the quotes of PromQL.
        escaped = [re.sub(r"[$^*{}\[\]+?.()|]", r"\\\\\g<0>", value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"

    def values(self, dashboard: Dashboard, variable: str) -> list[str]:
        """Return the values among which a person can choose."""
        (found,) = (each for each in dashboard["templating"]["list"] if each["name"] == variable)
        query = re.fullmatch(r"label_values\((.+), (\w+)\)", found["query"]["query"])
        assert query is not None
        span = {"start": str(time.time() - RANGE), "end": str(time.time())}
        values = self.prometheus.get(f"label/{query[2]}/values", **span, **{"match[]": self.interpolate(query[1])})
        return sorted(values)

    def frames(self, dashboard: str, title: str) -> list[dict[str, Any]]:
        """Return what a panel shows: frames with ``columns``, and ``rows`` of cells by column."""
        whole = load(dashboard)
        shown = panel(whole, title)
        answers = self.ask(shown)
        names = [each["name"] for each in whole["templating"]["list"]]
        variables = {name: list(self.selection.get(name, [ALL])) for name in names}
        variables["datasource"] = ["prometheus"]
        if "kill_url" in names:
            variables["kill_url"] = self.values(whole, "kill_url")[:1] or [""]
        found: list[dict[str, Any]] = self.node.ask(
            "show", panel=shown, answers=answers, variables=variables, theme=self.theme
        )
        return found

    def rows(self, dashboard: str, title: str) -> list[Row]:
        """Return the rows of a table, from the top, each cell by its column."""
        frames = self.frames(dashboard, title)
        assert len(frames) <= 1, frames
        return [row for frame in frames for row in frame["rows"]]

    def texts(self, dashboard: str, title: str, *columns: str) -> list[tuple[str, ...]]:
        """Return what some columns of a table show, from the top."""
        return [tuple(row[column]["text"] for column in columns) for row in self.rows(dashboard, title)]

    def stat(self, dashboard: str, title: str) -> dict[str, tuple[str, str | None]]:
        """Return the latest text and colour of each series of a panel, by its name."""
        shown: dict[str, tuple[str, str | None]] = {}
        for frame in self.frames(dashboard, title):
            name = frame["columns"][-1]
            assert name not in shown, f"{title} shows {name} twice"
            cell = frame["rows"][-1][name]
            shown[name] = (cell["text"], cell["colour"])
        return shown

    def number(self, dashboard: str, title: str) -> float | None:
        """Return the one number of a panel, ``None`` for *No data*."""
        series = [each for answer in self.ask(panel(load(dashboard), title)) for each in answer["series"]]
        assert len(series) <= 1, series
        return series[0]["points"][-1][1] if series else None

    def numbers(self, dashboard: str, title: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the latest numbers of a panel with one query, by the values of labels."""
        (answer,) = self.ask(panel(load(dashboard), title))
        found: dict[tuple[str, ...], float] = {}
        for series in answer["series"]:
            key = tuple(series["labels"].get(label, "") for label in labels)
            assert key not in found, f"{title} shows {key} twice"
            found[key] = series["points"][-1][1]
        return found


def _point(value: Sequence[Any]) -> list[float]:
    return [round(float(value[0]) * 1000), float(value[1])]
