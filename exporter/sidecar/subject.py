"""What is to be killed: one run of one job, told apart from every other run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from exporter.model import Execution

#: What an id or a code in a request looks like. ``..`` and everything that a URL's path gives a meaning is out.
ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class Key(NamedTuple):
    """What there is at most one kill of at a time."""

    target: str
    application: str
    job_id: str
    execution_id: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One run as it was listed.

    Attributes:
        target: the target's name.
        application: the application's code.
        execution_id: the execution's id.
        job_id: the job's id, empty if Cockpit does not list it.
        job_name: the job's name without a trailing ``.zip``.
        started_at: seconds since the epoch; ``None`` for a waiting run.
    """

    target: str
    application: str
    execution_id: str
    job_id: str
    job_name: str
    started_at: float | None

    @classmethod
    def of(cls, target: str, execution: Execution) -> Subject:
        """Return an execution of a target."""
        return cls(
            target=target,
            application=execution.application,
            execution_id=execution.id,
            job_id=execution.job_id,
            job_name=execution.job_name,
            started_at=execution.started_at,
        )

    @property
    def key(self) -> Key:
        """What there is at most one kill of at a time."""
        return Key(self.target, self.application, self.job_id, self.execution_id)

    @property
    def started_second(self) -> int | None:
        """The whole second of the start: what links, tokens and callers compare."""
        return None if self.started_at is None else int(self.started_at)

    def is_same_run(self, other: Subject) -> bool:
        """Tell whether both are the same run: ids alike, and starts that differ by less than a second."""
        return self.key == other.key and same_start(self.started_at, other.started_at)


def same_start(one: float | None, other: float | None) -> bool:
    """Tell whether two starts differ by less than a second; a missing one equals only a missing one."""
    if one is None or other is None:
        return one is other
    return abs(one - other) < 1.0
