"""Find a canonical field's value in a row, whichever of its known keys the installation uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from exporter.cockpit.scalars import is_digits, is_uuid, read_flag_or_text, read_id, read_job_name
from exporter.config.profiles import ExecutionField, JobField, Profile

#: Under this key ``envelopes.unwrap`` puts the id of a row that came in a map by id. No JSON key is written like that.
MAP_KEY: Final = "(map key)"

#: Stands for a key that the row lacks, which is not the same as one that is null.
MISSING: Final = object()

Accepts = Callable[[Any], bool]
RowKind = Literal["job", "execution"]

_CONDITIONS: Mapping[str, Accepts] = {"": lambda _: True, "uuid": is_uuid, "digits": is_digits}


def value_at(row: Any, path: Iterable[str]) -> Any:
    """Return the value that ``path`` leads to through nested objects, or ``MISSING``."""
    for key in path:
        if not isinstance(row, dict) or key not in row:
            return MISSING
        row = row[key]
    return row


def is_filled(value: Any) -> bool:
    """Tell whether ``value`` is neither ``null`` nor blank text."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def _is_id(value: Any) -> bool:
    return read_id(value) is not None


def _is_job_name(value: Any) -> bool:
    return read_job_name(value) is not None


def _is_enum(value: Any) -> bool:
    return read_flag_or_text(value) is not None


def _is_detail(value: Any) -> bool:
    return is_filled(value) and not isinstance(value, bool) and value not in ([], {})


#: Which of several keys counts. Where an empty value is itself an answer (no published version, no start), the first
#: key that the row has decides, so that nothing is taken from an unrelated key; elsewhere the first readable one does.
#: A boolean is no date and no error text: ``"started": true`` is a flag.
_PREFERENCES: Mapping[str, tuple[Accepts, ...]] = {
    "identity": (_is_id,),
    "name": (_is_job_name,),
    "enum": (_is_enum, is_filled),
    "version": (lambda _: True,),
    "moment": (lambda value: not isinstance(value, bool),),
    "detail": (_is_detail,),
}
_JOB_KINDS: Mapping[JobField, str] = {
    "id": "identity",
    "name": "name",
    "type": "enum",
    "status": "enum",
    "execution_mode": "enum",
    "current_version": "version",
    "published_version": "version",
    "last_update": "moment",
    "started_at": "moment",
    "error": "detail",
}
_EXECUTION_KINDS: Mapping[ExecutionField, str] = {
    "id": "identity",
    "job_id": "identity",
    "job_name": "name",
    "started_at": "moment",
}


@dataclass(frozen=True, slots=True)
class FieldKey:
    """One key of a canonical field, as a profile writes it: ``name``, ``job.name`` or ``id|uuid``."""

    text: str
    path: tuple[str, ...]
    holds: Accepts

    @classmethod
    def parse(cls, text: str) -> FieldKey:
        """Read a key; profiles have checked its form."""
        path, _, condition = text.partition("|")
        return cls(text, tuple(path.split(".")), _CONDITIONS[condition])


@dataclass(frozen=True, slots=True)
class FieldKeys:
    """The keys of one canonical field, in the order in which they are tried, and which values they are tried for."""

    keys: tuple[FieldKey, ...]
    preferences: tuple[Accepts, ...]

    def find(self, row: Any) -> tuple[FieldKey, Any] | None:
        """Return the key that supplies the field in ``row``, with its value; ``None`` if there is none."""
        for accepts in self.preferences:
            for key in self.keys:
                value = value_at(row, key.path)
                if value is not MISSING and key.holds(value) and accepts(value):
                    return key, value
        return None

    def value(self, row: Any) -> Any:
        """Return the field's value in ``row``; ``None`` if there is none or it is null."""
        found = self.find(row)
        return None if found is None else found[1]


def keys_of(profile: Profile, kind: RowKind) -> dict[str, FieldKeys]:
    """Return the keys of every canonical field of a job or of an execution."""
    own: Mapping[Any, tuple[str, ...]] = profile.fields.job if kind == "job" else profile.fields.execution
    kinds: Mapping[Any, str] = _JOB_KINDS if kind == "job" else _EXECUTION_KINDS
    by_field = {}
    for field, field_kind in kinds.items():
        keys = tuple(FieldKey.parse(text) for text in own.get(field, ()))
        if field == "id":
            keys = (FieldKey(MAP_KEY, (MAP_KEY,), _CONDITIONS[""]), *keys)
        by_field[field] = FieldKeys(keys, _PREFERENCES[field_kind])
    return by_field
