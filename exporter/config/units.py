"""Durations and byte sizes as people write them in configuration files: ``1h30m``, ``64MiB``."""

from __future__ import annotations

import re

# Weeks have 7 days and years 365, as in Prometheus; milliseconds are the resolution.
_MILLISECONDS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in _MILLISECONDS))
_BYTES = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_SIZE = re.compile(r"([0-9]{1,15}) ?([A-Za-z]*)")

#: What to write instead of something that is not a duration.
DURATION_EXPECTED = "a duration such as 500ms, 15s or 1h30m, its largest unit first"
#: What to write instead of something that is not a byte size.
SIZE_EXPECTED = "a byte size such as 500kB, 64MiB or 1GiB"


def parse_duration(text: str) -> float:
    """Return the seconds that a duration in Prometheus' notation means; a bare ``0`` needs no unit.

    Raises:
        ValueError: with what was wrong and what was expected.
    """
    if text == "0":
        return 0.0
    if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", text):
        raise ValueError(f"{text} has no unit, expected {DURATION_EXPECTED}")
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is not a duration, expected {DURATION_EXPECTED}")
    counts = zip(match.groups(), _MILLISECONDS.values(), strict=True)
    return sum(int(count) * factor for count, factor in counts if count) / 1000


def format_duration(seconds: float) -> str:
    """Return the shortest usual notation of a duration, to the millisecond: 5400 is ``1h30m``."""
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts = []
    for unit, factor in _MILLISECONDS.items():
        # Weeks and years would turn 10d into 1w3d: exact, but not what anyone writes.
        if unit in {"y", "w"} and rest % factor:
            continue
        count, rest = divmod(rest, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(text: str) -> int:
    """Return the bytes that a size such as ``64MiB``, ``500kB`` or ``1024`` means.

    Raises:
        ValueError: with what was wrong and what was expected.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"{text!r} is not a byte size, expected {SIZE_EXPECTED}")
    return int(match[1]) * _BYTES[match[2]]


def format_size(size: int) -> str:
    """Return a byte size in the largest binary or decimal unit that divides it: 67108864 is ``64MiB``."""
    for unit in ("GiB", "MiB", "KiB", "GB", "MB", "kB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)
