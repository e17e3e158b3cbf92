"""Log lines for machines that people read at night: logfmt or JSON, one event a line, fields by name.

A call site logs a short constant message and passes what varies as fields::

    log.warning("read failed", extra=fields(target="production", reason="timeout"))
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["logfmt", "json"]

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
FORMATS: tuple[Format, ...] = ("logfmt", "json")


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """Return the ``extra`` of a logging call that carries ``values`` as fields; ``None`` values are left out."""
    return {"fields": {key: value for key, value in values.items() if value is not None}}


class _EventFormatter(logging.Formatter):
    """What both formats share: which fields a record has, and in which order."""

    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        event: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        extra = getattr(record, "fields", None)
        if isinstance(extra, Mapping):
            event.update(extra)
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return self._render(event)

    def _render(self, event: Mapping[str, Any]) -> str:
        raise NotImplementedError


class LogfmtFormatter(_EventFormatter):
    """``key=value`` pairs; values with anything but plain characters are quoted as JSON strings are."""

    def _render(self, event: Mapping[str, Any]) -> str:
        return " ".join(f"{key}={_logfmt_value(value)}" for key, value in event.items())


class JsonFormatter(_EventFormatter):
    """One JSON object a line, ASCII only."""

    def _render(self, event: Mapping[str, Any]) -> str:
        return json.dumps(event, default=str)


def _logfmt_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text.isascii() and text.isprintable() and not any(character in text for character in ' "=\\')
    # JSON's escapes keep one event on one line whatever the upstream's text holds: newlines, bidi marks, surrogates.
    return text if plain and text else json.dumps(text)


def configure(level: Level = "info", format_: Format = "logfmt", stream: TextIO | None = None) -> None:
    """Send the root logger's events to ``stream`` (standard error by default) in the chosen format."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if format_ == "json" else LogfmtFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These repeat at info what our own lines already say with more context.
    for chatty in ("httpx", "httpcore", "uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
