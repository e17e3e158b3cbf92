"""The forms that Cockpit's JSON may take, as data: which of them a real installation uses is not public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Envelope(Enum):
    """What surrounds the rows of a list."""

    ARRAY = "array"
    PAGE = "page"
    PAGED_MODEL = "pagedmodel"
    HAL = "hal"
    WRAPPER = "wrapper"
    MAP = "map"


class Dates(Enum):
    """How a moment is written."""

    ISO_Z = "2024-05-17T08:30:00.250Z"
    ISO_COLON = "2024-05-17T08:30:00.250+00:00"
    ISO_NO_COLON = "2024-05-17T10:30:00.250+0200"
    ISO_LOCAL = "2024-05-17T08:30:00.250"
    EPOCH_MILLISECONDS = "1715934600250"
    EPOCH_SECONDS = "1715934600.250000000"
    ARRAY = "[2024,5,17,8,30,0,250000000]"


class Absent(Enum):
    """How a value that a job does not have is written."""

    NULL = "null"
    LEFT_OUT = "left out"
    EMPTY_TEXT = '""'


class Mode(Enum):
    """How the execution mode is written."""

    TITLE = "Sequential"
    UPPER = "SEQUENTIAL"
    LOWER = "sequential"
    PARALLEL_FLAG = "false"


class Zip(Enum):
    """Whether names in a list end in ``.zip``."""

    AS_STORED = "as stored"
    ALWAYS = "always"
    NEVER = "never"


#: Canonical name → key; a dot is a nested object.
DEFAULT_JOB_KEYS = {
    "id": "id",
    "application": "application",
    "name": "name",
    "type": "type",
    "status": "status",
    "mode": "execution",
    "current_version": "currentVersion",
    "published_version": "publishedVersion",
    "last_update": "lastUpdate",
    "started_at": "startDate",
    "error": "error",
}
DEFAULT_EXECUTION_KEYS = {"id": "executionId", "job_id": "jobId", "name": "name", "started_at": "startDate"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One form of every list.

    Attributes:
        description: what is peculiar to it, in one line.
        wrapper: for ``Envelope.WRAPPER`` and ``HAL`` the keys of the list of jobs and of the list of executions.
        page_size: rows on a page where the client does not ask for a size; only for the paged envelopes.
        max_page_size: rows on a page, however many the client asks for.
        job_keys: canonical name → key; what is missing here is not on the wire.
        execution_keys: the same for executions.
        text_ids: ids of jobs as strings.
        text_versions: versions as strings.
        lower_case: enum values in lower case.
        waiting_listed: whether runs that wait are listed, without a start date.
        application_key: the key of an application's code; empty where the codes are listed as plain strings.
        json_run: whether an asynchronous run answers JSON rather than text.
    """

    description: str
    envelope: Envelope = Envelope.ARRAY
    wrapper: tuple[str, str] = ("", "")
    page_size: int = 0
    max_page_size: int = 2000
    job_keys: Mapping[str, str] = field(default_factory=lambda: DEFAULT_JOB_KEYS)
    execution_keys: Mapping[str, str] = field(default_factory=lambda: DEFAULT_EXECUTION_KEYS)
    text_ids: bool = False
    text_versions: bool = False
    lower_case: bool = False
    dates: Dates = Dates.ISO_Z
    absent: Absent = Absent.NULL
    mode: Mode = Mode.TITLE
    job_names: Zip = Zip.AS_STORED
    execution_names: Zip = Zip.ALWAYS
    waiting_listed: bool = False
    application_key: str = "application"
    json_run: bool = False


DIALECTS: Mapping[str, Dialect] = {
    "default": Dialect("bare array, default keys, numeric ids, ISO dates in UTC"),
    "page": Dialect(
        "Spring Page of 5 rows unless the client asks for more",
        envelope=Envelope.PAGE,
        page_size=5,
        mode=Mode.UPPER,
    ),
    "pagedmodel": Dialect(
        "Spring PagedModel of at most 4 rows, parallelExecution as a boolean, dates with +00:00, absent left out",
        envelope=Envelope.PAGED_MODEL,
        page_size=4,
        max_page_size=4,
        job_keys={**DEFAULT_JOB_KEYS, "mode": "parallelExecution", "name": "description"},
        execution_keys={**DEFAULT_EXECUTION_KEYS, "started_at": "start"},
        dates=Dates.ISO_COLON,
        absent=Absent.LEFT_OUT,
        mode=Mode.PARALLEL_FLAG,
    ),
    "hal": Dialect(
        "HAL with _embedded and links, dates without a zone, waiting runs listed without a start date",
        envelope=Envelope.HAL,
        wrapper=("jobList", "jobExecutionList"),
        page_size=20,
        dates=Dates.ISO_LOCAL,
        waiting_listed=True,
        json_run=True,
    ),
    "wrapped": Dialect(
        "rows under data, executions under data as well, names without .zip everywhere",
        envelope=Envelope.WRAPPER,
        wrapper=("data", "data"),
        job_keys={**DEFAULT_JOB_KEYS, "error": "details", "last_update": "updated"},
        mode=Mode.LOWER,
        job_names=Zip.NEVER,
        application_key="",
        execution_names=Zip.NEVER,
    ),
    "map": Dialect(
        "an object whose keys are the ids, dates as epoch milliseconds, empty text for absent versions",
        envelope=Envelope.MAP,
        job_keys={key: value for key, value in DEFAULT_JOB_KEYS.items() if key != "id"},
        execution_keys={key: value for key, value in DEFAULT_EXECUTION_KEYS.items() if key != "id"},
        dates=Dates.EPOCH_MILLISECONDS,
        absent=Absent.EMPTY_TEXT,
        text_versions=True,
    ),
    "aliases": Dialect(
        "rows under items, the first set of alternative keys, ids as strings, dates as epoch milliseconds",
        envelope=Envelope.WRAPPER,
        wrapper=("items", "items"),
        job_keys={
            "id": "jobId",
            "application": "application",
            "name": "jobName",
            "type": "jobType",
            "status": "state",
            "mode": "executionType",
            "current_version": "version",
            "published_version": "publishedVersion",
            "last_update": "lastUpdateDate",
            "started_at": "startedAt",
            "error": "errorMessage",
        },
        execution_keys={"id": "execution", "job_id": "id", "name": "jobName", "started_at": "startTime"},
        text_ids=True,
        text_versions=True,
        dates=Dates.EPOCH_MILLISECONDS,
        mode=Mode.UPPER,
        job_names=Zip.ALWAYS,
        application_key="code",
        json_run=True,
    ),
    "nested": Dialect(
        "nested keys (jobPK.id, published.version, job.id), parallel as a boolean, dates as Jackson's arrays",
        job_keys={
            "id": "jobPK.id",
            "application": "jobPK.application",
            "name": "label",
            "type": "publicationType",
            "status": "jobStatus",
            "mode": "parallel",
            "current_version": "resourceVersion",
            "published_version": "published.version",
            "last_update": "updateDate",
            "started_at": "started",
            "error": "message",
        },
        execution_keys={"id": "uuid", "job_id": "job.id", "name": "job.name", "started_at": "startedAt"},
        dates=Dates.ARRAY,
        absent=Absent.LEFT_OUT,
        mode=Mode.PARALLEL_FLAG,
        waiting_listed=True,
    ),
    "seconds": Dialect(
        "rows under results, further alternative keys, dates as decimal epoch seconds, enum values in lower case",
        envelope=Envelope.WRAPPER,
        wrapper=("results", "results"),
        job_keys={
            **DEFAULT_JOB_KEYS,
            "id": "pk.id",
            "application": "pk.application",
            "mode": "executionMode",
            "last_update": "lastModified",
            "started_at": "lastStart",
            "error": "info",
        },
        execution_keys={"id": "id", "job_id": "jobPK.id", "name": "name", "started_at": "date"},
        lower_case=True,
        dates=Dates.EPOCH_SECONDS,
        mode=Mode.LOWER,
    ),
    "offset": Dialect(
        "rows under jobs and executions, the job's id under uuid, dates with an offset without colon",
        envelope=Envelope.WRAPPER,
        wrapper=("jobs", "executions"),
        job_keys={**DEFAULT_JOB_KEYS, "id": "uuid"},
        text_ids=True,
        dates=Dates.ISO_NO_COLON,
        json_run=True,
    ),
}
