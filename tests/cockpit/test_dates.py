"""Dates: every accepted form, and what is refused."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cockpit.dates import DateReader
from exporter.config.profiles import Dates

# 2024-07-15T08:30:00Z; Rome is two hours ahead of it.
MOMENT = 1_721_032_200.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2024-07-15T08:30:00Z", MOMENT),
        ("2024-07-15t08:30:00z", MOMENT),
        ("2024-07-15T08:30Z", MOMENT),
        ("2024-07-15T10:30:00+02:00", MOMENT),
        ("2024-07-15T10:30:00+0200", MOMENT),
        ("2024-07-15T10:30:00+02", MOMENT),
        ("2024-07-15T03:00:00-05:30", MOMENT),
        ("2024-07-15T08:30:00+00:00", MOMENT),
        ("2024-07-15 10:30:00 +02:00", MOMENT),
        ("2024-07-15T10:30:00+02:00[Europe/Rome]", MOMENT),
        ("2024-07-15T04:30:00[America/New_York]", MOMENT),
        ("2024-07-15T08:30:00Z[UTC]", MOMENT),
        ("2024-07-15T10:30:00", MOMENT),
        ("2024-07-15 10:30", MOMENT),
        ("  2024-07-15T10:30:00  ", MOMENT),
        ("2024-07-15", MOMENT - 10.5 * 3600),
        ("2024-07-15T08:30:00.5Z", MOMENT + 0.5),
        ("2024-07-15T08:30:00,25Z", MOMENT + 0.25),
        ("2024-07-15T08:30:00.123456789Z", MOMENT + 0.123456789),
        ("2024-07-15T08:30:00.1234567890123456789+00:00", MOMENT + 0.1234567890123456789),
        (1_721_032_200_000, MOMENT),
        (1_721_032_200_123, MOMENT + 0.123),
        (1_721_032_200_123.0, MOMENT + 0.123),
        ("1721032200000", MOMENT),
        (1_721_032_200, MOMENT),
        (1_721_032_200.25, MOMENT + 0.25),
        ("1721032200", MOMENT),
        ("1721032200.250000000", MOMENT + 0.25),
        (1.7210322e9, MOMENT),
        ("1.7210322E9", MOMENT),
        ([2024, 7, 15, 10, 30], MOMENT),
        ([2024, 7, 15, 10, 30, 5], MOMENT + 5),
        ([2024, 7, 15, 10, 30, 5, 250_000_000], MOMENT + 5.25),
        ([2024, 7, 15], MOMENT - 10.5 * 3600),
        (946_684_800, 946_684_800.0),
        ("2000-01-01T00:00:00Z", 946_684_800.0),
    ],
)
def test_accepted_forms(value: Any, seconds: float) -> None:
    """Every documented form of a date becomes the same moment."""
    reader = DateReader(Dates(time_zone="Europe/Rome"))

    assert math.isclose(seconds, reader.read(value), rel_tol=0, abs_tol=1e-6)


def test_zone_is_utc_by_default() -> None:
    """A date without an offset is in UTC unless the profile names a zone."""
    assert DateReader(Dates()).read("2024-07-15T08:30:00") == MOMENT
    assert DateReader(Dates()).read([2024, 7, 15, 8, 30]) == MOMENT


def test_zone_follows_daylight_saving() -> None:
    """The configured zone's offset is the one of the date, not of today."""
    reader = DateReader(Dates(time_zone="Europe/Rome"))

    winter = dt.datetime(2024, 1, 15, 9, 30, tzinfo=dt.UTC).timestamp()
    assert reader.read("2024-01-15T10:30:00") == winter


@pytest.mark.parametrize(
    ("format_", "value"),
    [
        ("%d/%m/%Y %H:%M", "15/07/2024 10:30"),
        ("%Y%m%d%H%M", "202407151030"),
        ("%d %b %Y %H:%M:%S %z", "15 Jul 2024 08:30:00 +0000"),
    ],
)
def test_custom_formats(format_: str, value: str) -> None:
    """A custom format comes before the usual forms, in the configured zone unless it has its own offset."""
    reader = DateReader(Dates(time_zone="Europe/Rome", formats=("%d.%m.%Y", format_)))

    assert reader.read(value) == MOMENT


def test_usual_forms_still_work_beside_custom_formats() -> None:
    """A value that fits no custom format is read as usual."""
    assert DateReader(Dates(formats=("%d/%m/%Y",))).read("2024-07-15T08:30:00Z") == MOMENT


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "   ",
        "soon",
        True,
        False,
        0,
        -1,
        1,
        946_684_799,
        "946684799.9",
        "1999-12-31T23:59:59Z",
        [1999, 12, 31],
        # Epoch seconds that were taken for milliseconds: the 20th of January 1970.
        1_721_032.2,
        99_999_999_999,
        -1_721_032_200_000,
        20_240_715_103_000,
        1_721_032_200_000_000,
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        10**400,
        "1e999",
        "\u0662\u0660\u0662\u0664-07-15",
        "2024-02-30",
        "2024-07-15T25:00:00Z",
        "2024-07-15T10:30:00+99:00",
        "2024-07-15T10:30:00[Europe/Nowhere]",
        "2024-07-15T10:30:00[../../etc/passwd]",
        "2024-07-15T10:30:00Z and more",
        "9" * 100_000,
        [],
        [2024],
        [2024, 7],
        [2024, 13, 1],
        [2024, 7, True],
        [2024, 7, "15"],
        [2024.0, 7, 15],
        [2024, 7, 15, 10, 30, 5, 1_000_000_000],
        [2024, 7, 15, 10, 30, 5, 0, 0],
        [10**30, 1, 1],
        {},
        {"epochSecond": 1_721_032_200},
    ],
)
def test_unreadable_values(value: Any) -> None:
    """What is no date, or lies before 2000, is an error and never a moment."""
    with pytest.raises(ValueError, match=r"is not a date$|is a date before the year 2000$"):
        DateReader(Dates(time_zone="Europe/Rome")).read(value)


JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON_VALUES = st.recursive(
    JSON_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)
DATE_LIKE = st.from_regex(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,40})?)?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?(\[[^\]]{1,20}\])?",
    fullmatch=True,
)


@given(JSON_VALUES | DATE_LIKE | st.lists(st.integers(-1, 4000), max_size=8))
def test_any_value_is_a_moment_or_a_value_error(value: Any) -> None:
    """Any JSON value is either a finite moment after 1999 or a ValueError."""
    try:
        moment = DateReader(Dates(time_zone="Europe/Rome", formats=("%d/%m/%Y %H:%M",))).read(value)
    except ValueError:
        return
    assert math.isfinite(moment)
    assert moment >= 946_684_800


@given(
    st.datetimes(dt.datetime(2000, 1, 2), dt.datetime(2199, 12, 31)).map(  # noqa: DTZ001 - placed in UTC at once
        lambda moment: moment.replace(tzinfo=dt.UTC)
    )
)
def test_python_dates_survive(moment: dt.datetime) -> None:
    """What Python writes as ISO-8601 or epoch milliseconds is read back."""
    reader = DateReader(Dates())

    assert abs(reader.read(moment.isoformat()) - moment.timestamp()) < 1e-5
    assert abs(reader.read(int(moment.timestamp() * 1000)) - moment.timestamp()) < 0.002
