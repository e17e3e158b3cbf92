"""Mistakes that are made in dashboards, each with words of the problem that has to be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.dashboards.files import Dashboard, panel


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Attributes:
        dashboard: the name of the one in which it is made.
        make: makes it, in place.
        found: what one of the problems says.
    """

    name: str
    dashboard: str
    make: Callable[[Dashboard], None]
    found: str


def _organize(table: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = table["transformations"][-1]["options"]
    return options


def _override(shown: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in shown["fieldConfig"]["overrides"] if each["matcher"]["options"] == name)
    override: dict[str, Any] = found
    return override


def _property(shown: dict[str, Any], name: str, id_: str) -> dict[str, Any]:
    (found,) = (each for each in _override(shown, name)["properties"] if each["id"] == id_)
    property_: dict[str, Any] = found
    return property_


def _asks(title: str, expression: str) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        panel(dashboard, title)["targets"][0]["expr"] = expression

    return make


def _rewrites(title: str, old: str, new: str) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        target = panel(dashboard, title)["targets"][0]
        assert old in target["expr"]
        target["expr"] = target["expr"].replace(old, new)

    return make


def _sets(title: str, *path: str | int, to: object) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        place: Any = panel(dashboard, title)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return make


def _deletes(title: str, *path: str | int) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        place: Any = panel(dashboard, title)
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return make


def _sets_whole(key: str, value: object) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        dashboard[key] = value

    return make


def _sets_variable(name: str, key: str, value: object) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        (found,) = (each for each in dashboard["templating"]["list"] if each["name"] == name)
        found[key] = value

    return make


def _removes_column(dashboard: Dashboard) -> None:
    table = panel(dashboard, "Running executions")
    _organize(table)["excludeByName"]["Value #C"] = True


def _adds_property(title: str, column: str, id_: str, value: object) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        _override(panel(dashboard, title), column)["properties"].append({"id": id_, "value": value})

    return make


def _sets_property(title: str, column: str, id_: str, value: object) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        _property(panel(dashboard, title), column, id_)["value"] = value

    return make


def _sets_annotation(key: str, value: object) -> Callable[[Dashboard], None]:
    def make(dashboard: Dashboard) -> None:
        dashboard["annotations"]["list"][0][key] = value

    return make


def _copies_id(dashboard: Dashboard) -> None:
    dashboard["panels"][1]["id"] = dashboard["panels"][0]["id"]


def _opens_here(dashboard: Dashboard) -> None:
    _property(panel(dashboard, "Running executions"), "Kill", "links")["value"][0]["targetBlank"] = False


def _kills_by_one_click(dashboard: Dashboard) -> None:
    _property(panel(dashboard, "Running executions"), "Kill", "links")["value"][0]["oneClick"] = True


def _forgets_the_menu(dashboard: Dashboard) -> None:
    dashboard["links"][0]["includeVars"] = False


def _forgets_a_variable(dashboard: Dashboard) -> None:
    variables = dashboard["templating"]["list"]
    dashboard["templating"]["list"] = [each for each in variables if each["name"] != "kill_url"]


def _colours(title: str, colour: str) -> Callable[[Dashboard], None]:
    return _sets(title, "fieldConfig", "defaults", "thresholds", "steps", 1, "color", to=colour)


_ENTRY = ("fieldConfig", "defaults")
_IN_ERROR = 'dumbella_job_status{job=~"$job", instance=~"$instance", target=~"$target", application=~"$application"}'
_STARTED = (
    'dumbella_job_executions_started_total{job=~"$job", instance=~"$instance", target=~"$target", '
    'application=~"$application"}'
)

MISTAKES = (
    # What Grafana does not understand.
    Mistake("unknown unit", "jobs", _sets("Running", *_ENTRY, "unit", to="secs"), "unknown unit secs"),
    Mistake(
        "unknown unit of a column",
        "jobs",
        _sets_property("All jobs", "Last update", "unit", "dateTimeAgo"),
        "unknown unit dateTimeAgo",
    ),
    Mistake(
        "wrong override id", "jobs", _adds_property("All jobs", "Status", "units", "none"), "unknown override id units"
    ),
    Mistake(
        "wrong custom override id",
        "jobs",
        _adds_property("All jobs", "Status", "custom.widht", 90),
        'must NOT have additional properties "widht"',
    ),
    Mistake(
        "wrong value of an override",
        "jobs",
        _adds_property("All jobs", "Status", "custom.filterable", "no"),
        "must be boolean",
    ),
    Mistake(
        "unknown matcher",
        "jobs",
        _sets("All jobs", "fieldConfig", "overrides", 0, "matcher", "id", to="byTitle"),
        "unknown matcher byTitle",
    ),
    Mistake(
        "unknown transformation",
        "jobs",
        _sets("All jobs", "transformations", 0, "id", to="combine"),
        "unknown transformation combine",
    ),
    Mistake(
        "a transformation that only Grafana's core has",
        "jobs",
        _sets("All jobs", "transformations", 0, "id", to="prepareTimeSeries"),
        "the transformation prepareTimeSeries cannot be tried",
    ),
    Mistake("unknown option", "jobs", _sets("Running", "options", "colourMode", to="none"), '"colourMode"'),
    Mistake(
        "unknown value of an option", "jobs", _sets("Running", "options", "colorMode", to="loud"), "allowed values"
    ),
    Mistake("unknown panel", "jobs", _sets("Running", "type", to="singlestat"), "unknown type singlestat"),
    Mistake("unknown key of a panel", "jobs", _sets("Running", "target", to=[]), '"target"'),
    Mistake("unknown key of a dashboard", "jobs", _sets_whole("graphTooltips", 1), '"graphTooltips"'),
    # What does not fit together.
    Mistake(
        "undefined variable", "jobs", _rewrites("Running", "$target", "$targets"), "variable targets is not defined"
    ),
    Mistake("undefined variable of a link", "job-manager", _forgets_a_variable, "variable kill_url is not defined"),
    Mistake("no data source", "jobs", _deletes("Running", "datasource"), "the data source is not the variable"),
    Mistake(
        "a fixed data source",
        "jobs",
        _sets("Running", "targets", 0, "datasource", to={"type": "prometheus", "uid": "abc"}),
        "A: the data source is not the variable",
    ),
    Mistake(
        "no data source of a variable",
        "jobs",
        _sets_variable("target", "datasource", None),
        "variable “target”: the data source is not the variable",
    ),
    Mistake(
        "no data source of an annotation",
        "jobs",
        _sets_annotation("datasource", {"type": "prometheus", "uid": "abc"}),
        "annotation “Publications”: the data source is not the variable",
    ),
    Mistake("overlapping panels", "jobs", _sets("Running", "gridPos", "x", to=3), "it overlaps"),
    Mistake("beside the grid", "jobs", _sets("Running", "gridPos", "x", to=23), "outside of the 24 columns"),
    Mistake("duplicate id", "jobs", _copies_id, "2 panels have the id 1"),
    Mistake("link to a removed column", "job-manager", _removes_column, "needs the column Started, which is not shown"),
    Mistake(
        "override of a column that is not there",
        "jobs",
        _sets("All jobs", "fieldConfig", "overrides", 0, "matcher", "options", to="Title"),
        "an override of Title",
    ),
    Mistake(
        "sorted by a column that is not there",
        "jobs",
        _sets("All jobs", "options", "sortBy", 0, "displayName", to="Severity"),
        "sorted by Severity",
    ),
    Mistake("no title", "jobs", _sets("Running", "description", to=""), "no title or no description"),
    Mistake("no unit", "jobs", _deletes("Running", *_ENTRY, "unit"), "neither a unit nor mappings"),
    Mistake("a table over time", "jobs", _sets("All jobs", "targets", 0, "range", to=True), "shows the latest values"),
    Mistake("a table of series", "jobs", _sets("All jobs", "targets", 0, "format", to="time_series"), "does not fit"),
    Mistake("a table too wide", "jobs", _sets_property("All jobs", "Type", "custom.width", 400), "pixels of 1260"),
    # What would mislead.
    Mistake(
        "metric not in the catalogue", "jobs", _asks("Running", "sum(dumbella_jobs_running)"), "not in the catalogue"
    ),
    Mistake(
        "label not in the catalogue",
        "jobs",
        _rewrites("In error", 'status="ERROR"', 'state="ERROR"'),
        "has no label state",
    ),
    Mistake(
        "value that a label never has",
        "jobs",
        _rewrites("In error", 'status="ERROR"', 'status="FAILED"'),
        "never FAILED",
    ),
    Mistake(
        "grouped by an unknown label",
        "jobs",
        _rewrites("Jobs", "by (target, application)", "by (target, app)"),
        "no metric here has the label app",
    ),
    Mistake(
        "a legend of an unknown label",
        "jobs",
        _sets("Targets", "targets", 0, "legendFormat", to="{{cluster}}"),
        "no metric here has the label cluster",
    ),
    Mistake(
        "a variable of an unknown metric",
        "jobs",
        _sets_variable("target", "query", {"query": "label_values(dumbella_targets, target)", "refId": "x"}),
        "dumbella_targets is not in the catalogue",
    ),
    Mistake("raw counter", "jobs", _asks("Running", f"sum(max by (target) ({_STARTED}))"), "is shown raw"),
    Mistake(
        "a fixed range",
        "jobs",
        _asks("Running", f"sum(max by (target) (rate({_STARTED}[5m])))"),
        "the range [5m] is none",
    ),
    Mistake(
        "or vector(0)", "jobs", _asks("Running", f"count(max by (job_id) ({_IN_ERROR}) == 1) or vector(0)"), "vector()"
    ),
    Mistake("doubled by two exporters", "jobs", _asks("Running", f"count({_IN_ERROR} == 1)"), "two exporters double"),
    Mistake(
        "not selected by the variables",
        "jobs",
        _rewrites("Running", 'instance=~"$instance", ', ""),
        "lacks the matcher",
    ),
    Mistake("no PromQL", "jobs", _asks("Running", "sum(up{job=~"), "no PromQL"),
    Mistake("no query", "jobs", _sets("Running", "targets", to=[]), "it asks for nothing"),
    Mistake("green", "jobs", _colours("In error", "#1A7F37"), "cannot be told from red"),
    Mistake("unreadable colour", "jobs", _colours("In error", "#FADE2A"), "white text cannot be read"),
    Mistake("colour of a theme", "jobs", _colours("In error", "red"), "is another on dark than on light"),
    # What would get in the way.
    Mistake("kill by one click", "job-manager", _kills_by_one_click, "follows a click without a choice"),
    Mistake("kill in the same tab", "job-manager", _opens_here, "leaves the dashboard"),
    Mistake("a menu without variables", "jobs", _forgets_the_menu, "not exactly one menu"),
    Mistake("editable", "jobs", _sets_whole("editable", True), "editable is True"),
    Mistake("made for one installation", "jobs", _sets_whole("__inputs", []), "belongs to one installation"),
    Mistake("another uid", "jobs", _sets_whole("uid", "jobs"), "the uid jobs is not one of the four"),
    Mistake("no All", "jobs", _sets_variable("target", "includeAll", False), "cannot be chosen"),
    Mistake("another All", "jobs", _sets_variable("target", "allValue", ".*"), "All is not .+"),
    Mistake(
        "a variable of yesterday", "jobs", _sets_variable("target", "refresh", 1), "does not follow the time range"
    ),
    Mistake(
        "a cell of new versions",
        "jobs",
        _sets_property("All jobs", "Status", "custom.cellOptions", {"type": "pill"}),
        "not every Grafana knows the cell pill",
    ),
    Mistake(
        "a column hidden as only new versions can",
        "jobs",
        _adds_property("All jobs", "Status", "custom.hidden", True),
        "not every Grafana knows custom.hidden",
    ),
)
