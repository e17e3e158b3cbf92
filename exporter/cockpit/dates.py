"""Dates in whatever form an installation writes them → seconds since the Unix epoch.

The wire format is not public. Old screenshots show January 1970, which is what a user interface that expects
milliseconds makes of epoch seconds; so both are read and told apart by size.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import re
import reprlib
import zoneinfo
from collections.abc import Callable
from typing import Any

from exporter.config.profiles import Dates

#: Numbers from here on are milliseconds: as seconds they would lie beyond the year 5100, as milliseconds in 1973.
_MILLISECONDS_FROM = 1e11
#: The first moment of the year 2000: anything before is a zero, a counter, or seconds read as milliseconds.
_EARLIEST = 946_684_800.0
#: The year 2286. A larger number is not an epoch time but a compact date like 20240115103000, or microseconds.
_LATEST_NUMBER = 1e10
#: No form of a date is longer; whatever is, is not worth a regular expression.
_LONGEST_TEXT = 128

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([Tt ](?P<time>[0-9]{2}:[0-9]{2}(:[0-9]{2})?)([.,](?P<fraction>[0-9]+))?)?"
    r" ?(?P<offset>[Zz]|[+-][0-9]{2}(:?[0-9]{2}(:?[0-9]{2})?)?)?"
    r"(\[(?P<zone>[^\]]+)\])?"
)
_ARRAY_LENGTHS = range(3, 8)


class DateReader:
    """Read dates as a profile describes them.

    Args:
        dates: the zone of dates without an offset, and formats to try before the usual forms.
    """

    __slots__ = ("_formats", "_zone")

    def __init__(self, dates: Dates) -> None:
        self._zone: dt.tzinfo = zoneinfo.ZoneInfo(dates.time_zone)
        self._formats = dates.formats

    def read(self, value: Any) -> float:
        """Return a moment in seconds since the Unix epoch.

        Args:
            value: any JSON value: ISO-8601 text (``Z``, an offset, Java's ``[Zone]`` or the profile's zone), epoch
                milliseconds or seconds as a number or text, a Jackson array, or text in one of the profile's formats.

        Raises:
            ValueError: the value is none of these, or lies before the year 2000.
        """
        try:
            moment = self._moment(value)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{_short(value)} is not a date") from error
        if not moment >= _EARLIEST:
            raise ValueError(f"{_short(value)} is a date before the year 2000")
        return moment

    def _moment(self, value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError("a boolean")
        if isinstance(value, int | float):
            return _from_number(float(value))
        if isinstance(value, str):
            return self._from_text(value.strip())
        if isinstance(value, list):
            return self._from_array(value)
        raise ValueError("neither text, number nor array")

    def _from_text(self, text: str) -> float:
        if not text or len(text) > _LONGEST_TEXT:
            raise ValueError("no date is that short or long")
        for format_ in self._formats:
            try:
                return self._placed(dt.datetime.strptime(text, format_)).timestamp()  # noqa: DTZ007 - placed at once
            except ValueError:
                continue
        if _NUMBER.fullmatch(text):
            return _from_number(float(text))
        return self._from_iso(text)

    def _from_iso(self, text: str) -> float:
        match = _ISO.fullmatch(text)
        if match is None:
            raise ValueError("not ISO-8601")
        parts = match.groupdict()
        local = dt.datetime.fromisoformat(f"{parts['date']}T{parts['time'] or '00:00'}")
        moment = local.replace(tzinfo=self._zone_of(parts["offset"], parts["zone"])).timestamp()
        # Fractions have any number of digits; datetime knows six.
        return moment + float(f"0.{parts['fraction'] or 0}")

    def _zone_of(self, offset: str | None, zone: str | None) -> dt.tzinfo:
        if offset in {"Z", "z"}:
            return dt.UTC
        if offset is not None:
            return _fixed_offset(offset)
        return self._zone if zone is None else _named_zone(zone)

    def _from_array(self, parts: list[Any]) -> float:
        """Read Jackson's ``[year, month, day, hour, minute, second, nanosecond]``; the time or its end may lack."""
        if len(parts) not in _ARRAY_LENGTHS or not all(type(part) is int for part in parts):
            raise ValueError("not a Jackson array")
        nanoseconds = parts[6] if len(parts) == _ARRAY_LENGTHS[-1] else 0
        if not 0 <= nanoseconds < 1_000_000_000:  # noqa: PLR2004 - nanoseconds in a second
            raise ValueError("nanoseconds out of range")
        return self._placed(dt.datetime(*parts[:6])).timestamp() + nanoseconds / 1e9  # noqa: DTZ001 - placed at once

    def _placed(self, moment: dt.datetime) -> dt.datetime:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)


def _from_number(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("not finite")
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
    if seconds >= _LATEST_NUMBER:
        raise ValueError("too large for an epoch time")
    return seconds


def _fixed_offset(offset: str) -> dt.tzinfo:
    digits = offset[1:].replace(":", "").ljust(6, "0")
    distance = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:]))
    return dt.timezone(-distance if offset.startswith("-") else distance)


@functools.lru_cache(maxsize=64)
def _named_zone(name: str) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("not a time zone") from error


_short: Callable[[Any], str] = reprlib.Repr().repr
