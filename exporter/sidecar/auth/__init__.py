"""Who asks: the providers of authentication, and the order in which they are asked."""

from __future__ import annotations

from exporter.sidecar.auth.authentication import Authentication, Result
from exporter.sidecar.auth.basic import Basic
from exporter.sidecar.auth.bearer import Bearer
from exporter.sidecar.auth.grafana import Grafana
from exporter.sidecar.auth.proxy import Proxy

__all__ = ["Authentication", "Basic", "Bearer", "Grafana", "Proxy", "Result"]
