"""The client: what it sends, what it makes of every answer, and that nothing secret shows."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from exporter.cockpit import (
    AuthRejected,
    ClientError,
    CockpitClient,
    CockpitError,
    ConnectFailed,
    Inspection,
    NotJSON,
    Redirected,
    RequestTimeout,
    Result,
    SchemaMismatch,
    ServerError,
    TooLarge,
)
from exporter.cockpit.fetch import address
from exporter.config import Auth, HeaderFile, Limits, Results
from exporter.model import Execution, Job, Listing
from tests.cockpit.asking import BASE, ask, executions, jobs, soon

ROWS = [{"id": 1, "name": "load_orders_0.1.zip", "status": "ENABLED"}]
JOBS = Listing(rows=(Job("K7SALES", "1", "load_orders_0.1", status="ENABLED"),), listed=1)
RUN = "0b9e3c5a-7d0f-4c1e-9a43-2f5d1c6b7a80"
HTML = "<!DOCTYPE html><html><title>Log in</title></html>"


def answer(status: int = 200, content: bytes | str = b"[]", **headers: str) -> httpx.Response:
    """Return an answer; header names are written with underscores."""
    return httpx.Response(
        status, content=content, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def failing(response: httpx.Response, **settings: Any) -> tuple[CockpitError, list[tuple[str, str | None]]]:
    """Return the error that an answer to the question for jobs leads to, and what was observed."""
    observed: list[tuple[str, str | None]] = []
    with pytest.raises(CockpitError) as caught:
        ask(lambda _: response, jobs, observed=observed, **settings)
    return caught.value, observed


# --- what is sent --------------------------------------------------------------------------------------------------


def sent(question: Any, body: bytes = b"[]", **settings: Any) -> httpx.Request:
    """Return the only request that a question leads to."""
    requests: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer(content=body)

    ask(serve, question, **settings)
    (only,) = requests
    return only


def test_jobs_url() -> None:
    """Jobs are asked for under the base URL's context path."""
    request = sent(jobs)

    assert (request.method, str(request.url)) == ("GET", f"{BASE}/api/rest/application/K7SALES/services/jobs")


def test_executions_url() -> None:
    """Executions are asked for under the base URL's context path; a trailing slash of the base makes no difference."""
    request = sent(executions, url=f"{BASE}/")

    assert str(request.url) == f"{BASE}/api/rest/application/K7SALES/services/jobs/executions"


def test_request_headers() -> None:
    """A request says who asks and what it understands, and carries no credential that was not configured."""
    headers = sent(jobs).headers

    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "gzip, deflate"
    assert headers["user-agent"].startswith("dumbella-exporter/")
    assert not {"authorization", "cookie"} & set(headers)


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("A/B", "/cockpit/api/rest/application/A%2FB/services/jobs"),
        ("A?b=c#d", "/cockpit/api/rest/application/A%3Fb%3Dc%23d/services/jobs"),
        ("../x", "/cockpit/api/rest/application/..%2Fx/services/jobs"),
        ("%2e%2e", "/cockpit/api/rest/application/%252e%252e/services/jobs"),
        ("{id}", "/cockpit/api/rest/application/%7Bid%7D/services/jobs"),
        ("é \ud800", "/cockpit/api/rest/application/%C3%A9%20%3F/services/jobs"),
    ],
)
def test_values_stay_one_path_segment(code: str, path: str) -> None:
    """Whatever an application is called, it is one segment of the path."""

    async def question(client: CockpitClient) -> None:
        await client.jobs(code, soon())

    request = sent(question)

    assert (path, "apps.example.com") == (request.url.raw_path.decode(), request.url.host)


@pytest.mark.parametrize("code", ["", ".", ".."])
def test_values_that_would_change_the_path(code: str) -> None:
    """A value that would lead to another path is refused before anything is sent."""

    async def question(client: CockpitClient) -> None:
        await client.jobs(code, soon())

    with pytest.raises(ClientError, match=r"^the application '\.{0,2}' cannot be part of a path$"):
        ask(lambda _: pytest.fail("nothing may be sent"), question)


def test_credentials(tmp_path: Path) -> None:
    """Token, cookie and extra headers are read from files and sent."""
    (tmp_path / "token").write_text("api-key-1\n")
    (tmp_path / "cookie").write_text("JSESSIONID=abcdef; lang=en\n")
    (tmp_path / "header").write_text("tenant-7\n")
    auth = Auth(
        bearer_token_file=tmp_path / "token",
        cookie_file=tmp_path / "cookie",
        headers={"X-Plain": SecretStr("plain-value"), "X-Tenant": HeaderFile(file=tmp_path / "header")},
    )

    headers = sent(jobs, auth=auth).headers

    assert headers["authorization"] == "Bearer api-key-1"
    assert headers["cookie"] == "JSESSIONID=abcdef; lang=en"
    assert (headers["x-plain"], headers["x-tenant"]) == ("plain-value", "tenant-7")


def test_rotated_token(tmp_path: Path) -> None:
    """A token that changes on disk is used from the next request on."""
    token = tmp_path / "token"
    token.write_text("first")
    seen: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return answer()

    async def question(client: CockpitClient) -> None:
        await client.jobs("K7SALES", soon())
        token.write_text("the second")
        await client.jobs("K7SALES", soon())

    ask(serve, question, auth=Auth(bearer_token_file=token))

    assert seen == ["Bearer first", "Bearer the second"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "the file is empty"),
        (b"one\ntwo", "the file has several lines"),
        (b"caf\xc3\xa9-token", "the file has characters that are not printable ASCII"),
    ],
)
def test_unreadable_token(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """A token that cannot be read is an authentication failure that names the key and the file, not the content."""
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)

    error, observed = failing(answer(), auth=Auth(bearer_token_file=token))

    assert isinstance(error, AuthRejected)
    assert error.detail.startswith(f"auth.bearer_token_file: '{token}'")
    assert error.detail.endswith(sentence)
    assert observed == [("jobs", "auth")]


def test_cookies_of_the_server_are_not_kept() -> None:
    """A session that the server opens is not continued: every request stands on the configured credential alone."""
    cookies: list[str | None] = []

    def serve(request: httpx.Request) -> httpx.Response:
        cookies.append(request.headers.get("cookie"))
        return answer(set_cookie="JSESSIONID=abc; Path=/")

    async def question(client: CockpitClient) -> None:
        await client.jobs("K7SALES", soon())
        await client.jobs("K7SALES", soon())

    ask(serve, question)

    assert cookies == [None, None]


# --- what answers mean -----------------------------------------------------------------------------------------------


def test_listings() -> None:
    """Lists of jobs and executions become listings."""

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/executions"):
            return httpx.Response(200, json=[{"executionId": RUN, "jobId": 1, "startDate": 1721032200}])
        return httpx.Response(200, json=ROWS)

    async def both(client: CockpitClient) -> list[Any]:
        return list(await asyncio.gather(client.jobs("K7SALES", soon()), client.executions("K7SALES", soon())))

    observed: list[tuple[str, str | None]] = []
    listed = ask(serve, both, observed=observed)

    assert listed == [JOBS, Listing(rows=(Execution("K7SALES", RUN, "1", "", 1721032200.0),), listed=1)]
    assert sorted(observed) == [("executions", None), ("jobs", None)]


@pytest.mark.parametrize(
    ("response", "error", "detail"),
    [
        (
            answer(302, location="https://sso.example.com/login?state=s3cret#top"),
            Redirected,
            "answered 302 Found to https://sso.example.com/login",
        ),
        (answer(301), Redirected, "answered 301 Moved Permanently"),
        (answer(304), Redirected, "answered 304 Not Modified"),
        (answer(401, b""), AuthRejected, "answered 401 Unauthorized"),
        (answer(403, b'{"message":"key expired"}'), AuthRejected, "answered 403 Forbidden: key expired"),
        (answer(400, b'{"detail":"bad\\n code"}'), ClientError, "answered 400 Bad Request: bad code"),
        (
            answer(404, b'{"timestamp":1,"status":404,"error":"Not Found","message":"No application","path":"/x"}'),
            ClientError,
            "answered 404 Not Found: No application",
        ),
        (answer(405, b"[1]"), ClientError, "answered 405 Method Not Allowed: [1]"),
        (answer(409, b"x" * 5000), ClientError, f"answered 409 Conflict: {'x' * 160}…"),
        (answer(500, HTML), ServerError, f"answered 500 Internal Server Error: {HTML}"),
        (answer(503, b"\xff\xfe broken"), ServerError, "answered 503 Service Unavailable: \ufffd\ufffd broken"),
        (answer(504, b""), ServerError, "answered 504 Gateway Timeout"),
        (answer(505, b""), ServerError, "answered 505 HTTP Version Not Supported"),
        (answer(701, b"{}"), ServerError, "answered 701: {}"),
        (answer(200, b""), NotJSON, "the body is empty"),
        (answer(204, b""), NotJSON, "the body is empty"),
        (answer(200, b" \n"), NotJSON, "the body is empty"),
        (answer(200, HTML), NotJSON, f"the body is HTML or XML (49 bytes): {HTML}"),
        (answer(200, b'[{"id": 1, "na'), NotJSON, 'the body is no valid JSON (14 bytes): [{"id": 1, "na'),
        (answer(200, b"OK"), NotJSON, "the body is no valid JSON (2 bytes): OK"),
        (answer(200, b'["\xff"]'), NotJSON, 'the body is no valid JSON (5 bytes): ["\ufffd"]'),
        (answer(200, b"[" * 100_000), NotJSON, "the body is JSON that is nested too deeply"),
        (answer(200, b"[1" + b"0" * 5000 + b"]"), NotJSON, f"the body is no valid JSON (5003 bytes): [1{'0' * 158}…"),
        (answer(200, b"[]", content_encoding="br"), NotJSON, "the body is in an encoding that was not asked for: br"),
        (
            answer(200, b"[]", content_encoding="x"),
            NotJSON,
            "the body is in an encoding that was not asked for: x",
        ),
        (answer(200, b"null"), SchemaMismatch, "the answer is null, not a list of jobs in a known envelope"),
        (answer(200, b'"ok"'), SchemaMismatch, "the answer is a single str, not a list of jobs in a known envelope"),
    ],
)
def test_failures(response: httpx.Response, error: type[CockpitError], detail: str) -> None:
    """Every unusable answer is the error of its reason, with a line that tells enough to act."""
    raised, observed = failing(response)

    assert (error, detail) == (type(raised), raised.detail)
    assert observed == [("jobs", error.reason)]


def test_status_is_kept() -> None:
    """An error from an answer carries the status."""
    raised, _ = failing(answer(503, b""))

    assert raised.status == 503


@pytest.mark.parametrize(
    ("error", "expected", "detail"),
    [
        (httpx.ConnectError("no"), ConnectFailed, "cannot connect: no"),
        (httpx.ReadError(""), ConnectFailed, "the connection broke: ReadError"),
        (httpx.RemoteProtocolError("torn"), ConnectFailed, "the connection broke: torn"),
        (httpx.ProxyError("407 no"), ConnectFailed, "the proxy refused: 407 no"),
        # What is told is the time that was left when the request began.
        (httpx.ConnectTimeout("slow"), RequestTimeout, r"no complete answer within (20|1\d\.\d) s"),
        (httpx.ReadTimeout("slow"), RequestTimeout, r"no complete answer within (20|1\d\.\d) s"),
        (httpx.PoolTimeout("slow"), RequestTimeout, r"no complete answer within (20|1\d\.\d) s"),
    ],
)
def test_transport_failures(error: Exception, expected: type[CockpitError], detail: str) -> None:
    """Every failure of the transport is a timeout or a failed connection."""

    def serve(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(expected, match=f"^{detail}$"):
        ask(serve, jobs)


def test_deadline_that_has_passed() -> None:
    """With no time left nothing is sent."""

    async def question(client: CockpitClient) -> None:
        await client.jobs("K7SALES", soon(-1))

    with pytest.raises(RequestTimeout, match=r"^no time was left to ask$"):
        ask(lambda _: pytest.fail("nothing may be sent"), question)


def test_secrets_of_the_credential_are_masked(tmp_path: Path) -> None:
    """A server that echoes the credential does not get it into any message."""
    (tmp_path / "token").write_text("api-key-1")
    (tmp_path / "cookie").write_text("JSESSIONID=abcdef; lang=en")
    auth = Auth(
        bearer_token_file=tmp_path / "token",
        cookie_file=tmp_path / "cookie",
        headers={"X-Tenant": SecretStr("tenant-7")},
    )

    rejected, _ = failing(answer(401, b"no api-key-1, no abcdef, no tenant-7"), auth=auth)
    page, _ = failing(answer(200, b"<p>Bearer api-key-1 JSESSIONID=abcdef; lang=en</p>"), auth=auth)
    moved, _ = failing(answer(302, location="/login/api-key-1"), auth=auth)

    assert rejected.detail == "answered 401 Unauthorized: no <secret>, no <secret>, no <secret>"
    assert page.detail == "the body is HTML or XML (50 bytes): <p>Bearer <secret> <secret></p>"
    assert moved.detail == "answered 302 Found to /login/<secret>"


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", gzip.compress(json.dumps(ROWS).encode())),
        ("deflate", zlib.compress(json.dumps(ROWS).encode())),
        ("identity", json.dumps(ROWS).encode()),
    ],
)
def test_compressed_answers(encoding: str, compressed: bytes) -> None:
    """Compressed answers are understood."""
    listed = ask(lambda _: answer(200, compressed, content_encoding=encoding), jobs)

    assert listed == JOBS


@pytest.mark.parametrize("nan", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_lacks(nan: str) -> None:
    """A number that JSON lacks spoils one value, not the list."""
    body = f'[{{"id": 1, "name": "load_orders_0.1", "status": "ENABLED", "lastUpdate": {nan}}}]'

    listed = ask(lambda _: answer(200, body), jobs)

    assert (listed.rows, listed.mapping_errors) == (JOBS.rows, {"last_update": 1})


def test_byte_order_mark() -> None:
    """A byte order mark before the JSON does no harm."""
    assert ask(lambda _: answer(200, b"\xef\xbb\xbf" + json.dumps(ROWS).encode()), jobs) == JOBS


def test_body_at_the_limit() -> None:
    """A body of exactly the allowed size is accepted, one byte more is too large."""
    body = json.dumps(ROWS).encode()

    assert ask(lambda _: answer(200, body), jobs, limits=Limits(response_bytes=len(body))) == JOBS
    raised, observed = failing(answer(200, body), limits=Limits(response_bytes=len(body) - 1))

    assert isinstance(raised, TooLarge)
    assert raised.detail == f"the body has more than {len(body) - 1} bytes"
    assert observed == [("jobs", "too_large")]


def test_limit_counts_decompressed_bytes() -> None:
    """A small body that expands beyond the limit is too large."""
    bomb = gzip.compress(b"[" + b" " * 10_000_000 + b"]")

    raised, _ = failing(answer(200, bomb, content_encoding="gzip"), limits=Limits(response_bytes=100_000))

    assert isinstance(raised, TooLarge)


def test_stacked_encodings_are_refused() -> None:
    """Several layers of compression could expand without bound and are not unpacked."""
    layered = httpx.Response(200, headers={"Content-Encoding": "gzip, gzip"}, stream=httpx.ByteStream(b"[]"))

    raised, _ = failing(layered)

    assert raised.detail == "the body is in an encoding that was not asked for: gzip, gzip"


def test_body_that_is_not_compressed_as_announced() -> None:
    """A body that cannot be unpacked is no JSON."""
    plain = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"[]"))

    raised, _ = failing(plain)

    assert (type(raised), raised.detail) == (NotJSON, "the body is not compressed as its headers say")


def test_unchanged_body_yields_the_same_listing() -> None:
    """An answer that has not changed by a byte yields the previous listing itself."""

    async def twice(client: CockpitClient) -> tuple[Any, Any]:
        return await jobs(client), await jobs(client)

    first, second = ask(lambda _: httpx.Response(200, json=ROWS), twice)

    assert first is second


def test_changed_body_keeps_unchanged_jobs() -> None:
    """Of an answer that changed, the jobs that did not are the same objects."""
    answers = iter([ROWS, [*ROWS, {"id": 2, "name": "b", "status": "ENABLED"}]])

    async def twice(client: CockpitClient) -> tuple[Any, Any]:
        return await jobs(client), await jobs(client)

    first, second = ask(lambda _: httpx.Response(200, json=next(answers)), twice)

    assert len(second.rows) == 2
    assert first.rows[0] is second.rows[0]


def test_large_answers() -> None:
    """An answer large enough for a worker thread is understood alike."""
    rows = [{"id": number, "name": f"load_{number}", "status": "ENABLED"} for number in range(5000)]

    listed = ask(lambda _: httpx.Response(200, json=rows), jobs)

    assert (listed.listed, listed.rows[-1].id) == (5000, "4999")


def test_missing_path() -> None:
    """A profile without a path for what is asked tells so."""
    with pytest.raises(ClientError, match=r"^the profile 'ours' has no path for executions$"):
        ask(
            lambda _: pytest.fail("nothing may be sent"),
            executions,
            profile="ours",
            profiles={"ours": {"paths": {"executions": None}}},
        )


@pytest.mark.parametrize("template", ["@evil.example.com/{id}", ".evil.example.com/{id}", ":8443/{id}"])
def test_path_that_leads_to_another_server(template: str) -> None:
    """No path can make the client ask another server."""
    with pytest.raises(ClientError, match=r"would lead to another server than apps\.example\.com$"):
        address("https://apps.example.com", template, id="7")


def test_profile_shapes_the_answer() -> None:
    """Paths, items and keys of a custom profile are used."""
    profiles = {
        "ours": {
            "paths": {"jobs": "/v9/{application}?full=true"},
            "items": {"jobs": "payload.rows"},
            "fields": {"job": {"status": ["condition"]}},
        }
    }

    def serve(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{BASE}/v9/K7SALES?full=true"
        return httpx.Response(200, json={"payload": {"rows": [{"id": 1, "name": "a", "condition": "STOPPED"}]}})

    listed = ask(serve, jobs, profile="ours", profiles=profiles)

    assert [job.status for job in listed.rows] == ["STOPPED"]


# --- applications, version, inspection ----------------------------------------------------------------------------


async def applications(client: CockpitClient) -> Any:
    """Ask for all applications."""
    return await client.applications(soon())


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        (["K7SALES", "M2STOCK"], ("K7SALES", "M2STOCK")),
        (["K7SALES", "K7SALES"], ("K7SALES",)),
        ([{"id": "K7SALES", "name": "Sales"}], ("K7SALES",)),
        ([{"code": "K7SALES"}], ("K7SALES",)),
        ([{"application": "K7SALES"}], ("K7SALES",)),
        ([{"name": "K7SALES"}], ("K7SALES",)),
        ([{"id": 17, "code": "K7SALES", "name": "Sales"}], ("K7SALES",)),
        ([{"id": 17, "name": "Sales"}], ("17",)),
        ({"applications": [{"id": "K7SALES"}]}, ("K7SALES",)),
        ({"content": ["K7SALES"], "totalPages": 1}, ("K7SALES",)),
        ({"K7SALES": {"name": "Sales"}}, ("K7SALES",)),
        ([], ()),
    ],
)
def test_applications(document: Any, codes: tuple[str, ...]) -> None:
    """Application codes come as text or in objects, in any known envelope."""

    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/cockpit/api/rest/application/all"
        return httpx.Response(200, json=document)

    assert codes == ask(serve, applications, profile="appcomposer")


def test_application_without_code() -> None:
    """An application that cannot be told fails the list rather than being left out silently."""
    with pytest.raises(SchemaMismatch, match=r"^application 2 of 2 has no readable id, code, application or name$"):
        ask(lambda _: httpx.Response(200, json=["K7SALES", {"title": "x"}]), applications, profile="appcomposer")


async def version(client: CockpitClient) -> Any:
    """Ask for the release."""
    return await client.version(soon())


def test_version() -> None:
    """The facts about the release are text; nested ones are left out."""

    def serve(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/cockpit/api/rest/instance/version"
        return httpx.Response(200, json={"version": "2024.1.3", "metadataVersion": 12, "nested": {}, "none": None})

    assert ask(serve, version, profile="appcomposer") == {"version": "2024.1.3", "metadataVersion": "12"}


def test_version_of_another_form() -> None:
    """A version that is no object is a schema mismatch."""
    with pytest.raises(SchemaMismatch, match=r"^the answer is not an object with the version$"):
        ask(lambda _: httpx.Response(200, json=["2024"]), version, profile="appcomposer")


def test_inspection() -> None:
    """A raw answer shows what was asked and what came, in the form it came in."""
    body = b'{"content": [{"id": 1}], "totalPages": 1}'

    async def inspect(client: CockpitClient) -> Inspection:
        return await client.inspect("jobs", soon(), "K7SALES")

    inspection = ask(lambda _: answer(200, body, content_type="application/json"), inspect)

    assert inspection.url == f"{BASE}/api/rest/application/K7SALES/services/jobs"
    assert (inspection.status, inspection.content_type, inspection.size) == (200, "application/json", 41)
    assert (inspection.envelope, inspection.rows) == ("content", [{"id": 1}])


# --- results -------------------------------------------------------------------------------------------------------

RESULTS = Results(url="http://dumbella.example.com:8080")


async def result(client: CockpitClient) -> Result:
    """Ask how an execution ended."""
    return await client.result(RUN, soon())


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"executionId": RUN, "status": "DONE", "result": "text"}, Result("done")),
        ({"executionId": RUN.upper(), "status": "done"}, Result("done")),
        ({"status": "ERROR"}, Result("error")),
        ({"status": "KILLED"}, Result("killed")),
        ({"status": "RUNNING"}, Result("running")),
        ({"exitCode": 0, "exitMessage": "success", "jobInfo": {}}, Result("done")),
        ({"exitCode": "0"}, Result("done")),
        ({"exitCode": 1, "exitMessage": "failure"}, Result("error")),
        ({"status": "ERROR", "exitCode": 0}, Result("error")),
        ({"status": "PAUSED"}, Result("unresolved", "the status is 'PAUSED'")),
        ({"status": 500, "error": "x"}, Result("unresolved", "the status is '500'")),
        ({"result": "text"}, Result("unresolved", "the answer has neither a status nor an exit code")),
        ({"executionId": "other", "status": "DONE"}, Result("unresolved", "the answer is about another execution")),
        ([], Result("unresolved", "the answer is not an object")),
        (None, Result("unresolved", "the answer is not an object")),
    ],
)
def test_results(document: Any, expected: Result) -> None:
    """Both documented answers tell the outcome; any other form is unresolved."""

    def serve(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"http://dumbella.example.com:8080/execution/{RUN}/result"
        return httpx.Response(200, content=json.dumps(document))

    assert expected == ask(serve, result, results=RESULTS)


def test_result_values_of_a_profile() -> None:
    """A profile says what an installation's own statuses mean."""
    profiles = {"ours": {"values": {"outcome": {"ABORTED": "killed"}}}}

    ended = ask(
        lambda _: httpx.Response(200, json={"status": "aborted"}),
        result,
        results=RESULTS,
        profile="ours",
        profiles=profiles,
    )

    assert ended == Result("killed")


@pytest.mark.parametrize("status", [400, 404, 410])
def test_result_that_is_unknown(status: int) -> None:
    """An execution that Dumbella does not know any more is unresolved, not a failure."""
    assert ask(lambda _: answer(status, b""), result, results=RESULTS).outcome == "unresolved"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthRejected), (408, ClientError), (429, ClientError), (500, ServerError), (503, ServerError)],
)
def test_result_that_may_come_later(status: int, error: type[CockpitError]) -> None:
    """An answer that may pass is raised, so that the result is asked for again."""
    with pytest.raises(error):
        ask(lambda _: answer(status, b""), result, results=RESULTS)


def test_result_without_address() -> None:
    """Without results.url nothing is asked."""
    unresolved = ask(lambda _: pytest.fail("nothing may be sent"), result)

    assert unresolved == Result("unresolved", "the target has no results.url")


def test_result_of_an_id_that_is_no_segment() -> None:
    """An execution id that would change the path is unresolved, and nothing is sent."""

    async def question(client: CockpitClient) -> Result:
        return await client.result("..", soon())

    assert ask(lambda _: pytest.fail("nothing may be sent"), question, results=RESULTS).outcome == "unresolved"


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [("https://apps.example.com/dumbella", True), ("http://apps.example.com", False), (RESULTS.url, False)],
)
def test_credential_stays_with_its_server(tmp_path: Path, url: str, sent_to: bool) -> None:
    """The results address gets the credential only if it is on the target's own server."""
    (tmp_path / "token").write_text("api-key-1")
    seen: list[bool] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append("authorization" in request.headers)
        return httpx.Response(200, json={"status": "DONE"})

    ask(serve, result, results=Results(url=url), auth=Auth(bearer_token_file=tmp_path / "token"))

    assert [sent_to] == seen
