"""Profiles: what the built-in ones say, how custom ones extend them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config.profiles import BUILTIN, Profile, resolve

JOB_FIELDS = {
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
}
EXECUTION_FIELDS = {
    "id": ("executionId", "execution", "uuid", "id|uuid"),
    "job_id": ("jobId", "id|digits", "job.id", "jobPK.id"),
    "job_name": ("name", "jobName", "job.name"),
    "started_at": ("startDate", "startTime", "startedAt", "date", "start"),
}


@pytest.mark.parametrize("name", ["cockpit", "pages", "appcomposer"])
def test_built_in_fields(name: str) -> None:
    """Every built-in profile tries the documented keys in the documented order."""
    fields = BUILTIN[name].fields

    assert (JOB_FIELDS, EXECUTION_FIELDS) == (fields.job, fields.execution)


@pytest.mark.parametrize("name", ["cockpit", "pages", "appcomposer"])
def test_built_in_job_paths(name: str) -> None:
    """Every built-in profile has the paths of jobs, executions, kill, run and result."""
    paths = BUILTIN[name].paths

    assert paths.jobs == "/api/rest/application/{application}/services/jobs"
    assert paths.executions == "/api/rest/application/{application}/services/jobs/executions"
    assert paths.kill == "/api/rest/services/jobs/execution/{id}/kill"
    assert paths.run == "/api/rest/application/{application}/services/jobs/{id}/run"
    assert paths.result == "/execution/{id}/result"


@pytest.mark.parametrize(
    ("name", "applications", "version"),
    [
        ("cockpit", None, None),
        ("pages", None, None),
        ("appcomposer", "/api/rest/application/all", "/api/rest/instance/version"),
    ],
)
def test_built_in_discovery(name: str, applications: str | None, version: str | None) -> None:
    """Only App Composer lists its applications and tells its version."""
    paths = BUILTIN[name].paths

    assert (applications, version) == (paths.applications, paths.version)


def test_built_in_name_resolves_to_itself() -> None:
    """A built-in name needs no custom profiles."""
    assert BUILTIN["pages"] == resolve("pages", {})


def test_custom_profile_says_only_what_differs() -> None:
    """A custom profile keeps everything of the built-in one that it does not mention."""
    profile = resolve("ours", {"ours": {"extends": "appcomposer", "paths": {"jobs": "/v9/{application}/jobs"}}})

    assert profile.paths.jobs == "/v9/{application}/jobs"
    assert profile.paths.applications == "/api/rest/application/all"
    assert profile.fields.job == JOB_FIELDS


def test_custom_profile_extends_cockpit_unless_it_says_otherwise() -> None:
    """An empty custom profile is the cockpit profile."""
    assert BUILTIN["cockpit"] == resolve("ours", {"ours": {}})


def test_profile_that_extends_nothing_starts_empty() -> None:
    """``extends: null`` leaves out every built-in path and key."""
    profile = resolve("bare", {"bare": {"extends": None, "paths": {"jobs": "/{application}"}}})

    assert profile.paths.jobs == "/{application}"
    assert profile.paths.executions is None
    assert profile.fields.job == {}


def test_custom_keys_come_before_inherited_ones() -> None:
    """A custom key is tried before the inherited ones, and a repeated one moves to the front."""
    custom = {"ours": {"fields": {"job": {"status": ["condition", "state"]}, "execution": {"id": ["run.key"]}}}}

    profile = resolve("ours", custom)

    assert profile.fields.job["status"] == ("condition", "state", "status", "jobStatus")
    assert profile.fields.execution["id"] == ("run.key", "executionId", "execution", "uuid", "id|uuid")


def test_chain_of_profiles_folds_from_the_root() -> None:
    """In a chain the nearest profile wins, and every link contributes."""
    custom: dict[str, dict[str, Any]] = {
        "site": {"extends": "ours", "values": {"status": {"idle": "STOPPED"}}, "dates": {"formats": ["%d/%m/%Y"]}},
        "ours": {"values": {"status": {"idle": "ENABLED", "gone": "DELETED"}}, "dates": {"time_zone": "Europe/Rome"}},
    }

    profile = resolve("site", custom)

    assert profile.extends is None
    assert profile.values.status["IDLE"] == "STOPPED"
    assert profile.values.status["GONE"] == "DELETED"
    assert profile.values.status["ENABLED"] == "ENABLED"
    assert (profile.dates.time_zone, profile.dates.formats) == ("Europe/Rome", ("%d/%m/%Y",))


def test_null_takes_an_inherited_path_away() -> None:
    """A path set to null is a path that the installation lacks."""
    assert resolve("ours", {"ours": {"paths": {"executions": None}}}).paths.executions is None


def test_other_sections_are_inherited_key_by_key() -> None:
    """Items, paging and the support of executions follow the nearest profile that mentions them."""
    custom: dict[str, dict[str, Any]] = {
        "site": {"extends": "ours", "items": {"jobs": "payload.rows"}, "paging": {"page_size": 50}},
        "ours": {
            "items": {"jobs": "rows", "executions": "runs"},
            "paging": {"page": "p"},
            "executions": "unsupported",
        },
    }

    profile = resolve("site", custom)

    assert (profile.items.jobs, profile.items.executions) == ("payload.rows", "runs")
    assert (profile.paging.page, profile.paging.size, profile.paging.page_size) == ("p", "size", 50)
    assert profile.executions == "unsupported"


def test_validated_profiles_resolve_too() -> None:
    """The custom section may hold profiles that are validated already."""
    assert resolve("ours", {"ours": Profile(executions="unsupported")}).executions == "unsupported"


@pytest.mark.parametrize(
    ("name", "custom", "sentence"),
    [
        ("odd", {}, "profile 'odd' is unknown; expected one of: appcomposer, cockpit, pages"),
        (
            "ours",
            {"ours": {"extends": "odd"}},
            "profile 'ours' extends 'odd', which is unknown; expected one of: appcomposer, cockpit, ours, pages",
        ),
        ("ours", {"ours": {"extends": "ours"}}, "profile 'ours' extends itself: ours -> ours"),
        (
            "a",
            {"a": {"extends": "b"}, "b": {"extends": "c"}, "c": {"extends": "b"}},
            "profile 'a' extends itself: a -> b -> c -> b",
        ),
        ("pages", {"pages": {}}, "profile 'pages' has the name of a built-in profile; choose another name"),
        (
            "ours",
            {"ours": {"paths": {"jobs": "jobs"}}},
            "profile 'ours': paths.jobs: 'jobs' is not a path; expected one that starts with a single /",
        ),
    ],
)
def test_unusable_chain_is_refused(name: str, custom: dict[str, Any], sentence: str) -> None:
    """An unknown name, a cycle, a taken name and a bad section are each told in one sentence."""
    with pytest.raises(ValueError, match=r"^profile ") as caught:
        resolve(name, custom)

    assert sentence == str(caught.value)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"paths": {"jobs": "//evil.example.com/{application}"}}, "is not a path; expected one that starts with a"),
        ({"paths": {"jobs": "/a/../{application}"}}, "has a . or .. segment; expected a path without"),
        ({"paths": {"jobs": "/a"}}, "'/a' lacks {application}"),
        ({"paths": {"kill": "/a/{application}"}}, "'/a/{application}' lacks {id}"),
        ({"paths": {"result": "/{application}/{id}"}}, "'/{application}/{id}' has {application}; expected {id}"),
        ({"paths": {"version": "/{id}"}}, "'/{id}' has {id}; expected no placeholder"),
        ({"paths": {"jobs": "/{application"}}, "'/{application' has {; expected {application}"),
        ({"paths": {"job": "/a"}}, "Extra inputs are not permitted"),
        ({"fields": {"job": {"colour": ["c"]}}}, "Input should be 'id', 'name', 'type'"),
        ({"fields": {"job": {"id": ["a..b"]}}}, "'a..b' is not a key or a dotted path of keys"),
        ({"fields": {"job": {"id": ["a|odd"]}}}, "'a|odd' has an unknown condition; expected one of: uuid, digits"),
        ({"fields": {"job": {"id": []}}}, "Tuple should have at least 1 item"),
        ({"values": {"type": {"x": "ETL"}}}, "'x' is mapped to 'ETL'; expected one of: '', NONE, JOB, SERVICE"),
        ({"values": {"status": {"x": ""}}}, "'x' is mapped to ''; expected one of: DISABLED, ENABLED"),
        ({"values": {"outcome": {"x": "ok"}}}, "'x' is mapped to 'ok'; expected one of: done, error, killed"),
        ({"dates": {"time_zone": "Rome"}}, "'Rome' is not a time zone; expected a name like UTC or Europe/Rome"),
        ({"dates": {"formats": ["%d/%m/%Q"]}}, "'%d/%m/%Q' is not a strptime format"),
        ({"dates": {"formats": ["%H:%M"]}}, "'%H:%M' does not tell the whole date"),
        ({"paging": {"page_size": 0}}, "Input should be greater than or equal to 1"),
        ({"executions": "maybe"}, "Input should be 'supported' or 'unsupported'"),
    ],
)
def test_bad_section_is_refused(section: dict[str, Any], sentence: str) -> None:
    """Every mistake in a profile is told in words."""
    with pytest.raises(ValidationError) as caught:
        Profile.model_validate(section)

    assert sentence in str(caught.value)


def test_kill_path_may_name_the_application() -> None:
    """The kill path takes the application where a release has it in the path."""
    profile = Profile.model_validate({"paths": {"kill": "/{application}/executions/{id}/kill"}})

    assert profile.paths.kill == "/{application}/executions/{id}/kill"


def test_value_maps_compare_without_case() -> None:
    """The keys of value maps are kept in upper case, their meanings in the documented spelling."""
    values = Profile.model_validate({"values": {"status": {" Active ": "enabled"}, "outcome": {"ok": "DONE"}}}).values

    assert values.status == {"ACTIVE": "ENABLED"}
    assert values.outcome == {"OK": "done"}
