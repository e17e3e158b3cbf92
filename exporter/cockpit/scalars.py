"""Ids, names and versions as installations write them → text that is safe to show, or ``None`` if unreadable."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_ZIP = re.compile(r"\.zip\Z", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
#: Integers beyond this are no ids; Python also refuses to write very long ones.
_LARGEST_INTEGER = 10**30


def read_id(value: Any) -> str | None:
    """Return an id that arrives as a number or as text; ``None`` for a blank one and for anything else."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _LARGEST_INTEGER else None
    return read_text(value)


def read_text(value: Any) -> str | None:
    """Return a name or version as reported, ``3`` and ``3.0`` alike as ``"3"``; ``None`` if blank or not a scalar."""
    if isinstance(value, str):
        return valid_text(value.strip()) or None
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and math.isfinite(value) and not value.is_integer():
        return repr(value)
    if isinstance(value, int | float) and abs(value) < _LARGEST_INTEGER:
        return str(int(value))
    return None


def read_job_name(value: Any) -> str | None:
    """Return a job's name without one trailing ``.zip``, in any case; ``None`` if nothing readable is left."""
    return _ZIP.sub("", read_text(value) or "") or None


def read_flag_or_text(value: Any) -> str | None:
    """Return what ``read_text`` returns, and ``"TRUE"`` or ``"FALSE"`` for a boolean."""
    return str(value).upper() if isinstance(value, bool) else read_text(value)


def valid_text(text: str) -> str:
    """Return ``text`` with every lone surrogate, which UTF-8 cannot carry, replaced by U+FFFD."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def compact_json(value: Any) -> str:
    """Return a nested value as one line of JSON."""
    return valid_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def is_uuid(value: Any) -> bool:
    """Tell whether ``value`` is text shaped like a UUID."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def is_digits(value: Any) -> bool:
    """Tell whether ``value`` is an id of digits only, as a number or as text."""
    text = read_id(value)
    return text is not None and _DIGITS.fullmatch(text) is not None
