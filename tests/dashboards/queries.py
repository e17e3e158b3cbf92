"""The questions that dashboards ask of Prometheus, and what they may consist of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter import catalogue
from exporter.catalogue import Metric
from tests.dashboards.files import Dashboard, panels
from tests.dashboards.node import Node

#: What Prometheus itself writes, with the labels that may be asked for.
OF_PROMETHEUS: Mapping[str, frozenset[str]] = {
    "up": frozenset(),
    "scrape_samples_scraped": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "target", "application", "job_name"}),
}
SUFFIXES = {"summary": ("_sum", "_count"), "histogram": ("_bucket", "_sum", "_count")}
SERIES: Mapping[str, Metric] = {
    metric.name + suffix: metric for metric in catalogue.metrics() for suffix in SUFFIXES.get(metric.kind, ("",))
}
VARIABLES = ("job", "instance", "target", "application")
AGGREGATIONS = {"max", "min", "sum", "count", "avg", "topk", "bottomk", "group", "quantile"}
GROWTH = {"rate", "increase", "irate"}
RANGES = {"$__rate_interval", "$__range"}


@dataclass(frozen=True, slots=True)
class Question:
    """An expression, where it stands, and the label names that its legend or its title shows."""

    where: str
    expression: str
    shown: frozenset[str]


def _shown(template: str) -> frozenset[str]:
    return frozenset(re.findall(r"\{\{\s*(\w+)\s*\}\}", template))


def questions(dashboard: Dashboard) -> Iterator[Question]:
    """Yield every expression of panels and annotations."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            where = f"panel “{panel['title']}” {target['refId']}"
            yield Question(where, target["expr"], _shown(target.get("legendFormat", "")))
    for annotation in dashboard["annotations"]["list"]:
        titles = annotation.get("titleFormat", "") + annotation.get("textFormat", "")
        yield Question(f"annotation “{annotation['name']}”", annotation.get("expr", ""), _shown(titles))


def selectors_of_variables(dashboard: Dashboard) -> Iterator[Question]:
    """Yield the selector and the label of every variable that asks for values of a label."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            where = f"variable “{variable['name']}”"
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            yield Question(where, match[1] if match else "", frozenset({match[2]} if match else ()))


def problems(dashboard: Dashboard, node: Node) -> Iterator[str]:
    """Yield what is wrong with the expressions, a sentence each."""
    asked = list(questions(dashboard))
    for question, facts in zip(asked, node.promql([question.expression for question in asked]), strict=True):
        yield from (f"{question.where}: {problem}" for problem in _problems(question, facts))
    asked = list(selectors_of_variables(dashboard))
    for question, facts in zip(asked, node.promql([question.expression for question in asked]), strict=True):
        found = [_problems_of_names(question, facts), _problems_of_syntax(facts)]
        yield from (f"{question.where}: {problem}" for problems_ in found for problem in problems_)


def _problems(question: Question, facts: Mapping[str, Any]) -> Iterator[str]:
    yield from _problems_of_syntax(facts)
    yield from _problems_of_names(question, facts)
    if "vector" in facts["functions"]:
        yield "vector() makes a number out of nothing"
    for selector in facts["selectors"]:
        yield from _problems_of_variables(selector)
        yield from _problems_of_growth(selector)
        yield from _problems_of_doubles(selector)


def _problems_of_syntax(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["error"]:
        yield f"no PromQL {facts['error']}"
    if not facts["selectors"]:
        yield "it asks for nothing"


def _labels(series: str) -> frozenset[str]:
    if series in OF_PROMETHEUS:
        return OF_PROMETHEUS[series] | {"job", "instance"}
    bucket = {"le"} if series.endswith("_bucket") else set()
    return frozenset({*SERIES[series].labels, "job", "instance", *bucket})


def _names(selector: Mapping[str, Any]) -> Sequence[str]:
    """Return the series that a selector is about, which may stand in a matcher."""
    alternatives = [matcher["value"].split("|") for matcher in selector["matchers"] if matcher["label"] == "__name__"]
    return alternatives[0] if alternatives else [selector["name"]]


def _problems_of_names(question: Question, facts: Mapping[str, Any]) -> Iterator[str]:
    known: set[str] = set(facts["makes"])
    for selector in facts["selectors"]:
        for name in _names(selector):
            if name not in SERIES and name not in OF_PROMETHEUS:
                yield f"the metric {name} is not in the catalogue"
                return
            labels = _labels(name)
            known |= labels
            for matcher in selector["matchers"]:
                if matcher["label"] not in labels | {"__name__"}:
                    yield f"the metric {name} has no label {matcher['label']}"
                yield from _problems_of_values(name, matcher)
    for label in [*facts["labels"], *question.shown]:
        if label not in known:
            yield f"no metric here has the label {label}"


def _problems_of_values(name: str, matcher: Mapping[str, str]) -> Iterator[str]:
    """Yield the values that a label of a fixed set never has."""
    metric = SERIES.get(name)
    if metric is None or not metric.values or matcher["label"] != metric.labels[-1]:
        return
    for value in matcher["value"].split("|"):
        if value not in metric.values:
            yield f"{matcher['label']} is never {value}"


def _problems_of_variables(selector: Mapping[str, Any]) -> Iterator[str]:
    matchers = {(matcher["label"], matcher["operator"], matcher["value"]) for matcher in selector["matchers"]}
    if selector["name"] == "ALERTS":
        # Alerts have other labels than what they are about; a missing label is as good as a matching one.
        wanted = {(label, "=~", f"${label}|") for label in ("target", "application")}
    else:
        wanted = {(label, "=~", f"${label}") for label in VARIABLES if label in _known_labels(selector["name"])}
    for label, operator, value in sorted(wanted - matchers):
        yield f'{selector["name"]} lacks the matcher {label}{operator}"{value}"'


def _known_labels(series: str) -> frozenset[str]:
    return _labels(series) if series in SERIES or series in OF_PROMETHEUS else frozenset()


def _is_counter(series: str) -> bool:
    metric = SERIES.get(series)
    return metric is not None and metric.kind in {"counter", "summary", "histogram"}


def _problems_of_growth(selector: Mapping[str, Any]) -> Iterator[str]:
    nearest = selector["functions"][0] if selector["functions"] else ""
    if _is_counter(selector["name"]) and nearest not in GROWTH:
        yield f"the counter {selector['name']} is shown raw"
    if selector["range"] is not None and selector["range"] not in RANGES:
        yield f"the range [{selector['range']}] is none of {', '.join(sorted(RANGES))}"


def _problems_of_doubles(selector: Mapping[str, Any]) -> Iterator[str]:
    if selector["name"] in OF_PROMETHEUS:
        return
    first = next((name for name in selector["functions"] if name in AGGREGATIONS), None)
    if first not in {"max", "min"}:
        yield f"two exporters double {selector['name']}, which is not reduced by max or min first"
