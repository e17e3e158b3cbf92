"""The kinds of panel, each as Grafana's JSON wants it.

Only options that Grafana 10.4 to 13 all understand are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dashboards.appearance import NEUTRAL, UNCOLOURED, Mapping_, Step

Json = Mapping[str, Any]

DATA_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus.

    Attributes:
        legend: what each answer is called, with label names in double braces.
        form: the latest value, the values over time, or the latest value as rows of a table.
    """

    expression: str
    legend: str = ""
    form: Literal["latest", "over time", "table"] = "latest"

    def target(self, ref_id: str) -> Json:
        """Return it as Grafana's JSON has it."""
        return {
            "datasource": DATA_SOURCE,
            "editorMode": "code",
            "expr": self.expression,
            "format": "table" if self.form == "table" else "time_series",
            "instant": self.form != "over time",
            "legendFormat": self.legend or "__auto",
            "range": self.form == "over time",
            "refId": ref_id,
        }


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click leads; ``${__data.fields.NAME}`` stands for what the row shows in the column NAME."""

    title: str
    url: str
    new_tab: bool = False

    def json(self) -> Json:
        """Return it as Grafana's JSON has it."""
        return {"title": self.title, "url": self.url, "targetBlank": self.new_tab, "oneClick": False}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel without its place.

    Attributes:
        description: the question that it answers, for whoever looks at it.
        width: in columns, of which there are 24.
    """

    kind: str
    title: str
    description: str
    width: int
    queries: Sequence[Query] = ()
    defaults: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    transformations: Sequence[Json] = ()

    def json(self) -> dict[str, Any]:
        """Return it as Grafana's JSON has it, without id and place."""
        panel: dict[str, Any] = {"type": self.kind, "title": self.title, "description": self.description}
        panel["options"] = self.options
        if self.queries:
            panel |= {
                "datasource": DATA_SOURCE,
                "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
                "targets": [query.target(chr(ord("A") + n)) for n, query in enumerate(self.queries)],
            }
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel


def _thresholds(steps: Sequence[Step]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _defaults(unit: str, mappings: Sequence[Mapping_], steps: Sequence[Step], decimals: int | None) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "color": {"mode": "thresholds"},
        "mappings": list(mappings),
        "thresholds": _thresholds(steps),
        "unit": unit,
    }
    return defaults if decimals is None else defaults | {"decimals": decimals}


def _override(name: str, properties: Mapping[str, Any]) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": id_, "value": value} for id_, value in properties.items()],
    }


def stat(
    title: str,
    description: str,
    *queries: Query,
    width: int,
    unit: str = "none",
    mappings: Sequence[Mapping_] = (),
    steps: Sequence[Step] = NEUTRAL,
    decimals: int | None = None,
) -> Panel:
    """Show the latest value large, on a coloured ground where a mapping or a threshold gives it a colour."""
    return Panel(
        "stat",
        title,
        description,
        width,
        queries,
        defaults=_defaults(unit, mappings, steps, decimals),
        options={
            "colorMode": "background" if mappings or len(steps) > 1 else "none",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        },
    )


_LEGEND: dict[str, Any] = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}


def time_series(
    title: str,
    description: str,
    *queries: Query,
    width: int,
    unit: str = "short",
    form: Literal["lines", "bars", "stacked bars", "points"] = "lines",
    colours: Mapping[str, str] | None = None,
    dashed: Iterable[str] = (),
    from_zero: bool = True,
) -> Panel:
    """Show values over time.

    Args:
        colours: fixed ones of some series, by name.
        dashed: names of series that are limits rather than measurements.
        from_zero: whether the axis starts there.
    """
    bars = form.endswith("bars")
    custom: dict[str, Any] = {
        "drawStyle": "bars" if bars else "points" if form == "points" else "line",
        "fillOpacity": 70 if bars else 10,
        "lineWidth": 1,
        "pointSize": 6,
        "showPoints": "always" if form == "points" else "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if form == "stacked bars" else "none", "group": "A"},
    }
    defaults = _defaults(unit, (), NEUTRAL, None) | {"color": {"mode": "palette-classic"}, "custom": custom}
    if from_zero:
        defaults["min"] = 0
    fixed = [
        _override(name, {"color": {"mode": "fixed", "fixedColor": colour}}) for name, colour in (colours or {}).items()
    ]
    limits = [
        _override(
            name,
            {
                "custom.drawStyle": "line",
                "custom.lineStyle": {"fill": "dash", "dash": [10, 10]},
                "custom.fillOpacity": 0,
                "custom.showPoints": "never",
            },
        )
        for name in dashed
    ]
    return Panel(
        "timeseries",
        title,
        description,
        width,
        [Query(query.expression, query.legend, "over time") for query in queries],
        defaults=defaults,
        overrides=[*fixed, *limits],
        options={"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    )


def state_timeline(title: str, description: str, query: Query, *, width: int, mappings: Sequence[Mapping_]) -> Panel:
    """Show which state held when, a row for each series."""
    # The mappings colour only in the fixed mode: by thresholds Grafana would merge states and forget their names.
    defaults = _defaults("none", mappings, NEUTRAL, None) | {
        "color": {"mode": "fixed", "fixedColor": NEUTRAL[0][1]},
        "custom": {"fillOpacity": 90, "lineWidth": 0},
    }
    return Panel(
        "state-timeline",
        title,
        description,
        width,
        [Query(query.expression, query.legend, "over time")],
        defaults=defaults,
        options={
            "alignValue": "left",
            "legend": _LEGEND | {"showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.9,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def bar_gauge(
    title: str, description: str, query: Query, *, width: int, unit: str = "none", steps: Sequence[Step] = NEUTRAL
) -> Panel:
    """Show the latest values as bars beside each other."""
    return Panel(
        "bargauge",
        title,
        description,
        width,
        [query],
        defaults=_defaults(unit, (), steps, 0) | {"min": 0},
        options={
            "displayMode": "basic",
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "text",
        },
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        field: the label that it shows, or ``Value`` (with a query's letter if there are several queries).
        unit: ``string`` shows labels as they are, without taking them for numbers.
        width: in pixels; ``None`` shares what is left.
        min_width: in pixels, where ``width`` is ``None``.
        coloured: whether mappings and ``steps`` colour the ground of its cells.
        link_only: whether its cells show the link's title instead of their value.
    """

    field: str
    title: str
    width: int | None = None
    min_width: int = 150
    unit: str = "string"
    decimals: int | None = None
    mappings: Sequence[Mapping_] = ()
    coloured: bool = False
    steps: Sequence[Step] = UNCOLOURED
    link: Link | None = None
    link_only: bool = False

    def override(self) -> Json:
        """Return what sets this column apart."""
        properties: dict[str, Any] = {"unit": self.unit}
        properties |= {"custom.minWidth": self.min_width} if self.width is None else {"custom.width": self.width}
        if self.decimals is not None:
            properties["decimals"] = self.decimals
        if self.mappings:
            properties["mappings"] = list(self.mappings)
        if self.coloured:
            properties["thresholds"] = _thresholds(self.steps)
            properties["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
        if self.link_only:
            properties["custom.cellOptions"] = {"type": "data-links"}
        if self.link is not None:
            properties["links"] = [self.link.json()]
        return _override(self.title, properties)


def table(
    title: str,
    description: str,
    *queries: str,
    columns: Sequence[Column],
    labels: Iterable[str] = (),
    width: int,
    sort: tuple[str, Literal["ascending", "descending"]],
    filterable: bool = True,
) -> Panel:
    """Show a row for each set of labels, from one query or from several that share labels.

    Args:
        columns: what is shown, from left to right.
        labels: of the queries' answers, those that are not shown.
        sort: by which column, and how, until the reader chooses another.
    """
    letters = [chr(ord("A") + n) for n in range(len(queries))]
    values = ["Value"] if len(queries) == 1 else [f"Value #{letter}" for letter in letters]
    shown = [column.field for column in columns]
    organize = {
        "id": "organize",
        "options": {
            "excludeByName": {name: True for name in ("Time", *values, *labels) if name not in shown},
            "indexByName": {name: position for position, name in enumerate(shown)},
            "renameByName": {column.field: column.title for column in columns},
        },
    }
    merge = [{"id": "merge", "options": {}}] if len(queries) > 1 else []
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": filterable, "inspect": False}
    return Panel(
        "table",
        title,
        description,
        width,
        [Query(expression, form="table") for expression in queries],
        defaults=_defaults("none", (), NEUTRAL, None) | {"custom": custom},
        overrides=[column.override() for column in columns],
        options={
            "cellHeight": "sm",
            "showHeader": True,
            "sortBy": [{"displayName": sort[0], "desc": sort[1] == "descending"}],
        },
        transformations=[*merge, organize],
    )


def text(title: str, description: str, content: str, *, width: int) -> Panel:
    """Show Markdown."""
    return Panel("text", title, description, width, options={"mode": "markdown", "content": content})
