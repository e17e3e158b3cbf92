"""Log lines: one event a line in both formats, whatever the values hold."""

from __future__ import annotations

import io
import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.logs import JsonFormatter, LogfmtFormatter, fields


def line(formatter: logging.Formatter, **values: object) -> str:
    """Return the line of one event."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    record = logging.makeLogRecord(
        {"name": "exporter.test", "levelname": "WARNING", "msg": "read failed", "created": 0}
    )
    record.__dict__.update(fields(**values))
    handler.emit(record)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "hi"', r'"say \"hi\""'),
        ("a=b", '"a=b"'),
        ("two\nlines", r'"two\nlines"'),
        ("\u202egnp.exe", r'"\u202egnp.exe"'),
        ("lone \ud800", r'"lone \ud800"'),
        (True, "true"),
        (3, "3"),
        (0.25, "0.25"),
    ],
)
def test_logfmt_values(value: object, expected: str) -> None:
    """Values that are not plain are quoted, so that each stays one value on one line."""
    assert f'ts=1970-01-01T00:00:00.000Z level=warning logger=exporter.test msg="read failed" key={expected}\n' == line(
        LogfmtFormatter(), key=value
    )


def test_none_is_left_out() -> None:
    """A field without a value is no field."""
    assert "key" not in line(LogfmtFormatter(), key=None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters()))
def test_any_text_stays_on_one_line(text: str) -> None:
    """Whatever an upstream's text holds, an event is one line and JSON gives the text back."""
    assert 1 == line(LogfmtFormatter(), key=text).count("\n")
    rendered = line(JsonFormatter(), key=text)
    assert (1, True) == (rendered.count("\n"), rendered.isascii())
    assert text == json.loads(rendered)["key"]
