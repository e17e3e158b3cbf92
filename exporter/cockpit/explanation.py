"""Tell which key of an installation's rows supplied which fact, for ``check --online``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.cockpit.keys import MAP_KEY, FieldKey, RowKind, is_filled
from exporter.cockpit.mapping import ExecutionMapper, JobMapper
from exporter.cockpit.rows import RowShape
from exporter.cockpit.scalars import compact_json, valid_text
from exporter.config.profiles import Profile

_LONGEST_EXAMPLE = 60
#: Nesting that is looked into, and unused keys that are named: some rows embed half a database.
_DEEPEST = 3
_MOST_UNUSED = 100


@dataclass(frozen=True, slots=True)
class FieldUse:
    """Where one canonical field came from.

    Attributes:
        field: the canonical name.
        keys: for each key that supplied it, in how many rows.
        missing: rows in which no key supplied it.
        unreadable: rows whose value could not be read, or is unknown to the profile.
        example: the first value supplied, as JSON, shortened; an unreadable one if there is any. Empty if none.
    """

    field: str
    keys: Mapping[str, int]
    missing: int
    unreadable: int
    example: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How rows were understood.

    Attributes:
        rows: how many rows there were.
        not_objects: how many of them were not even objects.
        fields: one entry per canonical field, in a fixed order.
        unused: keys (dotted where nested) that no field used, with the number of rows that have them.
    """

    rows: int
    not_objects: int
    fields: tuple[FieldUse, ...]
    unused: Mapping[str, int]


def explain(rows: Sequence[Any], profile: Profile, kind: RowKind) -> Explanation:
    """Tell how the rows of a list are understood under a profile.

    Args:
        rows: the elements of the list, as ``envelopes.unwrap`` returns them.
        profile: a resolved profile.
        kind: whether the rows are jobs or executions.
    """
    shape = RowShape(profile, kind)
    mapper = JobMapper("", profile) if kind == "job" else ExecutionMapper("", profile)
    objects = [row for row in rows if isinstance(row, dict)]
    flaws = [mapper.read(row).flaws for row in objects]
    used: set[tuple[str, ...]] = {(MAP_KEY,)}
    uses = []
    for field, keys in shape.keys.items():
        found = [keys.find(row) for row in objects]
        used.update(hit[0].path for hit in found if hit is not None)
        uses.append(_use(field, found, [flaw is not None and flaw.blames(field) for flaw in flaws]))
    present = Counter(path for row in objects for path in _paths(row, ()))
    unused = sorted((".".join(path), count) for path, count in present.items() if path not in used)
    return Explanation(len(rows), len(rows) - len(objects), tuple(uses), dict(unused[:_MOST_UNUSED]))


def _use(field: str, found: Sequence[tuple[FieldKey, Any] | None], blamed: Sequence[bool]) -> FieldUse:
    supplied = [(hit, blame) for hit, blame in zip(found, blamed, strict=True) if hit is not None]
    filled = [(value, blame) for (_, value), blame in supplied if is_filled(value)]
    examples = [value for value, blame in filled if blame] or [value for value, _ in filled]
    return FieldUse(
        field=field,
        keys=Counter(key.text for (key, _), _ in supplied),
        missing=len(found) - len(supplied),
        unreadable=sum(blame for _, blame in supplied),
        example=compact_json(examples[0])[:_LONGEST_EXAMPLE] if examples else "",
    )


def _paths(row: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the paths to every value of a row that is not itself an object."""
    for key, value in row.items():
        if isinstance(value, dict) and value and len(path) + 1 < _DEEPEST:
            yield from _paths(value, (*path, key))
        else:
            yield (*path, valid_text(key))
