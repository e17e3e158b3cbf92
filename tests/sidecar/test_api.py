"""The JSON API: what openapi.yaml says, against a real process."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.sidecar import api
from exporter.sidecar.outcomes import OUTCOMES
from tests import loopback
from tests.installation import Simulator
from tests.processes import COMMAND, poll
from tests.sidecar.running import (
    OLD_TOKEN,
    OTHER_TOKEN,
    PATIENT,
    POLICY,
    TOKEN,
    Sidecar,
    begin,
    ended,
    sidecar,
)

DESCRIPTION = Path(api.__file__).with_name("openapi.yaml")
EXECUTIONS = "/targets/simulated/executions"


@pytest.fixture
def run(installation: Simulator) -> dict[str, Any]:
    """One run that lasts."""
    return begin(installation)[0]


@pytest.fixture
def client(live: Sidecar) -> Iterator[httpx.Client]:
    """A program with a token."""
    with live.api() as client:
        yield client


def started(run: dict[str, Any]) -> str:
    """Return the start of a run as RFC 3339 writes it."""
    return datetime.fromtimestamp(run["started_at"], UTC).isoformat().replace("+00:00", "Z")


def kill(
    client: httpx.Client, run: dict[str, Any], *, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    """Ask for a kill."""
    content = {"expected_started_at": started(run), "reason": "hangs", **body}
    return client.post(f"{EXECUTIONS}/{run['execution_id']}/kill", json=content, headers=headers)


class TestExecutions:
    """What is in progress."""

    def test_runs_are_listed(self, client: httpx.Client, run: dict[str, Any]) -> None:
        """A run is listed, and found by its id."""
        path = f"{EXECUTIONS}/{run['execution_id']}"
        listed = client.get(EXECUTIONS, params={"application": "K7SALES"}).json()
        one = client.get(path).json()
        assert ([one], []) == (
            [row for row in listed["executions"] if row["execution_id"] == run["execution_id"]],
            listed["incomplete"],
        )
        assert ("simulated", "K7SALES", "etl_load_0.1", str(run["job_id"])) == (
            one["target"],
            one["application"],
            one["job_name"],
            one["job_id"],
        )
        assert started(run)[:19] == one["started_at"][:19]

    def test_application_that_fails_alone_is_named(
        self, client: httpx.Client, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """One application that cannot be read takes none of the others along."""
        installation.switch_faults("application_failure=M2STOCK")
        found = client.get(EXECUTIONS).json()
        assert ["M2STOCK"] == [part["application"] for part in found["incomplete"]]
        assert run["execution_id"] in {row["execution_id"] for row in found["executions"]}

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/targets/nowhere/executions", 404),
            ("/targets/simulated/executions/absent", 404),
            ("/targets/simulated/executions/%2e%2e", 404),
            ("/targets/simulated/executions/a%2Fb", 404),
            ("/targets/simulated/executions?application=NOWHERE", 404),
            ("/targets/simulated/executions?application=..", 400),
            ("/targets/simulated/executions?application=", 400),
            ("/targets/simulated/executions?x=1", 400),
            ("/kills/absent", 404),
            ("/nothing", 404),
        ],
    )
    def test_what_is_not_there_is_a_problem(self, client: httpx.Client, path: str, status: int) -> None:
        """Errors are problem+json with the status in them; a malformed id is 400 or 404."""
        answer = client.get(path)
        assert (status, status, "application/problem+json") == (
            answer.status_code,
            answer.json()["status"],
            answer.headers["content-type"],
        )

    @pytest.mark.parametrize("fault", ["server_error", "reset"])
    def test_unreadable_list_is_a_gateway_error(
        self, client: httpx.Client, installation: Simulator, run: dict[str, Any], fault: str
    ) -> None:
        """When Cockpit answers wrongly, neither lists nor kills are answered."""
        installation.switch_faults(f"{fault}@executions")
        assert [502, 502] == [client.get(EXECUTIONS).status_code, kill(client, run).status_code]

    def test_silent_list_is_a_gateway_timeout(
        self, hasty: Sidecar, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """When Cockpit does not answer in time, neither lists nor kills are answered."""
        installation.switch_faults("hang@executions")
        with hasty.api() as client:
            assert [504, 504] == [client.get(EXECUTIONS).status_code, kill(client, run).status_code]


class TestKill:
    """One kill."""

    def test_kill_is_accepted_and_followed(
        self, client: httpx.Client, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """202, a place to look at, and in the end a confirmed state and a process that is gone."""
        answer = kill(client, run, reason=" hangs\nsince noon ")
        assert 202 == answer.status_code, answer.text
        place = answer.headers["location"].removeprefix("/api/v1")
        poll(lambda: client.get(place).json()["final"])
        found = client.get(place).json()
        assert ("confirmed", "hangs since noon", "ci", "live") == (
            found["state"],
            found["reason"],
            found["requested_by"],
            found["mode"],
        )
        assert "killed" == ended(installation, run)

    def test_dry_run_kills_nothing(self, client: httpx.Client, installation: Simulator, run: dict[str, Any]) -> None:
        """With dry_run everything happens but the kill."""
        answer = kill(client, run, dry_run=True)
        assert (202, "dry_run", True) == (answer.status_code, answer.json()["state"], answer.json()["final"])
        assert None is ended(installation, run)

    @pytest.mark.parametrize("change", ["2001-01-01T00:00:00Z", None])
    def test_other_start_is_stale(self, client: httpx.Client, run: dict[str, Any], change: str | None) -> None:
        """Who knows another start means another run."""
        answer = kill(client, run, expected_started_at=change)
        assert (409, "stale") == (answer.status_code, answer.json()["outcome"])

    def test_offset_and_fraction_do_not_matter(self, client: httpx.Client, run: dict[str, Any]) -> None:
        """The start may be written in any zone, and is compared to the second."""
        moment = (
            datetime.fromtimestamp(int(run["started_at"]) + 7200, UTC).isoformat().replace("+00:00", ".987654321+02:00")
        )
        assert 202 == kill(client, run, expected_started_at=moment, dry_run=True).status_code

    @pytest.mark.parametrize(
        "content",
        [
            b"[]",
            b"null",
            b"{}",
            b'{"expected_started_at": "2026-01-01T00:00:00Z"}',
            b'{"expected_started_at": "2026-01-01T00:00:00Z", "reason": ""}',
            b'{"expected_started_at": "2026-01-01T00:00:00Z", "reason": " \\n"}',
            b'{"expected_started_at": "2026-01-01T00:00:00Z", "reason": 5}',
            b'{"expected_started_at": "2026-01-01T00:00:00", "reason": "x"}',
            b'{"expected_started_at": 1700000000, "reason": "x"}',
            b'{"expected_started_at": "2026-13-01T00:00:00Z", "reason": "x"}',
            b'{"expected_started_at": null, "reason": "x", "dry_run": "yes"}',
            b'{"expected_started_at": null, "reason": "x", "dry_run": false, "force": true}',
        ],
    )
    def test_other_bodies_are_422(self, client: httpx.Client, run: dict[str, Any], content: bytes) -> None:
        """JSON of another form is said to be wrong where it is."""
        answer = client.post(
            f"{EXECUTIONS}/{run['execution_id']}/kill", content=content, headers={"content-type": "application/json"}
        )
        assert 422 == answer.status_code, answer.text

    @pytest.mark.parametrize(
        ("content", "content_type", "status"),
        [
            (b"{", "application/json", 400),
            (b"\xff", "application/json", 400),
            (b"[" * 30_000, "application/json", 400),
            (b"{}", "text/plain", 415),
            (b"{}", "", 415),
            (b"x" * 100_000, "application/json", 413),
        ],
    )
    def test_what_is_no_json_is_refused(
        self, client: httpx.Client, run: dict[str, Any], content: bytes, content_type: str, status: int
    ) -> None:
        """Broken, foreign and huge bodies have codes of their own."""
        headers = {"content-type": content_type} if content_type else {}
        answer = client.post(f"{EXECUTIONS}/{run['execution_id']}/kill", content=content, headers=headers)
        assert status == answer.status_code

    def test_service_is_not_killed(
        self, live: Sidecar, client: httpx.Client, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """An execution that belongs to a service job is left alone, wherever it is listed."""
        installation.control("PATCH", f"jobs/K7SALES/{run['job_id']}", json={"type": "SERVICE"})
        try:
            answer = kill(client, run)
        finally:
            installation.control("PATCH", f"jobs/K7SALES/{run['job_id']}", json={"type": "JOB"})
        assert (403, "denied", None) == (answer.status_code, answer.json()["outcome"], ended(installation, run))
        denied = live.records()[-1]
        assert ("denied", "denied", run["execution_id"], "ci") == (
            denied["stage"],
            denied["outcome"],
            denied["target"]["execution_id"],
            denied["actor"]["login"],
        )


class TestIdempotency:
    """Requests that are sent twice."""

    def test_same_key_is_the_same_kill(self, client: httpx.Client, run: dict[str, Any]) -> None:
        """A request that is repeated with its key gets its kill again, even when the run is long gone."""
        headers = {"idempotency-key": uuid.uuid4().hex}
        first = kill(client, run, headers=headers).json()["id"]
        poll(lambda: client.get(f"/kills/{first}").json()["final"])
        assert first == kill(client, run, headers=headers).json()["id"]

    def test_without_a_key_a_finished_kill_is_not_joined(
        self, live: Sidecar, client: httpx.Client, run: dict[str, Any]
    ) -> None:
        """A request for a run that is gone is told so, is on record, and learns the kill that ended the run."""
        first = kill(client, run)
        poll(lambda: client.get(f"/kills/{first.json()['id']}").json()["final"])
        again = kill(client, run)
        assert (404, "already_finished", first.headers["location"]) == (
            again.status_code,
            again.json()["outcome"],
            again.json()["kill"],
        )
        denied = live.records()[-1]
        assert ("denied", "already_finished", run["execution_id"], "") == (
            denied["stage"],
            denied["outcome"],
            denied["target"]["execution_id"],
            denied["kill_id"],
        )

    def test_run_that_nobody_killed_has_no_kill(self, client: httpx.Client, run: dict[str, Any]) -> None:
        """A run that is gone, or that had another start, is already finished, and no kill is named."""
        first = kill(client, run)
        poll(lambda: client.get(f"/kills/{first.json()['id']}").json()["final"])
        other = kill(client, run, expected_started_at="2001-01-01T00:00:00Z")
        absent = kill(client, {**run, "execution_id": "absent"})
        assert [(404, "already_finished", None)] * 2 == [
            (answer.status_code, answer.json()["outcome"], answer.json().get("kill")) for answer in (other, absent)
        ]

    def test_kill_in_progress_is_joined(
        self, client: httpx.Client, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """Without a key, a request that comes while the kill goes on gets that kill, by whomever it was asked for."""
        installation.switch_faults("kill_ignored")
        first = kill(client, run)
        second = kill(client, run, reason="another one")
        assert [(202, first.json()["id"], "requested", False)] * 2 == [
            (answer.status_code, answer.json()["id"], answer.json()["state"], answer.json()["final"])
            for answer in (first, second)
        ]

    def test_key_of_another_request_is_refused(self, client: httpx.Client, run: dict[str, Any]) -> None:
        """A key stands for one request."""
        headers = {"idempotency-key": uuid.uuid4().hex}
        kill(client, run, headers=headers, dry_run=True)
        assert 422 == kill(client, run, headers=headers, dry_run=False).status_code

    @pytest.mark.parametrize("key", ["", "a b", "x" * 129])
    def test_odd_key_is_refused(self, client: httpx.Client, run: dict[str, Any], key: str) -> None:
        """A key is a short visible text."""
        assert 400 == kill(client, run, headers={"idempotency-key": key}).status_code

    def test_many_requests_are_one_kill(
        self, installation: Simulator, client: httpx.Client, run: dict[str, Any]
    ) -> None:
        """Without a key, requests at the same time share the kill all the same."""
        # The run has to be there when the last of them arrives, however slow the machine is.
        installation.switch_faults("kill_ignored")
        try:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: kill(client, run), range(8)))
        finally:
            installation.switch_faults()
        assert ({202}, 1) == ({one.status_code for one in answers}, len({one.json()["id"] for one in answers}))


class TestLimits:
    """How often, as programs learn it."""

    def test_429_says_why_and_for_how_long(self, tmp_path: Path, installation: Simulator, run: dict[str, Any]) -> None:
        """Too many kills, a run that was just killed and too many requests each have their word and their time."""
        others = begin(installation, 2)
        narrow = "  limits: {pages_per_minute: 6, kills_per_user_10m: 2}\n" + PATIENT
        patient = POLICY.replace("cooldown: 0s", "cooldown: 1h")
        with sidecar(tmp_path, installation, more=narrow, policy=patient) as live, live.api() as client:
            installation.switch_faults("forbidden@kill")
            assert "rejected" == kill(client, run).json()["state"]
            cooled = kill(client, run)
            assert "rejected" == kill(client, others[0]).json()["state"]
            limited = kill(client, others[1])
            hasty = [client.get(EXECUTIONS) for _ in range(3)][-1]
            outcomes = [
                live.metric(f'dumbella_kill_requests_total{{outcome="{outcome}",target="simulated"}}')
                for outcome in ("cooldown", "rate_limited", "rejected")
            ]
            denied = [record["outcome"] for record in live.records() if record["stage"] == "denied"]
        assert [(429, "cooldown"), (429, "rate_limited"), (429, None)] == [
            (answer.status_code, answer.json().get("outcome")) for answer in (cooled, limited, hasty)
        ]
        assert (True, True, True) == (
            3500 < int(cooled.headers["retry-after"]) <= 3601,
            500 < int(limited.headers["retry-after"]) <= 601,
            0 < int(hasty.headers["retry-after"]) <= 61,
        )
        assert ([1, 1, 2], ["cooldown", "rate_limited"]) == (outcomes, denied)

    def test_405_is_a_problem(self, client: httpx.Client, run: dict[str, Any]) -> None:
        """Another method is a problem that names those that there are."""
        answers = [client.get(f"{EXECUTIONS}/{run['execution_id']}/kill"), client.delete(EXECUTIONS)]
        assert [(405, 405, "POST"), (405, 405, "GET, HEAD")] == [
            (answer.status_code, answer.json()["status"], ", ".join(sorted(answer.headers["allow"].split(", "))))
            for answer in answers
        ]


class TestTokens:
    """Who may call."""

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong-token"}, {"authorization": "Basic YTpi"}])
    def test_without_a_good_token_nobody_is_answered(self, live: Sidecar, headers: dict[str, str]) -> None:
        """No token, a wrong one and a password are 401 with a challenge."""
        answer = loopback.get(f"{live.url}/api/v1{EXECUTIONS}", headers=headers)
        assert (401, True) == (answer.status_code, answer.headers["www-authenticate"].startswith("Bearer"))

    def test_expired_token_is_refused(self, live: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """A token after its last day is a 401 that says so, and kills nothing."""
        with live.api(OLD_TOKEN) as client:
            answers = [client.get(EXECUTIONS), kill(client, run)]
        assert [(401, "The bearer token old has expired, on 2024-06-30.")] * 2 == [
            (answer.status_code, answer.json()["detail"]) for answer in answers
        ]
        assert None is ended(installation, run)

    def test_cookie_and_password_open_no_api(self, live: Sidecar) -> None:
        """People's logins are for pages: no form of another site could make a browser call the API."""
        with live.client() as person:
            assert 200 == person.get("/").status_code
            answers = [person.get(f"/api/v1{EXECUTIONS}"), person.post(f"/api/v1{EXECUTIONS}/x/kill", json={})]
        assert [401, 401] == [answer.status_code for answer in answers]

    def test_token_sees_its_targets_only(self, live: Sidecar, run: dict[str, Any]) -> None:
        """A token for other targets can neither see nor kill here."""
        with live.api(OTHER_TOKEN) as client:
            assert [403, 403] == [client.get(EXECUTIONS).status_code, kill(client, run).status_code]

    def test_token_opens_no_page(self, live: Sidecar) -> None:
        """Bearer tokens are for the API."""
        assert 401 == loopback.get(f"{live.url}/", headers={"authorization": f"Bearer {TOKEN}"}).status_code


class TestDescription:
    """openapi.yaml."""

    def test_description_is_served(self, live: Sidecar) -> None:
        """The sidecar serves the file that its package has."""
        answer = loopback.get(f"{live.url}/api/v1/openapi.yaml")
        assert (DESCRIPTION.read_bytes(), "application/yaml") == (answer.content, answer.headers["content-type"])

    def test_states_are_those_of_kills(self) -> None:
        """The description lists exactly the outcomes that a kill can have; the others are refusals."""
        document = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
        states = document["components"]["schemas"]["Kill"]["properties"]["state"]["enum"]
        refusals = {"stale", "denied", "rate_limited", "cooldown", "audit_failed"}
        assert [outcome for outcome in OUTCOMES if outcome not in refusals] == states

    def test_schemathesis_finds_nothing(self, live: Sidecar, run: dict[str, Any], tmp_path: Path) -> None:
        """All checks of schemathesis, on every operation, with generated requests good and bad: no finding."""
        document = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
        # Generated ids would only ever be unknown: let some be real.
        real = {"target": "simulated", "execution": run["execution_id"]}
        for name, value in real.items():
            document["components"]["parameters"][name]["examples"] = {"real": {"value": value}}
        file = tmp_path / "openapi.yaml"
        file.write_text(yaml.safe_dump(document))
        command = [
            str(COMMAND.with_name("schemathesis")),
            "run",
            str(file),
            f"--url={live.url}",
            f"--header=Authorization: Bearer {TOKEN}",
            "--checks=all",
            "--max-examples=40",
            "--seed=7",
            "--no-color",
            "--suppress-health-check=all",
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=250)  # noqa: S603 - our own command
        assert 0 == done.returncode, done.stdout
