"""What all dashboards have to keep, and grafana/dashboard-linter's rules, as checks of their JSON."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from exporter import catalogue
from tests.dashboards.files import UIDS, Dashboard, Panel, panels

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Only these are part of @grafana/data, and so can be tried outside Grafana.
TRANSFORMATIONS = {
    "merge",
    "organize",
    "sortBy",
    "filterByValue",
    "labelsToFields",
    "joinByField",
    "reduce",
    "groupBy",
}
CELLS = {"auto", "color-text", "color-background", "data-links"}
#: What Grafana before 12 does not know, or treats otherwise.
NOT_PORTABLE = {"custom.hidden", "custom.hideFrom", "custom.footer", "custom.wrapHeaderText", "actions"}
#: Pixels that a table of full width has at 1600 pixels, beside Grafana's menu.
TABLE_WIDTH = 1260
#: Contrast that white text needs, from the accessibility guidelines.
CONTRAST = 4.5
COLUMNS = 24


def problems(dashboard: Dashboard) -> Iterator[str]:
    """Yield what is wrong with a dashboard, a sentence each."""
    yield from _of_the_whole(dashboard)
    yield from _of_variables(dashboard)
    yield from _of_names(dashboard)
    yield from _of_places(dashboard)
    for annotation in dashboard["annotations"]["list"]:
        if annotation.get("datasource") != DATA_SOURCE:
            yield f"annotation “{annotation['name']}”: the data source is not the variable"
    for panel in panels(dashboard):
        for check in (_of_texts, _of_targets, _of_tables, _of_overrides, _of_links, _of_colours):
            yield from (f"panel “{panel['title']}”: {problem}" for problem in check(panel))


EXPECTED = {
    "tags": ["dumbella"],
    "schemaVersion": 39,
    "editable": False,
    "refresh": "30s",
    "timezone": "browser",
    "graphTooltip": 1,
}
LINK = {"type": "dashboards", "tags": ["dumbella"], "asDropdown": True, "includeVars": True, "keepTime": True}


def _of_the_whole(dashboard: Dashboard) -> Iterator[str]:
    for key, value in EXPECTED.items():
        if dashboard.get(key) != value:
            yield f"{key} is {dashboard.get(key)!r}, not {value!r}"
    if dashboard["uid"] not in UIDS.values():
        yield f"the uid {dashboard['uid']} is not one of the four"
    for key in ("id", "__inputs", "__requires", "__elements"):
        if key in dashboard:
            yield f"{key} belongs to one installation"
    if [LINK] != [{key: link.get(key) for key in LINK} for link in dashboard["links"]]:
        yield "there is not exactly one menu with the other dashboards, which takes variables and time along"


def _of_variables(dashboard: Dashboard) -> Iterator[str]:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    if [name for name, variable in variables.items() if variable["type"] == "datasource"] != ["datasource"]:
        yield "there is not exactly one data source variable, named datasource"
    if variables.get("datasource", {}).get("label") != "Data source":
        yield "the data source variable is not labelled Data source"
    for name, variable in variables.items():
        if variable["type"] == "query":
            yield from (f"variable “{name}”: {problem}" for problem in _of_variable(variable))
    for name in ("job", "instance", "target", "application"):
        variable = variables.get(name, {})
        if not (variable.get("multi") and variable.get("includeAll")):
            yield f"variable “{name}”: several values, and all, cannot be chosen"
        if variable.get("label") != name.capitalize():
            yield f"variable “{name}”: the label is not {name.capitalize()}"


def _of_variable(variable: Mapping[str, Any]) -> Iterator[str]:
    if variable.get("datasource") != DATA_SOURCE:
        yield "the data source is not the variable"
    if variable.get("refresh") != 2:
        yield "it does not follow the time range"
    if variable.get("includeAll") and variable.get("allValue") != ".+":
        yield "All is not .+"


#: ``$name``, ``${name}``, ``${name:format}`` or ``[[name]]``, but not what Grafana itself provides.
_USE = re.compile(r"\$(?!__)(\w+)|\$\{(?!__)(\w+)[^}]*\}|\[\[(\w+)[^\]]*\]\]")
#: The groups of a regular expression, as label_replace and mappings write them.
_GROUP = re.compile(r"\d+")


def _of_names(dashboard: Dashboard) -> Iterator[str]:
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = {name for found in _USE.findall(json.dumps(dashboard)) for name in found if name}
    for name in sorted(used):
        if name not in defined and not _GROUP.fullmatch(name):
            yield f"the variable {name} is not defined"
    for name in sorted(defined - used):
        yield f"the variable {name} is not used"


def _of_places(dashboard: Dashboard) -> Iterator[str]:
    every = [*dashboard["panels"], *(inner for panel in dashboard["panels"] for inner in panel.get("panels", ()))]
    for id_, count in Counter(panel.get("id") for panel in every).items():
        if count > 1 or not isinstance(id_, int):
            yield f"{count} panels have the id {id_}"
    for panel in every:
        place = panel["gridPos"]
        if min(place.values()) < 0 or place["x"] + place["w"] > COLUMNS or 0 in {place["w"], place["h"]}:
            yield f"panel “{panel['title']}”: it is outside of the {COLUMNS} columns"
    for one, other in itertools.combinations(every, 2):
        if _overlap(one["gridPos"], other["gridPos"]):
            yield f"panel “{one['title']}”: it overlaps “{other['title']}”"


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def _of_texts(panel: Panel) -> Iterator[str]:
    if not panel.get("title") or not panel.get("description"):
        yield "it has no title or no description"
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    if panel["type"] != "text" and not defaults.get("unit") and not defaults.get("mappings"):
        yield "it has neither a unit nor mappings"


def _of_targets(panel: Panel) -> Iterator[str]:
    if panel["type"] == "text":
        return
    if not panel.get("targets"):
        yield "it asks for nothing"
    if panel.get("datasource") != DATA_SOURCE:
        yield "the data source is not the variable"
    letters = [target.get("refId") for target in panel.get("targets", ())]
    if len(set(letters)) != len(letters):
        yield "two queries have one letter"
    for target in panel.get("targets", ()):
        if target.get("datasource") != DATA_SOURCE:
            yield f"{target.get('refId')}: the data source is not the variable"
        is_table = panel["type"] == "table"
        if is_table != (target.get("format") == "table"):
            yield f"{target.get('refId')}: the format {target.get('format')} does not fit"
        if is_table and (not target.get("instant") or target.get("range")):
            yield f"{target.get('refId')}: a table shows the latest values"


def _overrides(panel: Panel) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name that each override is for, and its properties."""
    for override in panel.get("fieldConfig", {}).get("overrides", ()):
        yield override["matcher"]["options"], {each["id"]: each.get("value") for each in override["properties"]}


def _organized(panel: Panel) -> Mapping[str, Any]:
    found = [each["options"] for each in panel.get("transformations", ()) if each["id"] == "organize"]
    return found[0] if found else {}


def _columns(panel: Panel) -> list[str]:
    """Return the titles of a table's columns, from left to right."""
    organized = _organized(panel)
    position = organized.get("indexByName", {})
    names = sorted(organized.get("renameByName", {}), key=lambda name: position.get(name, len(position)))
    removed = organized.get("excludeByName", {})
    return [organized["renameByName"][name] for name in names if not removed.get(name)]


def _of_tables(panel: Panel) -> Iterator[str]:
    for transformation in panel.get("transformations", ()):
        if transformation["id"] not in TRANSFORMATIONS:
            yield f"the transformation {transformation['id']} cannot be tried outside of Grafana"
    if panel["type"] != "table":
        return
    columns = _columns(panel)
    if "Time" not in _organized(panel).get("excludeByName", {}):
        yield "the column Time is not removed"
    for sorting in panel["options"].get("sortBy", ()):
        if sorting["displayName"] not in columns:
            yield f"it is sorted by {sorting['displayName']}, which is no column"
    if "footer" in panel["options"]:
        yield "not every Grafana knows the footer"
    if "Error" in columns:
        columns = columns[: columns.index("Error") + 1]
    width = sum(_width(panel, column) for column in columns)
    if panel["gridPos"]["w"] == COLUMNS and width > TABLE_WIDTH:
        yield f"{', '.join(columns)} need {width} pixels of {TABLE_WIDTH}"


def _width(panel: Panel, column: str) -> int:
    properties = dict(_overrides(panel)).get(column, {})
    width: int = properties.get("custom.width") or properties.get("custom.minWidth") or 150
    return width


def _of_overrides(panel: Panel) -> Iterator[str]:
    names = set(_columns(panel)) if panel["type"] == "table" else _series(panel)
    for name, properties in _overrides(panel):
        if name not in names:
            yield f"there is an override of {name}, which it does not show"
        for property_ in properties:
            if property_ in NOT_PORTABLE:
                yield f"not every Grafana knows {property_}"
        cell = properties.get("custom.cellOptions", {"type": "auto"})["type"]
        if cell not in CELLS:
            yield f"not every Grafana knows the cell {cell}"


def _series(panel: Panel) -> set[str]:
    """Return the names that series of a panel can have, of legends that are a text or a label of few values."""
    names: set[str] = set()
    for target in panel.get("targets", ()):
        legend = target["legendFormat"]
        label = re.fullmatch(r"\{\{(\w+)\}\}", legend)
        names |= _values(label[1], target["expr"]) if label else {legend}
    return names


def _values(label: str, expression: str) -> set[str]:
    """Return the values that a label can have in an expression."""
    metrics = (metric for metric in catalogue.metrics() if metric.values and metric.labels[-1] == label)
    return {value for metric in metrics if metric.name in expression for value in metric.values}


_FIELD = re.compile(r"\$\{__data\.fields\.(\w+)")


def _of_links(panel: Panel) -> Iterator[str]:
    columns = _columns(panel)
    for name, properties in _overrides(panel):
        for link in properties.get("links", ()):
            for field in _FIELD.findall(link["url"] + link["title"]):
                if field not in columns:
                    yield f"the link of {name} needs the column {field}, which is not shown"
            if link.get("oneClick"):
                yield f"the link of {name} follows a click without a choice"
            if "placement" in link:
                yield "not every Grafana knows a link's placement"
            if "/kill?" in link["url"] and not link.get("targetBlank"):
                yield f"the link of {name} leaves the dashboard"


def _results(mappings: Any) -> Iterator[Mapping[str, Any]]:
    for mapping in mappings:
        yield from mapping["options"].values() if mapping["type"] == "value" else [mapping["options"]["result"]]


def _of_colours(panel: Panel) -> Iterator[str]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    for properties in (defaults, *(properties for _, properties in _overrides(panel))):
        results = list(_results(properties.get("mappings", ())))
        for result in results:
            if result.get("color") and not result.get("text"):
                yield "a colour stands without a text"
        steps = properties.get("thresholds", {}).get("steps", ())
        colours = {result["color"] for result in results if "color" in result} | {step["color"] for step in steps}
        for colour in sorted(colours - {"text", "transparent"}):
            yield from _of_colour(colour)


def _of_colour(colour: str) -> Iterator[str]:
    if not re.fullmatch(r"#[0-9A-F]{6}", colour):
        yield f"the colour {colour} is another on dark than on light"
        return
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    if green > 1.2 * max(red, blue):
        yield f"the green {colour} cannot be told from red by everyone"
    if 1.05 / (_luminance(red, green, blue) + 0.05) < CONTRAST:
        yield f"white text cannot be read on {colour}"


def _luminance(*channels: float) -> float:
    """Return the relative luminance of a colour, as the accessibility guidelines define it."""
    linear = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
