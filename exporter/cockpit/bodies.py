"""Bytes of an answer → JSON, or a line that tells a person what came instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from exporter.cockpit.errors import NotJSON
from exporter.cockpit.scalars import valid_text

Mask = Callable[[str], str]

#: Bytes from which on decoding takes long enough for others to notice.
_LONG = 64 * 1024
_LONGEST_EXCERPT = 160
#: Bytes that an excerpt is made from.
_EXCERPT_WINDOW = 16 * 1024
#: Keys under which Spring Boot, RFC 9457 and gateways explain an error.
_EXPLANATIONS = ("message", "detail", "error_description", "error", "title")


def decode(content: bytes, mask: Mask) -> Any:
    """Return the JSON value in a body.

    ``NaN`` and ``Infinity``, which JSON lacks and some servers write, are accepted: the one field that has such a value
    is then unreadable, rather than the whole answer.

    Args:
        content: the whole body.
        mask: takes secrets out of a text.

    Raises:
        NotJSON: the body is empty, HTML, torn, or nested deeper than anything sensible.
    """
    if not content.strip():
        raise NotJSON("the body is empty")
    try:
        return json.loads(content, object_hook=_let_other_threads_run if len(content) > _LONG else None)
    except RecursionError as error:
        raise NotJSON("the body is JSON that is nested too deeply") from error
    except ValueError as error:
        what = "HTML or XML" if content.lstrip().startswith(b"<") else "no valid JSON"
        raise NotJSON(f"the body is {what} ({len(content)} bytes): {excerpt(content, mask)}") from error


def _let_other_threads_run(value: dict[str, Any]) -> dict[str, Any]:
    # The decoder is C code that keeps the interpreter's lock for the whole body, tens of milliseconds for a large one,
    # and a scrape would wait. A call of a Python function per object is where the interpreter may switch threads.
    return value


def excerpt(content: bytes, mask: Mask) -> str:
    """Return the first characters of a body in one line, without secrets."""
    return fold(content[:_EXCERPT_WINDOW].decode("utf-8", "replace"), mask)


def explanation(content: bytes, mask: Mask) -> str:
    """Return what an error's body says: its message where it is JSON that has one, else its first characters."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return excerpt(content, mask)
    if isinstance(body, dict):
        for key in _EXPLANATIONS:
            if isinstance(body.get(key), str) and body[key].strip():
                return fold(body[key][:_EXCERPT_WINDOW], mask)
    return excerpt(content, mask)


def fold(text: str, mask: Mask) -> str:
    """Return ``text`` in one bounded line without secrets."""
    line = " ".join(valid_text(mask(text)).split())
    return line if len(line) <= _LONGEST_EXCERPT else f"{line[:_LONGEST_EXCERPT]}…"
