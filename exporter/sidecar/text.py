"""Text from elsewhere, made harmless for people who read it, and figures in words."""

from __future__ import annotations

import datetime as dt
import unicodedata

_LONGEST = 200
#: Controls, formats (bidirectional overrides among them), surrogates, private and unassigned characters, line ends.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """Return text without anything that hides, reorders or breaks it, cut to what a table can bear."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        f"\\u{{{ord(character):x}}}" if unicodedata.category(character) in _INVISIBLE else character
        for character in shown
    )


def moment(seconds: float | None) -> str:
    """Return a moment for people, in UTC; a missing one is said to be unknown."""
    if seconds is None:
        return "unknown"
    return _utc(seconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def machine_moment(seconds: float) -> str:
    """Return a moment for the attribute ``datetime``."""
    return _utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(min(seconds, 253_402_300_799.0), dt.UTC)


def duration(seconds: float) -> str:
    """Return a duration for people: the two largest units, ``3 h 12 min``."""
    rest = max(0, int(seconds))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
