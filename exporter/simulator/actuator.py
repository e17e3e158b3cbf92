"""Spring Boot's actuator: figures about the JVM and HTTP, nothing about jobs. Invented numbers of the usual shape."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.simulator.spring import json_answer

_METRICS = ("http.server.requests", "jvm.memory.used", "jvm.threads.live", "process.uptime", "system.cpu.count")


class Actuator:
    """The actuator of a simulated Dumbella that started at ``started_at`` (seconds since the epoch)."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._requests = 0

    def routes(self) -> Sequence[Route]:
        """Return the routes, which need no login."""
        return (
            Route("/actuator/health", self._health),
            Route("/actuator/health/{group:str}", self._health_group),
            Route("/actuator/metrics", self._metrics),
            Route("/actuator/prometheus", self._prometheus),
        )

    async def _health(self, _: Request) -> Response:
        return json_answer({"status": "UP", "groups": ["liveness", "readiness"]})

    async def _health_group(self, request: Request) -> Response:
        known = request.path_params["group"] in {"liveness", "readiness"}
        return json_answer({"status": "UP"}) if known else json_answer({"status": "UNKNOWN"}, 404)

    async def _metrics(self, _: Request) -> Response:
        return json_answer({"names": list(_METRICS)})

    async def _prometheus(self, _: Request) -> Response:
        self._requests += 1
        used = 180_000_000 + self._requests % 50 * 1_000_000
        labels = '{method="GET",status="200",uri="/actuator/prometheus"}'
        lines = (
            "# HELP http_server_requests_seconds Duration of HTTP server request handling",
            "# TYPE http_server_requests_seconds summary",
            f"http_server_requests_seconds_count{labels} {self._requests}",
            f"http_server_requests_seconds_sum{labels} {self._requests * 0.004:.3f}",
            "# HELP jvm_memory_used_bytes The amount of used memory",
            "# TYPE jvm_memory_used_bytes gauge",
            f'jvm_memory_used_bytes{{area="heap",id="G1 Eden Space"}} {used}',
            "# HELP jvm_threads_live_threads The current number of live threads",
            "# TYPE jvm_threads_live_threads gauge",
            "jvm_threads_live_threads 42",
            "# HELP process_uptime_seconds The uptime of the Java virtual machine",
            "# TYPE process_uptime_seconds gauge",
            f"process_uptime_seconds {time.time() - self._started_at:.3f}",
        )
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8")
