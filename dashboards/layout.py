"""A dashboard: panels in bands, variables, annotations, and what all dashboards have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.panels import DATA_SOURCE, Json, Panel

#: Of dashboards, and of the link that leads from each to the others.
TAG = "dumbella"
#: The first version of the JSON's form that is left alone by Grafana 10.4 and read by all later ones.
SCHEMA_VERSION = 39
COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Band:
    """Panels beside each other, of one height (in units of 38 pixels)."""

    height: int
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Heading:
    """A line between bands."""

    title: str


@dataclass(frozen=True, slots=True)
class Variable:
    """What a reader can choose from the values of a label.

    Attributes:
        query: where the values come from.
        several: whether any number of them can be chosen, all included.
        offers_all: whether all can be chosen, where not several.
    """

    name: str
    label: str
    description: str
    query: str
    several: bool = True
    offers_all: bool = True
    hidden: bool = False

    def json(self) -> Json:
        """Return it as Grafana's JSON has it."""
        variable: dict[str, Any] = {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "datasource": DATA_SOURCE,
            "definition": self.query,
            "query": {"query": self.query, "refId": f"variable-{self.name}"},
            # When the time range changes: jobs and targets come and go.
            "refresh": 2,
            "sort": 1,
            "regex": "",
            "hide": 2 if self.hidden else 0,
            "multi": self.several,
            "includeAll": self.offers_all,
            "options": [],
        }
        if self.offers_all:
            text, value = (["All"], ["$__all"]) if self.several else ("All", "$__all")
            variable |= {"allValue": ".+", "current": {"selected": True, "text": text, "value": value}}
        return variable


DATA_SOURCE_VARIABLE: Json = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "description": "The Prometheus that scrapes the exporter and the sidecar.",
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "options": [],
}

SELECTION = (
    Variable(
        "job",
        "Job",
        "Of Prometheus: which exporters and sidecars are asked.",
        'label_values({__name__=~"dumbella_up|dumbella_kill_info"}, job)',
    ),
    Variable(
        "instance",
        "Instance",
        "Of Prometheus: which exporters and sidecars are asked.",
        'label_values({__name__=~"dumbella_up|dumbella_kill_info", job=~"$job"}, instance)',
    ),
    Variable(
        "target",
        "Target",
        "Installations, as the exporter's configuration calls them.",
        'label_values(dumbella_up{job=~"$job", instance=~"$instance"}, target)',
    ),
    Variable(
        "application",
        "Application",
        "Codes of applications.",
        'label_values(dumbella_collector_success{job=~"$job", instance=~"$instance", target=~"$target"}, application)',
    ),
)

#: Where the kill links lead; it is not shown.
KILL_ADDRESS = Variable(
    "kill_url",
    "Kill sidecar",
    "Where people reach the kill sidecar, as it says itself.",
    'label_values(dumbella_kill_info{job=~"$job", instance=~"$instance"}, public_url)',
    several=False,
    offers_all=False,
    hidden=True,
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks in all panels that have a time axis, where a query has answers.

    Attributes:
        title: of a mark, with label names in double braces.
    """

    name: str
    description: str
    expression: str
    title: str
    text: str
    colour: str

    def json(self) -> Json:
        """Return it as Grafana's JSON has it."""
        return {
            "datasource": DATA_SOURCE,
            "enable": True,
            "expr": self.expression,
            "iconColor": self.colour,
            "name": self.name,
            "step": "60s",
            "textFormat": self.text,
            "titleFormat": self.title,
        }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard.

    Attributes:
        uid: its fixed address, ``/d/UID``.
        question: the one that its top left answers.
        time_range: how far back it looks until the reader chooses otherwise.
    """

    uid: str
    title: str
    question: str
    body: Sequence[Band | Heading]
    variables: Sequence[Variable] = SELECTION
    annotations: Sequence[Annotation] = ()
    time_range: str = "6h"

    @property
    def panels(self) -> Iterable[Panel]:
        """Every panel, in reading order."""
        return (panel for part in self.body if isinstance(part, Band) for panel in part.panels)

    def json(self) -> Json:
        """Return it as Grafana's JSON has it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.question,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": f"now-{self.time_range}", "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "fiscalYearStartMonth": 0,
            "links": [_LINKS],
            "annotations": {"list": [annotation.json() for annotation in self.annotations]},
            "templating": {"list": [DATA_SOURCE_VARIABLE, *(variable.json() for variable in self.variables)]},
            "panels": list(self._placed()),
        }

    def _placed(self) -> Iterable[Json]:
        """Yield the panels with their ids and places, band under band."""
        number = row = 0
        for part in self.body:
            column = 0
            if isinstance(part, Heading):
                number += 1
                yield {
                    "id": number,
                    "type": "row",
                    "title": part.title,
                    "collapsed": False,
                    "gridPos": {"x": 0, "y": row, "w": COLUMNS, "h": 1},
                    "panels": [],
                }
                row += 1
                continue
            for panel in part.panels:
                number += 1
                place = {"x": column, "y": row, "w": panel.width, "h": part.height}
                yield {"id": number, "gridPos": place, **panel.json()}
                column += panel.width
            row += part.height


_LINKS: Json = {
    "type": "dashboards",
    "title": "Dumbella",
    "tags": [TAG],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "The other dashboards, with the same selection and time range",
    "url": "",
}
