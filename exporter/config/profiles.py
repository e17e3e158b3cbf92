"""Endpoint profiles: how one kind of installation spells Cockpit's API.

The built-in profiles state what is publicly known or most likely. Whatever an installation spells differently goes into
a profile of the configuration file, which extends a built-in one and says only what differs::

    profiles:
      ours:
        extends: cockpit
        items: {jobs: payload.rows}
        fields: {job: {status: [condition]}, execution: {id: [run.key]}}
        values: {status: {ACTIVE: ENABLED}}
        dates: {time_zone: Europe/Rome, formats: ["%d/%m/%Y %H:%M"]}
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from exporter.model import EXECUTION_MODES, JOB_TYPES, STATUSES

Endpoint = Literal["jobs", "executions", "kill", "applications", "version", "run", "result"]
ListEndpoint = Literal["jobs", "executions", "applications"]
JobField = Literal[
    "id",
    "name",
    "type",
    "status",
    "execution_mode",
    "current_version",
    "published_version",
    "last_update",
    "started_at",
    "error",
]
ExecutionField = Literal["id", "job_id", "job_name", "started_at"]
EnumField = Literal["type", "status", "execution_mode", "outcome"]

JOB_FIELDS: tuple[JobField, ...] = get_args(JobField)
EXECUTION_FIELDS: tuple[ExecutionField, ...] = get_args(ExecutionField)
OUTCOMES = ("done", "error", "killed", "running", "unresolved")

#: The conditions that a field key may carry, as in ``id|uuid``: it then counts only where its value has that shape.
CONDITIONS = ("uuid", "digits")

#: Placeholders that a path must have, and those that it may have.
_PLACEHOLDERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "jobs": (frozenset({"{application}"}), frozenset()),
    "executions": (frozenset({"{application}"}), frozenset()),
    "kill": (frozenset({"{id}"}), frozenset({"{application}"})),
    "applications": (frozenset(), frozenset()),
    "version": (frozenset(), frozenset()),
    "run": (frozenset({"{application}", "{id}"}), frozenset()),
    "result": (frozenset({"{id}"}), frozenset()),
}


def _checked_key(key: str) -> str:
    path, separator, condition = key.partition("|")
    if not all(path.split(".")):
        raise ValueError(f"{key!r} is not a key or a dotted path of keys")
    if separator and condition not in CONDITIONS:
        raise ValueError(f"{key!r} has an unknown condition; expected one of: {', '.join(CONDITIONS)}")
    return key


def _checked_time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone; expected a name like UTC or Europe/Rome") from error
    return name


def _checked_date_format(text: str) -> str:
    moment = dt.datetime(2021, 11, 22, 13, 14, 15, tzinfo=dt.UTC)
    try:
        with warnings.catch_warnings():
            # A format without a year is refused below, in our own words.
            warnings.simplefilter("ignore", DeprecationWarning)
            read = dt.datetime.strptime(moment.strftime(text), text)  # noqa: DTZ007 - only its date is looked at
    except (ValueError, re.error) as error:
        raise ValueError(f"{text!r} is not a strptime format; expected one like '%d/%m/%Y %H:%M'") from error
    if read.date() != moment.date():
        raise ValueError(f"{text!r} does not tell the whole date; expected at least a day, a month and a year")
    return text


Key = Annotated[str, StringConstraints(min_length=1), AfterValidator(_checked_key)]
Keys = Annotated[tuple[Key, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Paths(_Part):
    """Path templates below the base URL, or ``None`` where the installation lacks the endpoint."""

    jobs: str | None = None
    executions: str | None = None
    kill: str | None = None
    applications: str | None = None
    version: str | None = None
    run: str | None = None
    result: str | None = None

    @field_validator("*")
    @classmethod
    def _check_placeholders(cls, template: str | None, info: ValidationInfo) -> str | None:
        if template is not None:
            _check_path(template)
            _check_placeholders(template, *_PLACEHOLDERS[info.field_name or ""])
        return template


def _check_path(template: str) -> None:
    if not template.startswith("/") or template.startswith("//") or "#" in template or "\\" in template:
        raise ValueError(f"{template!r} is not a path; expected one that starts with a single /")
    if any(segment in {".", ".."} for segment in template.partition("?")[0].split("/")):
        raise ValueError(f"{template!r} has a . or .. segment; expected a path without")


def _check_placeholders(template: str, required: frozenset[str], optional: frozenset[str]) -> None:
    found = re.findall(r"\{[^/]*?\}|[{}]", template)
    for placeholder in found:
        if placeholder not in required | optional:
            expected = " and ".join(sorted(required | optional)) or "no placeholder"
            raise ValueError(f"{template!r} has {placeholder}; expected {expected}")
    for placeholder in sorted(required):
        if placeholder not in found:
            raise ValueError(f"{template!r} lacks {placeholder}")


class Items(_Part):
    """Dotted paths to the array in answers whose envelope is none of the usual ones."""

    jobs: Key | None = None
    executions: Key | None = None
    applications: Key | None = None


class Fields(_Part):
    """JSON keys of each canonical field, in the order in which they are tried; dots lead into nested objects.

    ``key|uuid`` and ``key|digits`` count only where the value is shaped like that.
    """

    job: dict[JobField, Keys] = {}
    execution: dict[ExecutionField, Keys] = {}


def _upper_keys(values: dict[str, str]) -> dict[str, str]:
    return {key.strip().upper(): value for key, value in values.items()}


def _one_of(*allowed: str) -> AfterValidator:
    spelling = {value.upper(): value for value in allowed}

    def check(values: dict[str, str]) -> dict[str, str]:
        for key, value in values.items():
            if value.upper() not in spelling:
                expected = ", ".join(value or "''" for value in allowed)
                raise ValueError(f"{key!r} is mapped to {value!r}; expected one of: {expected}")
        return _upper_keys({key: spelling[value.upper()] for key, value in values.items()})

    return AfterValidator(check)


class Values(_Part):
    """What each reported value means; compared without case. The key ``""`` stands for an absent value."""

    type: Annotated[dict[str, str], _one_of("", *JOB_TYPES)] = {}
    status: Annotated[dict[str, str], _one_of(*STATUSES)] = {}
    execution_mode: Annotated[dict[str, str], _one_of("", *EXECUTION_MODES)] = {}
    outcome: Annotated[dict[str, str], _one_of(*OUTCOMES)] = {}


class Dates(_Part):
    """How dates without an offset are understood, and further ``strptime`` formats, tried before the usual forms."""

    time_zone: Annotated[str, AfterValidator(_checked_time_zone)] = "UTC"
    formats: tuple[Annotated[str, AfterValidator(_checked_date_format)], ...] = ()


class Paging(_Part):
    """Names of the query parameters of paged lists, and how many rows to ask for; pages count from 0."""

    page: str = Field("page", min_length=1)
    size: str = Field("size", min_length=1)
    page_size: int = Field(1000, ge=1, le=100_000)


class Profile(_Part):
    """How one kind of installation spells Cockpit's API.

    Attributes:
        extends: the profile that supplies everything not said here; ``None`` starts from nothing.
        paths: path templates per endpoint.
        items: dotted paths to the arrays of unusual envelopes.
        fields: JSON keys per canonical field; in an extending profile they are tried before the inherited ones.
        values: what reported values mean; added to the inherited ones.
        dates: time zone and formats of dates.
        executions: whether the installation lists running executions at all.
        paging: parameters of paged lists.
    """

    extends: str | None = "cockpit"
    paths: Paths = Paths()
    items: Items = Items()
    fields: Fields = Fields()
    values: Values = Values()
    dates: Dates = Dates()
    executions: Literal["supported", "unsupported"] = "supported"
    paging: Paging = Paging()


_JOB_PATHS = {
    "jobs": "/api/rest/application/{application}/services/jobs",
    "executions": "/api/rest/application/{application}/services/jobs/executions",
    "kill": "/api/rest/services/jobs/execution/{id}/kill",
    "run": "/api/rest/application/{application}/services/jobs/{id}/run",
    "result": "/execution/{id}/result",
}
_FIELDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "job": {
        "id": ("id", "jobId", "jobPK.id", "pk.id", "uuid"),
        "name": ("name", "jobName", "label", "description"),
        "type": ("type", "jobType", "publicationType"),
        "status": ("status", "state", "jobStatus"),
        "execution_mode": ("execution", "executionType", "executionMode", "parallel", "parallelExecution"),
        "current_version": ("currentVersion", "version", "resourceVersion"),
        "published_version": ("publishedVersion", "published.version"),
        "last_update": ("lastUpdate", "lastUpdateDate", "updateDate", "lastModified", "updated"),
        "started_at": ("startDate", "startedAt", "started", "lastStart"),
        "error": ("error", "errorMessage", "message", "info", "details"),
    },
    "execution": {
        "id": ("executionId", "execution", "uuid", "id|uuid"),
        "job_id": ("jobId", "id|digits", "job.id", "jobPK.id"),
        "job_name": ("name", "jobName", "job.name"),
        "started_at": ("startDate", "startTime", "startedAt", "date", "start"),
    },
}
_VALUES: Mapping[str, Mapping[str, str]] = {
    "type": {"": "", **{value: value for value in JOB_TYPES}},
    "status": {"": "UNKNOWN", **{value: value for value in STATUSES}},
    # A boolean answers the question "parallel?", whichever key it comes under.
    "execution_mode": {
        "": "",
        **{value: value for value in EXECUTION_MODES},
        "true": "PARALLEL",
        "false": "SEQUENTIAL",
    },
    "outcome": {"DONE": "done", "ERROR": "error", "KILLED": "killed", "RUNNING": "running"},
}


def _built_in(**paths: str) -> Profile:
    return Profile.model_validate(
        {"extends": None, "paths": {**_JOB_PATHS, **paths}, "fields": _FIELDS, "values": _VALUES}
    )


#: Profiles that every installation may name; ``pages`` differs from ``cockpit`` in its base URL only.
BUILTIN: Mapping[str, Profile] = {
    "cockpit": _built_in(),
    "pages": _built_in(),
    "appcomposer": _built_in(
        applications="/api/rest/application/all",
        version="/api/rest/instance/version",
    ),
}


def resolve(name: str, custom: Mapping[str, Profile | Mapping[str, Any]]) -> Profile:
    """Return the profile ``name`` with everything it extends folded in.

    Args:
        name: a built-in profile, or one of ``custom``; a custom one may not take the name of a built-in one.
        custom: the configuration's ``profiles`` section, validated or not.

    Raises:
        ValueError: in one sentence: an unknown name, a cycle, a built-in name taken, or what is wrong in a section.
    """
    chain: list[Profile] = []
    visited: list[str] = []
    following: str | None = name
    while following is not None:
        if following in visited:
            raise ValueError(f"profile {name!r} extends itself: {' -> '.join([*visited, following])}")
        profile = _named(following, custom, used_by=visited[-1] if visited else None)
        visited.append(following)
        chain.append(profile)
        following = profile.extends
    folded = chain.pop()
    while chain:
        folded = _extended(folded, chain.pop())
    return folded


def _named(name: str, custom: Mapping[str, Profile | Mapping[str, Any]], used_by: str | None) -> Profile:
    if name in BUILTIN and name in custom:
        raise ValueError(f"profile {name!r} has the name of a built-in profile; choose another name")
    if name in BUILTIN:
        return BUILTIN[name]
    if name not in custom:
        known = ", ".join(sorted({*BUILTIN, *custom}))
        where = f"profile {used_by!r} extends {name!r}, which is unknown" if used_by else f"profile {name!r} is unknown"
        raise ValueError(f"{where}; expected one of: {known}")
    section = custom[name]
    if isinstance(section, Profile):
        return section
    try:
        return Profile.model_validate(section)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise ValueError(f"profile {name!r}: {problems}") from error


_PartType = TypeVar("_PartType", bound=_Part)


def _overridden(inherited: _PartType, own: _PartType) -> _PartType:
    """Take what ``own`` says, even if that is ``None``, and the rest from ``inherited``."""
    return inherited.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _extended(inherited: Profile, own: Profile) -> Profile:
    return Profile(
        extends=None,
        paths=_overridden(inherited.paths, own.paths),
        items=_overridden(inherited.items, own.items),
        fields=Fields(
            job=_keys_tried_first(own.fields.job, inherited.fields.job),
            execution=_keys_tried_first(own.fields.execution, inherited.fields.execution),
        ),
        values=Values(
            type={**inherited.values.type, **own.values.type},
            status={**inherited.values.status, **own.values.status},
            execution_mode={**inherited.values.execution_mode, **own.values.execution_mode},
            outcome={**inherited.values.outcome, **own.values.outcome},
        ),
        dates=_overridden(inherited.dates, own.dates),
        executions=own.executions if "executions" in own.model_fields_set else inherited.executions,
        paging=_overridden(inherited.paging, own.paging),
    )


_FieldName = TypeVar("_FieldName", bound=str)


def _keys_tried_first(
    own: Mapping[_FieldName, tuple[str, ...]], inherited: Mapping[_FieldName, tuple[str, ...]]
) -> dict[_FieldName, tuple[str, ...]]:
    merged = dict(inherited)
    for field, keys in own.items():
        merged[field] = tuple(dict.fromkeys((*keys, *inherited.get(field, ()))))
    return merged
