"""The hash chain of the audit file: every record carries the hash of the one before.

It finds edits and removals by accident or by a naive hand. Whoever can rewrite the file can rewrite the hashes too,
and a tail that was cut off leaves a shorter chain that is whole: against both there is the copy on standard output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

#: The version of the record's form.
VERSION = 1
#: What stands as the previous hash in a first record.
GENESIS = "0" * 64

#: Keys of every record.
KEYS = (
    "actor",
    "decision",
    "hash",
    "kill_id",
    "mode",
    "outcome",
    "prev_hash",
    "reason",
    "request_id",
    "seq",
    "source",
    "stage",
    "target",
    "ts",
    "upstream",
    "v",
)

#: Longer lines are none of ours.
_LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chain has got to: the number and the hash of its last record."""

    seq: int = 0
    hash: str = GENESIS


class Broken(Exception):
    """A line does not continue the chain; the message says why."""


def line(record: Mapping[str, Any]) -> str:
    """Return a record as it stands in the file, without the line's end: ASCII, keys sorted."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(record: Mapping[str, Any]) -> str:
    """Return the hash of a record: SHA-256 of its line without the key ``hash``, in hexadecimal."""
    rest = {key: value for key, value in record.items() if key != "hash"}
    return hashlib.sha256(line(rest).encode()).hexdigest()


def follow(position: Position | None, text: bytes) -> tuple[Position, dict[str, Any]]:
    """Return the position after a line, and its record.

    Args:
        position: where the chain stood; ``None`` where a file begins, which may be with the first record of all or with
            the checkpoint of a rotated file.
        text: the line without its end.

    Raises:
        Broken: the line is no record, was altered, or does not follow.
    """
    record = _record(text)
    if digest(record) != record["hash"]:
        raise Broken("the record was altered: its hash does not fit")
    if position is None:
        position = Position(record["seq"] - 1, record["prev_hash"])
        is_first = position == Position()
        if not is_first and record["stage"] != "checkpoint":
            raise Broken("the file does not begin with a first record or a checkpoint: records before it are missing")
    if record["seq"] != position.seq + 1 or record["prev_hash"] != position.hash:
        raise Broken(f"record {record['seq']} does not follow record {position.seq}: a record was removed or added")
    return Position(record["seq"], record["hash"]), record


def _record(text: bytes) -> dict[str, Any]:
    try:
        record = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError):
        raise Broken("the line is no record") from None
    if not isinstance(record, dict) or tuple(sorted(record)) != KEYS:
        raise Broken("the line is no record: its keys are others")
    types = {"seq": int, "hash": str, "prev_hash": str, "stage": str, "v": int}
    if any(type(record[key]) is not kind for key, kind in types.items()):
        raise Broken("the line is no record: a value has another type")
    if record["v"] != VERSION:
        raise Broken(f"the record has version {record['v']}, which this release does not know")
    return record


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about a file or a series of files.

    Attributes:
        records: how many are whole.
        problems: what is wrong, each as ``FILE: line N: sentence``.
        position: where the chain ends.
    """

    records: int = 0
    problems: tuple[str, ...] = ()
    position: Position | None = None


def verify(files: Sequence[Path]) -> Verdict:
    """Follow the chain through files, the oldest first, and return what is wrong.

    After a break, the rest of the file is not looked at; the next file has to begin with a checkpoint.
    """
    verdict = Verdict()
    for file in files:
        found = verify_file(file, verdict.position)
        problems = (*verdict.problems, *found.problems)
        verdict = replace(found, records=verdict.records + found.records, problems=problems)
    return verdict


def verify_file(file: Path, position: Position | None) -> Verdict:
    """Follow the chain through one file.

    Args:
        file: the file.
        position: where the file before ended; ``None`` if that is not known.
    """
    records = 0
    try:
        with file.open("rb") as stream:
            while text := stream.readline(_LONGEST_LINE):
                position, _ = follow(position, whole(text))
                records += 1
    except Broken as error:
        return Verdict(records, (f"{file}: line {records + 1}: {error}",), None)
    except OSError as error:
        return Verdict(records, (f"{file}: cannot be read: {error.strerror}",), None)
    if not records:
        return Verdict(0, (f"{file}: holds no record",), position)
    return Verdict(records, (), position)


def whole(text: bytes) -> bytes:
    """Return a line without its end.

    Raises:
        Broken: it has none: it was not written to its end.
    """
    if not text.endswith(b"\n"):
        raise Broken("the record is not complete")
    return text[:-1]
