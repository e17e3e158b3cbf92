"""Globs on names, as they stand in the configuration; upper and lower case differ."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import PlainValidator, TypeAdapter

from exporter.config.document import kind
from exporter.config.values import Text


def _globs(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f'is {kind(value)}, expected a list of globs such as ["etl_*"]')
    return _TEXTS.validate_python(value)


_TEXTS = TypeAdapter(tuple[Text, ...])
Globs = Annotated[tuple[str, ...], PlainValidator(_globs)]


def matches(name: str, globs: Iterable[str]) -> bool:
    """Tell whether a whole name matches any of the globs."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern with a group for each glob: ``lastindex`` tells the first that matches; none never matches."""
    return re.compile("|".join(f"({fnmatch.translate(glob)})" for glob in globs) or r"(?!)")
