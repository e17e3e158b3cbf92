"""The sidecar's metrics, counted by prometheus-client as things happen."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager

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
from exporter.exposition import Format
from exporter.sidecar.outcomes import Outcome
from exporter.telemetry import REVISION_VARIABLE, declared


class KillTelemetry:
    """Counters and gauges of one running sidecar, in a registry of their own.

    Args:
        public_url: what browsers call the sidecar.
        targets: the names of the targets that it serves.
        providers: the names of the providers of authentication.
        dry_run: whether it sends no kill at all.
    """

    def __init__(self, public_url: str, targets: Iterable[str], providers: Iterable[str], *, dry_run: bool) -> None:
        # The creation times of counters are samples that nobody asks for, a third more lines for every counter.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no annotation there
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        revision = os.environ.get(REVISION_VARIABLE, "")
        Info(**declared(catalogue.KILL_BUILD_INFO), registry=registry).info(
            {"version": __version__, "revision": revision, "python_version": platform.python_version()}
        )
        Info(**declared(catalogue.KILL_INFO), registry=registry).info({"public_url": public_url})
        # Info's own labels stand beside its facts; the target is the only one here.
        served = Gauge(catalogue.KILL_TARGET_INFO.name, catalogue.KILL_TARGET_INFO.help, ("target",), registry=registry)
        Gauge(**declared(catalogue.KILL_DRY_RUN), registry=registry).set(dry_run)
        self._requests = Counter(**declared(catalogue.KILL_REQUESTS), registry=registry)
        self._auth = Counter(**declared(catalogue.KILL_AUTH), registry=registry)
        self._upstream = Histogram(**declared(catalogue.KILL_UPSTREAM_DURATION), registry=registry)
        self._confirm = Histogram(**declared(catalogue.KILL_CONFIRM_DURATION), registry=registry)
        self._in_flight = Gauge(**declared(catalogue.KILL_IN_FLIGHT), registry=registry)
        self._audit_write_errors = Counter(**declared(catalogue.KILL_AUDIT_WRITE_ERRORS), registry=registry)
        for target in targets:
            served.labels(target).set(1)
            self._confirm.labels(target)
            for outcome in catalogue.KILL_REQUESTS.values:
                self._requests.labels(target, outcome)
            for operation in catalogue.KILL_UPSTREAM_DURATION.values:
                self._upstream.labels(target, operation)
        self._targets = frozenset(targets)
        for provider in providers:
            for result in catalogue.KILL_AUTH.values[:3]:
                self._auth.labels(provider, result)
        self._auth.labels("none", "absent")

    def request(self, target: str, outcome: Outcome) -> None:
        """Count a request to kill whose outcome is final; targets that nobody configured are not named."""
        if target in self._targets:
            self._requests.labels(target, outcome).inc()

    def authentication(self, provider: str, result: str) -> None:
        """Count an authentication."""
        self._auth.labels(provider, result).inc()

    def upstream(self, target: str, operation: str, seconds: float) -> None:
        """Count a request to Cockpit."""
        self._upstream.labels(target, operation).observe(seconds)

    def confirmed(self, target: str, seconds: float) -> None:
        """Count an execution that was killed and is gone."""
        self._confirm.labels(target).observe(seconds)

    def in_flight(self) -> AbstractContextManager[None]:
        """Count a kill as being sent while the context lasts."""
        return self._in_flight.track_inprogress()

    def audit_write_failed(self) -> None:
        """Count an audit record that could not be written."""
        self._audit_write_errors.inc()

    def render(self, format_: Format) -> bytes:
        """Return the exposition of these metrics."""
        if format_ == "openmetrics":
            text: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call] # likewise
            return text
        return generate_latest(self._registry)
