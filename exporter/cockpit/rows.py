"""Read the canonical fields of one row, noting what is unknown or unreadable instead of failing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.cockpit.dates import DateReader
from exporter.cockpit.keys import FieldKeys, RowKind, is_filled, keys_of
from exporter.cockpit.scalars import compact_json, read_flag_or_text, read_id, read_job_name, read_text, valid_text
from exporter.config.profiles import Profile, Values


class RowShape:
    """What a profile says about the rows of one kind, prepared for reading many of them.

    Args:
        profile: a resolved profile.
        kind: whether the rows are jobs or executions.
    """

    __slots__ = ("dates", "keys", "values")

    def __init__(self, profile: Profile, kind: RowKind) -> None:
        self.keys: Mapping[str, FieldKeys] = keys_of(profile, kind)
        self.values: Values = profile.values
        self.dates = DateReader(profile.dates)


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads one row.

    Attributes:
        row: the JSON object.
        shape: where its fields are and how they are written.
        unknown: enum values that the profile does not know, as (field, value as reported), filled while reading.
        unreadable: fields with a value that could not be read, filled while reading.
    """

    row: Mapping[str, Any]
    shape: RowShape
    unknown: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def identity(self, name: str) -> str:
        """Return an id; ``""`` if no key has a readable one."""
        return read_id(self.shape.keys[name].value(self.row)) or ""

    def job_name(self, name: str) -> str:
        """Return a job's name without one trailing ``.zip``; ``""`` if no key has a readable one."""
        return read_job_name(self.shape.keys[name].value(self.row)) or ""

    def enum(self, name: str, known: Mapping[str, str], *, absent: str) -> str:
        """Return what a reported value means, ``UNKNOWN`` if ``known`` does not say.

        Args:
            name: the canonical field.
            known: the profile's value map, keys in upper case.
            absent: what an absent value means where ``known`` does not say.
        """
        value = self.shape.keys[name].value(self.row)
        reported = (read_flag_or_text(value) or compact_json(value)) if is_filled(value) else ""
        meaning = known.get(reported.upper())
        if meaning is None:
            meaning = "UNKNOWN" if reported else absent
        elif reported:
            return meaning
        if meaning == "UNKNOWN":
            self.unknown.append((name, reported))
        return meaning

    def version(self, name: str) -> str:
        """Return a version as reported; ``""`` if there is none or it is unreadable."""
        value = self.shape.keys[name].value(self.row)
        text = read_text(value)
        if text is None and is_filled(value):
            self.unreadable.append(name)
        return text or ""

    def moment(self, name: str) -> float | None:
        """Return a date in seconds since the epoch; ``None`` if there is none or it is unreadable."""
        value = self.shape.keys[name].value(self.row)
        if not is_filled(value):
            return None
        try:
            return self.shape.dates.read(value)
        except ValueError:
            self.unreadable.append(name)
            return None

    def detail(self, name: str) -> str:
        """Return free text, whole; a nested value as compact JSON; ``""`` if there is none."""
        value = self.shape.keys[name].value(self.row)
        if value is None:
            return ""
        return valid_text(value) if isinstance(value, str) else compact_json(value)
