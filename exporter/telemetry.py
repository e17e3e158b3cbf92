"""The exporter's metrics about itself, counted by prometheus-client as things happen."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from typing import TypedDict

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter import __version__, catalogue
from exporter.catalogue import Metric
from exporter.cockpit.errors import REASONS
from exporter.config.profiles import EXECUTION_FIELDS, JOB_FIELDS
from exporter.exposition import Format

#: Fields whose values are enumerations, and fields that can be unreadable; ``row`` is a row that is no object at all.
UNKNOWN_FIELDS = ("type", "status", "execution_mode")
MAPPED_FIELDS = tuple(sorted({*JOB_FIELDS, *EXECUTION_FIELDS, "row"} - set(UNKNOWN_FIELDS)))

#: Where a container image or a package says which commit it was built from.
REVISION_VARIABLE = "DUMBELLA_EXPORTER_REVISION"


class Telemetry:
    """Counters and gauges of one running exporter, in a registry of its own."""

    def __init__(self) -> None:
        # The creation times of counters are samples that nobody asks for, a third more lines for every counter.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no annotation there
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        build = Info(**declared(catalogue.BUILD_INFO), registry=self._registry)
        build.info(
            {
                "version": __version__,
                "revision": os.environ.get(REVISION_VARIABLE, ""),
                "python_version": platform.python_version(),
            }
        )
        self._targets = Gauge(**declared(catalogue.TARGETS), registry=self._registry)
        self.reload_successful = Gauge(**declared(catalogue.RELOAD_SUCCESSFUL), registry=self._registry)
        self._reload_timestamp = Gauge(**declared(catalogue.RELOAD_TIMESTAMP), registry=self._registry)
        self._read_interval = Gauge(**declared(catalogue.READ_INTERVAL), registry=self._registry)
        self._read_timeout = Gauge(**declared(catalogue.READ_TIMEOUT), registry=self._registry)
        self._request_duration = Histogram(**declared(catalogue.REQUEST_DURATION), registry=self._registry)
        self._request_failures = Counter(**declared(catalogue.REQUEST_FAILURES), registry=self._registry)
        self._unknown_values = Counter(**declared(catalogue.UNKNOWN_VALUES), registry=self._registry)
        self._mapping_errors = Counter(**declared(catalogue.MAPPING_ERRORS), registry=self._registry)
        self._read_overruns = Counter(**declared(catalogue.READ_OVERRUNS), registry=self._registry)

        self._of_targets = (
            self._request_duration,
            self._request_failures,
            self._unknown_values,
            self._mapping_errors,
            self._read_overruns,
        )

    def configured(self, interval: float, timeout: float, *, targets: int) -> None:
        """Note that a configuration was accepted just now; seconds."""
        self.reload_successful.set(1)
        self._reload_timestamp.set_to_current_time()
        self._read_interval.set(interval)
        self._read_timeout.set(timeout)
        self._targets.set(targets)

    def prepare(self, target: str, endpoints: Iterable[str]) -> None:
        """Let every counter of a target exist at 0, so that ``increase()`` sees the first event."""
        for endpoint in endpoints:
            self._request_duration.labels(target, endpoint)
            for reason in REASONS:
                self._request_failures.labels(target, endpoint, reason)
        for field in UNKNOWN_FIELDS:
            self._unknown_values.labels(target, field)
        for field in MAPPED_FIELDS:
            self._mapping_errors.labels(target, field)
        self._read_overruns.labels(target)

    def forget(self, target: str) -> None:
        """Drop what was counted of a target that is no longer configured."""
        for metric in self._of_targets:
            metric.remove_by_labels({"target": target})

    def request(self, target: str, endpoint: str, seconds: float, reason: str | None) -> None:
        """Count a request to Cockpit or Dumbella; ``reason`` tells why it failed, ``None`` that it did not."""
        self._request_duration.labels(target, endpoint).observe(seconds)
        if reason is not None:
            self._request_failures.labels(target, endpoint, reason).inc()

    def mapped(self, target: str, unknown_values: Mapping[str, int], mapping_errors: Mapping[str, int]) -> None:
        """Count what a mapping did not know or could not read."""
        for field, count in unknown_values.items():
            self._unknown_values.labels(target, field).inc(count)
        for field, count in mapping_errors.items():
            self._mapping_errors.labels(target, field).inc(count)

    def overrun(self, target: str, skipped: int) -> None:
        """Count reads that were skipped because the one before had not ended."""
        self._read_overruns.labels(target).inc(skipped)

    def render(self, format_: Format) -> bytes:
        """Return the exposition of these metrics, without an end marker."""
        if format_ == "openmetrics":
            text: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call] # likewise
            return text.removesuffix(b"# EOF\n")
        return generate_latest(self._registry)


class _Declared(TypedDict):
    name: str
    documentation: str
    labelnames: tuple[str, ...]


def declared(metric: Metric) -> _Declared:
    """Return name, help and labels as prometheus-client's constructors take them; they add the suffixes themselves."""
    name = metric.name.removesuffix("_total").removesuffix("_info")
    # Info's constructor takes labels that stand beside the facts; ours are all facts.
    labels = () if metric.kind == "info" else metric.labels
    return {"name": name, "documentation": metric.help, "labelnames": labels}
