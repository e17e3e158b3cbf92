"""Which form of the metrics each kind of client gets."""

from __future__ import annotations

import pytest

from exporter.exposition import Format
from exporter.negotiation import accepts_gzip, choose_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text"),
        ("*/*", "text"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text"),
        (PROMETHEUS_2, "openmetrics"),
        (PROMETHEUS_3, "openmetrics"),
        ("application/openmetrics-text", "openmetrics"),
        ("Application/OpenMetrics-Text; Version=1.0.0", "openmetrics"),
        ('application/openmetrics-text; version="1.0.0"', "openmetrics"),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", "text"),
        ("application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.8", "text"),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.3", "text"),
        ("text/plain;q=0, */*", "openmetrics"),
        ("application/openmetrics-text;q=0", "text"),
        ("text/*;q=0.2,application/*;q=0.9", "openmetrics"),
        ("application/openmetrics-text;q=nonsense, text/plain;q=0.1", "text"),
        ("application/openmetrics-text;q=7", "text"),
        ("application/openmetrics-text;q=nan", "text"),
        (",;,=;;q=", "text"),
        ("application/openmetrics-text;q*=utf-8''1;version*0=1", "openmetrics"),
        ("application/vnd.google.protobuf;encoding=delimited", "text"),
    ],
)
def test_format(accept: str, expected: Format) -> None:
    """A client gets the format it likes best, and text where it names none that there is."""
    assert expected == choose_format(accept)


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("*;q=0", False),
    ],
)
def test_gzip(accept_encoding: str, expected: bool) -> None:
    """gzip is sent to those who take it and to nobody else."""
    assert expected == accepts_gzip(accept_encoding)
