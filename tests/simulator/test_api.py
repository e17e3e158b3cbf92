"""What Cockpit, Pages, App Composer and Dumbella answer besides lists and runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exporter.simulator import DIALECTS
from tests import loopback
from tests.simulator.conftest import Quiet

JOBS = "/application/K7SALES/services/jobs"


@pytest.mark.parametrize("prefix", ["/cockpit", ""], ids=["Cockpit", "Pages"])
def test_lists_need_the_token(quiet: Quiet, prefix: str) -> None:
    """Without a token, or with a wrong one, the answer is Spring's 401; with the right one it is the list."""
    path = f"{prefix}/api/rest/application/K7SALES/services/jobs"
    refused = quiet.web.get(path)
    assert refused.status_code == 401
    body = refused.json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", body.pop("timestamp"))
    assert body == {
        "status": 401,
        "error": "Unauthorized",
        "message": "Full authentication is required",
        "path": path,
    }
    assert quiet.web.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert len(quiet.web.get(path, headers=quiet.headers).json()) == 8


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/application/NOWHERE/services/jobs", 404, "Not Found"),
        ("GET", "/application/NOWHERE/services/jobs/executions", 404, "Not Found"),
        ("GET", "/no/such/path", 404, "Not Found"),
        ("DELETE", "/application/K7SALES/services/jobs", 405, "Method Not Allowed"),
        ("GET", "/services/jobs/execution/1/kill", 405, "Method Not Allowed"),
        ("PUT", "/application/K7SALES/services/jobs/1", 404, "Not Found"),
        ("PUT", "/application/K7SALES/services/jobs/one", 400, "Bad Request"),
        ("GET", "/application/K7SALES/services/jobs/", 404, "Not Found"),
    ],
)
def test_errors_have_springs_form(quiet: Quiet, method: str, path: str, status: int, error: str) -> None:
    """What cannot be answered has Spring Boot's error body with status, error and path."""
    answer = quiet.cockpit.request(method, path)
    body = answer.json()
    assert answer.status_code == status
    assert set(body) == {"timestamp", "status", "error", "message", "path"}
    assert (body["status"], body["error"], body["path"]) == (status, error, f"/cockpit/api/rest{path}")


def test_unknown_paths_are_hidden_from_strangers(quiet: Quiet) -> None:
    """Without a token even a path that does not exist is 401."""
    assert quiet.web.get("/cockpit/no/such/path").status_code == 401


def test_app_composer_lists_applications_and_its_version(quiet: Quiet) -> None:
    """The two calls of App Composer answer at the root."""
    answers = [
        quiet.web.get(f"/api/rest/{path}", headers=quiet.headers).json()
        for path in ("application/all", "instance/version")
    ]
    assert answers == [
        [{"application": "K7SALES", "name": "Sales"}, {"application": "M2STOCK", "name": "Stock"}],
        {
            "version": "2024.1.3",
            "metadataVersion": "2024.1.0",
            "releasePhase": "GA",
            "widgetApplicationApiLevel": 12,
        },
    ]


def test_publishing_takes_the_drift_away(quiet: Quiet) -> None:
    """The published version becomes the current one, and the last update moves."""
    job = quiet.job("M2STOCK", "stock_feed_0.1")
    quiet.control("PATCH", f"jobs/M2STOCK/{job['id']}", {"current_version": 9})
    answer = quiet.cockpit.put(f"/application/M2STOCK/services/jobs/{job['id']}").json()
    assert (answer["currentVersion"], answer["publishedVersion"]) == (9, 9)
    assert quiet.job("M2STOCK", "stock_feed_0.1")["last_update"] > job["last_update"]


def test_publishing_enables_a_job_that_never_was_published(quiet: Quiet) -> None:
    """A DISABLED job of type NONE becomes an ENABLED JOB."""
    added = quiet.control(
        "POST",
        "jobs",
        {
            "application": "K7SALES",
            "name": "fresh_0.1",
            "type": "NONE",
            "status": "DISABLED",
            "published_version": None,
        },
    )
    quiet.cockpit.put(f"{JOBS}/{added['id']}")
    published = quiet.control("DELETE", f"jobs/K7SALES/{added['id']}")
    assert (published["type"], published["status"], published["published_version"]) == ("JOB", "ENABLED", 1)


def test_what_is_deleted_cannot_be_published(quiet: Quiet) -> None:
    """A DELETED job has no current version: 409."""
    job_id = quiet.job("K7SALES", "import_leads_0.1.zip")["id"]
    assert quiet.cockpit.put(f"{JOBS}/{job_id}").status_code == 409


def test_pages_are_turned_over_the_wire(quiet: Quiet) -> None:
    """With page and size the pages together have each job once."""
    quiet.control("PUT", "dialect", {"dialect": "page"})
    first = quiet.cockpit.get(JOBS).json()
    second = quiet.cockpit.get(JOBS, params={"page": 1}).json()
    assert [len(page["content"]) for page in (first, second)] == [5, 3]
    assert len({row["id"] for page in (first, second) for row in page["content"]}) == 8
    assert len(quiet.cockpit.get(JOBS, params={"size": 1000}).json()["content"]) == 8


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/actuator/health", {"status": "UP", "groups": ["liveness", "readiness"]}),
        ("/actuator/health/liveness", {"status": "UP"}),
        ("/actuator/health/readiness", {"status": "UP"}),
        (
            "/actuator/metrics",
            {
                "names": [
                    "http.server.requests",
                    "jvm.memory.used",
                    "jvm.threads.live",
                    "process.uptime",
                    "system.cpu.count",
                ]
            },
        ),
    ],
)
def test_the_actuator_needs_no_token(quiet: Quiet, path: str, expected: dict[str, Any]) -> None:
    """Health and metric names are answered to everyone."""
    assert quiet.web.get(path).json() == expected


def test_the_actuator_knows_nothing_of_jobs(quiet: Quiet) -> None:
    """Its Prometheus page has figures of the JVM, and no job."""
    page = quiet.web.get("/actuator/prometheus").text
    assert 'jvm_memory_used_bytes{area="heap",id="G1 Eden Space"} ' in page
    assert "load_orders" not in page


def test_the_home_page_says_what_this_is(quiet: Quiet) -> None:
    """Nobody takes it for the real thing."""
    page = quiet.web.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "it is a simulator of its Cockpit and of Dumbella, built from public facts" in page.text


def document(quiet: Quiet, path: str = "/cockpit/v3/api-docs") -> dict[str, Any]:
    """Return an OpenAPI document."""
    return dict(quiet.web.get(path, headers=quiet.headers).json())


def test_the_openapi_document_describes_what_is_served(quiet: Quiet) -> None:
    """Every operation of the document is answered below the server's URL, if only with a refusal of its own."""
    described = document(quiet)
    (server,) = described["servers"]
    # Nothing can be done to a deleted job.
    job_id = str(quiet.job("K7SALES", "import_leads_0.1.zip")["id"])
    for template, operations in described["paths"].items():
        path = template.replace("{application}", "K7SALES").replace("{id}", job_id)
        for method in map(str.upper, operations):
            answer = loopback.request(method, server["url"] + path, headers=quiet.headers)
            assert answer.status_code != 405
            assert answer.is_success or answer.json()["message"] != f"{method} /cockpit{path}"


def test_the_openapi_document_has_the_documented_paths(quiet: Quiet) -> None:
    """The paths are those of Cockpit."""
    assert set(document(quiet)["paths"]) == {
        "/api/rest/application/{application}/services/jobs",
        "/api/rest/application/{application}/services/jobs/executions",
        "/api/rest/application/{application}/services/jobs/{id}",
        "/api/rest/application/{application}/services/jobs/{id}/run",
        "/api/rest/application/{application}/services/jobs/{id}/run/async",
        "/api/rest/services/jobs/execution/{id}/kill",
        "/api/rest/application/{application}/services/service/{id}/start",
        "/api/rest/application/{application}/services/service/{id}/stop",
        "/api/rest/application/all",
        "/api/rest/instance/version",
    }


@pytest.mark.parametrize("prefix", ["/cockpit", ""])
def test_the_openapi_document_comes_in_two_groups(quiet: Quiet, prefix: str) -> None:
    """App Composer's two groups share the document's paths between them, and name the same server."""
    whole = document(quiet, f"{prefix}/v3/api-docs")
    groups = [document(quiet, f"{prefix}/v3/api-docs/Version {number}") for number in (1, 2)]
    assert {path for group in groups for path in group["paths"]} == set(whole["paths"])
    assert all(group["paths"] for group in groups)
    assert [part["servers"][0]["url"] for part in (whole, *groups)] == [quiet.simulator.url + prefix] * 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_openapi_document_describes_the_dialect(quiet: Quiet, dialect: str) -> None:
    """The schema of a list names exactly the keys that a list has on the wire, down to those of a row."""
    quiet.control("PUT", "dialect", {"dialect": dialect})
    quiet.run("K7SALES", "load_orders_0.1", duration=30)
    described = document(quiet)
    for path, component in (
        ("/api/rest/application/{application}/services/jobs", "JobList"),
        ("/api/rest/application/{application}/services/jobs/executions", "ExecutionList"),
    ):
        content = described["paths"][path]["get"]["responses"]["200"]["content"]
        assert content["application/json"]["schema"] == {"$ref": f"#/components/schemas/{component}"}
        listed = quiet.cockpit.get(path.removeprefix("/api/rest").replace("{application}", "K7SALES")).json()
        conforms(listed, described["components"]["schemas"][component], described["components"]["schemas"])


TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict}
#: What Spring writes around a page; the document leaves the details out.
UNDESCRIBED = {"pageable", "sort", "numberOfElements"}


def conforms(value: Any, schema: dict[str, Any], schemas: dict[str, dict[str, Any]]) -> None:
    """Check a value against a schema, in which every key must be described."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if value is None:
        assert schema["nullable"]
        return
    assert isinstance(value, TYPES[schema["type"]]), (value, schema)
    if isinstance(value, list):
        for item in value:
            conforms(item, schema["items"], schemas)
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for item in value.values():
            conforms(item, schema["additionalProperties"], schemas)
    elif isinstance(value, dict) and "properties" in schema:
        for key in set(value) - UNDESCRIBED:
            conforms(value[key], schema["properties"][key], schemas)
