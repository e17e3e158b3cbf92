"""The facts that Dumbella reports, free of JSON, HTTP and metrics.

Moments are seconds since the Unix epoch (``float``); what Dumbella did not report is ``None`` for moments and the
empty string for text. Everything here is frozen: a fact is replaced, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

#: Values of a job's status, as Dumbella documents them; anything else is ``UNKNOWN``.
STATUSES = ("DISABLED", "ENABLED", "STOPPED", "STARTED", "RESTARTED", "ERROR", "DELETED", "UNKNOWN")
#: Values of a job's type, as Dumbella documents them; anything else is ``UNKNOWN``.
JOB_TYPES = ("NONE", "JOB", "SERVICE", "UNKNOWN")
#: Values of a job's execution mode, as Cockpit shows them; anything else is ``UNKNOWN``.
EXECUTION_MODES = ("SEQUENTIAL", "PARALLEL", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Job:
    """One job of one application, as listed by Cockpit.

    ``(application, id)`` identifies it; ``name`` (without a trailing ``.zip``) is the stable human key, not unique.
    """

    application: str
    id: str
    name: str
    job_type: str = ""
    status: str = "UNKNOWN"
    execution_mode: str = ""
    current_version: str = ""
    published_version: str = ""
    last_update: float | None = None
    started_at: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution in progress, as listed by Cockpit's Job Manager.

    ``started_at`` is ``None`` where the start could not be read (a waiting run, an odd date).
    """

    application: str
    id: str
    job_id: str
    job_name: str
    started_at: float | None = None


Row = TypeVar("Row", Job, Execution)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One successful answer of a list endpoint, mapped.

    Attributes:
        rows: what could be mapped, in Cockpit's order, each identity once.
        listed: rows in the answer, before anything was dropped.
        invalid: rows dropped because an identity or a required field could not be read.
        duplicate: rows dropped because their identity was listed before.
        present: execution ids of invalid rows that were readable all the same: these executions are still there.
        unidentified: invalid rows whose identity could not be read either; such a list proves no absence.
        unknown_values: enum values that the profile does not know, counted per canonical field.
        mapping_errors: values that could not be read, counted per canonical field.
    """

    rows: tuple[Row, ...]
    listed: int
    invalid: int = 0
    duplicate: int = 0
    present: frozenset[str] = frozenset()
    unidentified: int = 0
    unknown_values: Mapping[str, int] = field(default_factory=dict)
    mapping_errors: Mapping[str, int] = field(default_factory=dict)
