"""The sidecar on the wire: every check, every code, every header, with a real process and real kills."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest

from exporter.sidecar.chain import verify
from tests import loopback
from tests.installation import Simulator
from tests.processes import poll
from tests.sidecar.running import (
    JOB,
    PARALLEL_JOB,
    PASSWORD,
    SAME_ORIGIN,
    TOKEN,
    Sidecar,
    begin,
    confirm,
    ended,
    final_state,
    form,
    link,
    say,
)

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-robots-tag": "noindex",
}


@pytest.fixture
def run(installation: Simulator) -> dict[str, Any]:
    """One run that lasts."""
    return begin(installation)[0]


class TestKill:
    """From the link to the end of the process."""

    def test_confirmed_kill_ends_the_process(self, live: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """A link, a page, a form: the process is gone, the state says so, and every step is on record."""
        before = len(live.records())
        with live.client() as client:
            answer = confirm(client, run, "hangs since noon")
            assert "confirmed" == final_state(client, answer)
        assert "killed" == ended(installation, run)
        records = live.records()[before:]
        assert [("intent", ""), ("result", "requested"), ("final", "confirmed")] == [
            (record["stage"], record["outcome"]) for record in records
        ]
        assert {"alice", "hangs since noon", run["execution_id"], "sre"} == {
            records[0]["actor"]["login"],
            records[0]["reason"],
            records[0]["target"]["execution_id"],
            records[0]["decision"]["rule"],
        }
        assert ((), "127.0.0.1") == (verify([live.audit]).problems, records[0]["source"]["peer_ip"])

    def test_page_says_what_will_happen(self, live: Sidecar, run: dict[str, Any]) -> None:
        """The page shows live facts, who one is, and in words what killing does."""
        with live.client() as client:
            page = client.get(link(run)).text
        assert [] == [
            words
            for words in (
                f"the process of run <code>{run['execution_id']}</code> of job <bdi>etl_load_0.1</bdi> is ended",
                "<strong><bdi>alice</bdi></strong>",
                "Reason (optional)",
                "good for 5 min",
            )
            if words not in page
        ]
        assert "next waiting run" not in page

    def test_next_run_of_a_sequential_job_starts(self, live: Sidecar, installation: Simulator) -> None:
        """The page says what becomes of the runs that wait, which is what happens; a waiting one can be killed, too."""
        installation.control("POST", "jobs", json={**PARALLEL_JOB, "name": "etl_queue_0.1", "mode": "SEQUENTIAL"})
        wanted = {"application": "K7SALES", "job": "etl_queue_0.1", "duration": 300, "count": 3}
        first, second, third = installation.control("POST", "run", json=wanted)

        def started(run: dict[str, Any]) -> dict[str, Any]:
            """Wait until a run has a process, and return it as the simulator describes it."""
            state = poll(
                lambda: [
                    one
                    for one in installation.control("GET", "state")["running"]
                    if one["execution_id"] == run["execution_id"] and one["pid"]
                ]
            )
            found: dict[str, Any] = state[0]
            return found

        shown = link(started(first))
        # This one lists what waits.
        installation.control("PUT", "dialect", json={"dialect": "nested"})
        try:
            with live.client() as client:
                waiting = client.get(link({**third, "started_at": 0}, started=""))
                assert "<dt>Started</dt><dd>unknown</dd>" in waiting.text
                answer = client.post("/kill", data={**form(waiting), "reason": ""}, headers=SAME_ORIGIN)
                assert "confirmed" == final_state(client, answer)
                page = client.get(shown)
                assert "The job is sequential: its next waiting run will start." in page.text
                answer = client.post("/kill", data={**form(page), "reason": ""}, headers=SAME_ORIGIN)
                assert "confirmed" == final_state(client, answer)
        finally:
            installation.control("PUT", "dialect", json={"dialect": "default"})
        assert started(second)["pid"]
        assert {"killed"} == {ended(installation, run) for run in (first, third)}

    def test_job_manager_lists_runs(self, live: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """The Job Manager has a row per run with its kill link, its run address and its update."""
        with live.client() as client:
            page = client.get("/").text
            job = client.get(f"/job?target=simulated&application=K7SALES&job={run['job_id']}").text
        address = f"{installation.url}/cockpit/api/rest/application/K7SALES/services/jobs/{run['job_id']}/run"
        rows = installation.executions("K7SALES")
        started = next(row["startDate"] for row in rows if row["executionId"] == run["execution_id"])
        milliseconds = round(datetime.fromisoformat(started).timestamp() * 1000)
        for text in (page, job):
            assert link(run, **{"from": "", "started": str(milliseconds)}).replace("&", "&amp;") in text
            assert (True, True) == (address in text, f"{address}/async" in text)
        assert f"/job?target=simulated&amp;application=K7SALES&amp;job={run['job_id']}" in page
        assert "PARALLEL" in job

    def test_each_application_is_updated_by_itself(self, live: Sidecar, run: dict[str, Any]) -> None:
        """Each target and application tells when it was read, and can be read again alone."""
        sample = 'dumbella_kill_upstream_duration_seconds_count{operation="executions",target="simulated"}'
        with live.client() as client:
            page = client.get("/").text
            before = live.metric(sample)
            alone = client.get("/?target=simulated&application=K7SALES").text
        assert (2, 1, before + 1) == (
            page.count("Data updated at <time"),
            alone.count("Data updated at <time"),
            live.metric(sample),
        )
        assert 'href="/?target=simulated&amp;application=M2STOCK"' in page
        assert (True, True, False) == (
            run["execution_id"] in alone,
            '<a href="/">All targets and applications</a>' in alone,
            "M2STOCK" in alone,
        )

    def test_job_manager_offers_only_kills_that_are_allowed(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """A run that no rule lets one kill has no link to its kill."""
        other = installation.control("POST", "run", json={"application": "M2STOCK", "job": "count_stock_0.4"})[0]
        with live.client() as client:
            rows = {row.partition("</code>")[0][-36:]: row for row in client.get("/").text.split("<tr>")}
        assert ("/kill?" in rows[run["execution_id"]], "/kill?" in rows[other["execution_id"]]) == (True, False)
        assert "Not yours to kill" in rows[other["execution_id"]]

    def test_state_page_refreshes_until_final(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """The state page looks again by itself while the kill goes on, and not any more when it has ended."""
        installation.switch_faults("kill_ignored")
        with live.client() as client:
            answer = confirm(client, run)
            page = client.get(answer.headers["location"]).text
            assert '<meta http-equiv="refresh" content="2">' in page
            installation.switch_faults()
            installation.kill(run["execution_id"])
            assert "confirmed" == final_state(client, answer)
        assert answer.headers["location"].endswith("?from=dumbella-jobs")

    def test_same_form_twice_is_one_kill(self, live: Sidecar, run: dict[str, Any]) -> None:
        """The back button and a second click lead to the kill that there was."""
        before = len(live.records())
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            places = [client.post("/kill", data=fields, headers=SAME_ORIGIN).headers["location"] for _ in range(2)]
        assert places[0] == places[1]
        assert 1 == [record["stage"] for record in live.records()[before:]].count("intent")

    def test_finished_kill_is_found_again(self, live: Sidecar, run: dict[str, Any]) -> None:
        """The link to a run that was killed leads to what came of its kill, and back to the same dashboard."""
        with live.client() as client:
            answer = confirm(client, run)
            assert "confirmed" == final_state(client, answer)
            page = client.get(link(run))
        assert (200, False) == (page.status_code, "<form" in page.text)
        assert f'<a href="{answer.headers["location"]}">See what came of its kill</a>' in page.text

    def test_fifty_confirmations_of_ten_runs_are_ten_kills(self, live: Sidecar, installation: Simulator) -> None:
        """Many people at once send each kill once, and everybody gets the right answer."""
        runs = begin(installation, 10)
        before = len(live.records())

        def confirmed(number: int) -> tuple[str, str]:
            with live.client(("alice", "bob")[number % 2]) as client:
                answer = client.post("/kill", data=forms[number], headers={**SAME_ORIGIN, "cookie": cookies[number]})
                assert answer.status_code == 303, answer.text
                return forms[number]["execution"], answer.headers["location"]

        forms, cookies = [], []
        for number in range(50):
            with live.client(("alice", "bob")[number % 2]) as client:
                forms.append({**form(client.get(link(runs[number % 10]))), "reason": "all at once"})
                cookies.append("; ".join(f"{name}={value}" for name, value in client.cookies.items()))
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(confirmed, range(50)))
        assert 10 == len(set(answers)) == len({execution for execution, _ in answers})
        records = live.records()[before:]
        assert 10 == [record["stage"] for record in records].count("intent")
        assert ["killed"] * 10 == [poll(lambda one=one: ended(installation, one)) for one in runs]  # type: ignore[misc] # bound at once
        assert () == verify([live.audit]).problems


class TestLooking:
    """What must not change anything."""

    def test_reading_kills_nothing(self, live: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """GET, HEAD and OPTIONS on every path leave the run and the audit alone."""
        before = live.stages()
        with live.client() as client:
            for method in ("GET", "HEAD", "OPTIONS"):
                for path in (
                    link(run),
                    "/",
                    "/style.css",
                    "/kills/x",
                    f"/api/v1/targets/simulated/executions/{run['execution_id']}/kill",
                ):
                    client.request(method, path)
        assert (before, None) == (live.stages(), ended(installation, run))

    def test_head_asks_nobody(self, live: Sidecar, run: dict[str, Any]) -> None:
        """HEAD is answered without a login and without a question to Cockpit."""
        sample = 'dumbella_kill_upstream_duration_seconds_count{operation="executions",target="simulated"}'
        before = live.metric(sample)
        answers = [loopback.request("HEAD", f"{live.url}{path}") for path in (link(run), "/")]
        assert ([200, 200], before) == ([answer.status_code for answer in answers], live.metric(sample))

    @pytest.mark.parametrize("header", ["Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch"])
    def test_prefetch_is_refused(self, live: Sidecar, header: str) -> None:
        """What is fetched ahead of time is not answered."""
        status, _ = say(live.port, ["GET / HTTP/1.1", "Host: 127.0.0.1", header, "Connection: close"])
        assert 503 == status


class TestHost:
    """Names by which the sidecar is called."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "LOCALHOST", "[::1]:9878", "localhost."])
    def test_own_names_are_answered(self, live: Sidecar, host: str) -> None:
        """The public name and loopback names are answered, whatever the port."""
        assert 401 == say(live.port, ["GET / HTTP/1.1", f"Host: {host}", "Connection: close"])[0]

    @pytest.mark.parametrize(
        "hosts",
        [
            [],
            ["Host: evil.example.com"],
            ["Host: 127.0.0.1.evil.example.com"],
            ["Host: localhost@evil.example.com"],
            ["Host: "],
            ["Host: 127.0.0.1", "Host: evil.example.com"],
        ],
    )
    def test_other_names_are_refused(self, live: Sidecar, hosts: list[str]) -> None:
        """No name, a foreign one, or two of them: 400, and the name is not repeated."""
        status, answer = say(live.port, ["GET / HTTP/1.1", *hosts, "Connection: close"])
        assert (400, False) == (status, "evil" in answer)

    def test_health_is_for_any_name(self, live: Sidecar) -> None:
        """Probes call the sidecar by whatever address they have."""
        lines = ["GET /-/healthy HTTP/1.1", "Host: 10.1.2.3:9878", "Connection: close"]
        assert 200 == say(live.port, lines)[0]

    def test_slash_is_not_redirected(self, live: Sidecar) -> None:
        """No redirect repeats what a client made up."""
        status, answer = say(live.port, ["GET /kill/ HTTP/1.1", "Host: localhost", "Connection: close"])
        assert (404, False) == (status, "location:" in answer.lower())


class TestRequests:
    """Requests that no browser sends; the rest of them is in the tests of the server."""

    @pytest.mark.parametrize(
        ("lines", "status"),
        [
            (("GET / HTTP/1.1", "Host: localhost", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
            (("GET http://localhost/kill HTTP/1.1", "Host: localhost"), 400),
            (("GET / HTTP/1.1", "Host: localhost", f"X-Long: {'x' * 40_000}"), 431),
            ((f"GET /kill?{'x' * 9000} HTTP/1.1", "Host: localhost"), 414),
            (("POST /kill HTTP/1.1", "Host: localhost", "Content-Length: 5", "Content-Length: 6"), 400),
        ],
    )
    def test_unclear_or_huge_requests_are_refused(self, live: Sidecar, lines: tuple[str, ...], status: int) -> None:
        """What is ambiguous or too large gets an answer with our headers, and reaches nothing."""
        found, answer = say(live.port, [*lines, "Connection: close"])
        head = answer.partition("\r\n\r\n")[0].lower()
        assert (status, True, False) == (found, "cache-control: no-store" in head, "server:" in head)

    def test_forwarded_address_is_noted_and_not_believed(self, live: Sidecar, run: dict[str, Any]) -> None:
        """What a request says about where it comes from is on record beside the peer, not in its place."""
        before = len(live.records())
        headers = {**SAME_ORIGIN, "x-forwarded-for": "192.0.2.7", "x-real-ip": "192.0.2.7"}
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            client.post("/kill", data=fields, headers=headers)
        source = live.records()[before]["source"]
        assert ("127.0.0.1", "192.0.2.7") == (source["peer_ip"], source["forwarded_for"])

    @pytest.mark.parametrize("password", ["", "wrong", f"{PASSWORD}{'x' * 72}", "x" * 4000, "\x00", "ü" * 40])
    def test_wrong_password_opens_nothing(self, live: Sidecar, password: str) -> None:
        """A wrong password is a plain 401, however long it is, and so is that of somebody unknown."""
        for name in ("alice", "nobody"):
            with live.browser(auth=(name, password)) as client:
                answer = client.get("/")
            assert (401, True) == (answer.status_code, "The user name or the password is wrong." in answer.text)

    def test_metrics_want_a_login_and_health_does_not(self, live: Sidecar) -> None:
        """Monitoring logs in for the metrics, as everywhere; probes do not."""
        answers = [loopback.get(f"{live.url}{path}") for path in ("/metrics", "/-/healthy", "/-/ready")]
        assert [401, 200, 200] == [answer.status_code for answer in answers]


class TestLink:
    """What a link may hold."""

    QUERIES = (
        "",
        "x=1",
        "target=simulated",
        "target=simulated&application=K7SALES&execution=e&started=1&from=&extra=1",
        "target=simulated&application=K7SALES&execution=e&started=1&from=&from=",
        "target=simulated&target=simulated&application=K7SALES&execution=e&started=1&from=",
        "target=http%3A%2F%2Fevil.example.com&application=K7SALES&execution=e&started=1&from=",
        "target=simulated&application=K7SALES&execution=..&started=1&from=",
        "target=simulated&application=K7SALES&execution=%2e%2e&started=1&from=",
        "target=simulated&application=K7SALES&execution=%252e&started=1&from=",
        "target=simulated&application=K7SALES&execution=a%2Fb&started=1&from=",
        "target=simulated&application=K7SALES&execution=a%00&started=1&from=",
        "target=simulated&application=K7SALES&execution=a%0A&started=1&from=",
        "target=simulated&application=K7SALES&execution=%FF&started=1&from=",
        f"target=simulated&application=K7SALES&execution={'a' * 129}&started=1&from=",
        "target=simulated&application=K7SALES&execution=e&started=-1&from=",
        "target=simulated&application=K7SALES&execution=e&started=1e9&from=",
        "target=simulated&application=K7SALES&execution=e&started=1&from=%2F%2Fevil.example.com",
        "target=simulated;application=K7SALES&execution=e&started=1&from=",
    )

    @pytest.mark.parametrize("query", QUERIES)
    def test_other_queries_are_refused(self, live: Sidecar, query: str) -> None:
        """A link has exactly its parameters, once each, and ids are ids."""
        with live.client() as client:
            assert 400 == client.get(f"/kill?{query}").status_code

    def test_bad_link_tells_strangers_nothing(self, live: Sidecar) -> None:
        """Who asks is settled before what is asked."""
        answers = [loopback.get(f"{live.url}/kill?{query}") for query in self.QUERIES[:3]]
        assert {401} == {answer.status_code for answer in answers}


class TestCodes:
    """Every code that pages have."""

    def test_401_without_a_login_shows_no_job(self, live: Sidecar, run: dict[str, Any]) -> None:
        """A stranger learns how to log in, and nothing about jobs."""
        answer = loopback.get(f"{live.url}{link(run)}")
        assert (401, False) == (answer.status_code, "etl_load" in answer.text)
        assert answer.headers["www-authenticate"].startswith("Basic ")

    def test_403_for_whom_no_rule_names(self, live: Sidecar, run: dict[str, Any]) -> None:
        """Somebody without a rule sees neither the list nor the page."""
        with live.client("victor") as client:
            assert [403, 403] == [client.get(path).status_code for path in ("/", link(run))]

    def test_403_for_a_job_that_no_rule_covers(self, live: Sidecar, installation: Simulator) -> None:
        """Whoever may kill some jobs may not kill the others."""
        wanted = {"application": "M2STOCK", "job": "count_stock_1.0", "duration": 300}
        jobs = [job["name"] for job in installation.jobs("M2STOCK") if job["status"] == "ENABLED"]
        begun = installation.control("POST", "run", json={**wanted, "job": jobs[0]})[0]
        state = poll(
            lambda: [
                one
                for one in installation.control("GET", "state")["running"]
                if one["execution_id"] == begun["execution_id"]
            ]
        )
        with live.client() as client:
            answer = client.get(link(state[0]))
        assert (403, True) == (answer.status_code, "No rule of the policy allows it" in answer.text)

    @pytest.mark.parametrize("change", [{"target": "nowhere"}, {"application": "NOWHERE"}])
    def test_404_for_what_is_not_configured(self, live: Sidecar, run: dict[str, Any], change: dict[str, str]) -> None:
        """Targets and applications are those of the configuration."""
        with live.client() as client:
            assert 404 == client.get(link(run, **change)).status_code

    def test_404_for_an_unknown_kill(self, live: Sidecar) -> None:
        """A kill that nobody knows is not found."""
        with live.client() as client:
            assert 404 == client.get("/kills/0123456789abcdef0123456789abcdef").status_code

    @pytest.mark.parametrize(
        ("method", "path"), [("PUT", "/kill"), ("POST", "/"), ("OPTIONS", "/"), ("TRACE", "/kill")]
    )
    def test_405_for_other_methods(self, live: Sidecar, method: str, path: str) -> None:
        """Other methods are refused, and the answer names those that there are."""
        with live.client() as client:
            answer = client.request(method, path)
        assert (405, True) == (answer.status_code, "GET" in answer.headers["allow"])

    def test_409_for_another_start(self, live: Sidecar, run: dict[str, Any]) -> None:
        """A link to an earlier run under the same id leads to no form."""
        with live.client() as client:
            answer = client.get(link(run, started=str(int(run["started_at"] * 1000) - 1000)))
        assert (409, False) == (answer.status_code, "<form" in answer.text)

    def test_409_for_another_run_under_the_same_id(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """When the list shows another start right before the kill, nothing is sent; the record says why."""
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            installation.switch_faults("clock_skew=60@executions")
            answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
        assert (409, True) == (answer.status_code, "not the run that you clicked" in answer.text)
        record = live.records()[-1]
        assert ("denied", "stale", None) == (record["stage"], record["outcome"], ended(installation, run))

    def test_no_return_address_is_accepted(self, live: Sidecar, run: dict[str, Any]) -> None:
        """The way back from a kill is made from the configuration and a dashboard's uid, from nothing else."""
        with live.client() as client:
            place = confirm(client, run).headers["location"].partition("?")[0]
            queries = ("return=https://evil.example.com", "from=https://evil.example.com", "from=..", "from=a&from=b")
            answers = [client.get(f"{place}?{query}") for query in queries]
        assert [(400, False)] * 4 == [(answer.status_code, "evil" in answer.text) for answer in answers]

    def test_finished_run_has_no_form(self, live: Sidecar) -> None:
        """A link to a run that is over says so."""
        gone = {"application": "K7SALES", "execution_id": "e-gone", "started_at": 1_700_000_000}
        with live.client() as client:
            answer = client.get(link(gone))
        assert (200, True, False) == (answer.status_code, "Already finished" in answer.text, "<form" in answer.text)

    def test_413_for_a_large_form(self, live: Sidecar) -> None:
        """A form of megabytes is refused before it is read."""
        lines = ["POST /kill HTTP/1.1", "Host: localhost", "Content-Length: 10000000", "Connection: close"]
        assert 413 == say(live.port, lines)[0]

    def test_415_for_what_is_no_form(self, live: Sidecar) -> None:
        """Only our own form can be sent."""
        with live.client() as client:
            assert 415 == client.post("/kill", json={}, headers=SAME_ORIGIN).status_code

    @pytest.mark.parametrize(
        ("fault", "status"),
        [
            ("server_error", 502),
            ("html_login", 502),
            ("unauthorized", 502),
            ("reset", 502),
        ],
    )
    def test_unreadable_list_sends_nothing(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any], fault: str, status: int
    ) -> None:
        """Without the list there is neither a page nor a kill, and the code tells whose fault it is."""
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            installation.switch_faults(f"{fault}@executions")
            before = live.stages()
            answers = [client.get(link(run)), client.post("/kill", data=fields, headers=SAME_ORIGIN)]
        assert ([status] * 2, before) == ([answer.status_code for answer in answers], live.stages())

    def test_silent_list_sends_nothing(self, hasty: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """When Cockpit does not answer in time, there is neither a page nor a kill, and the code says so."""
        with hasty.client() as client:
            page = poll(lambda: _shown(client, run))
            installation.switch_faults("hang@executions")
            before = hasty.stages()
            fields = {**form(page), "reason": ""}
            answers = [client.get(link(run)), client.post("/kill", data=fields, headers=SAME_ORIGIN)]
        assert ([504, 504], before) == ([answer.status_code for answer in answers], hasty.stages())

    def test_every_answer_has_the_headers(self, live: Sidecar, run: dict[str, Any]) -> None:
        """Pages, errors, redirects, the style sheet, the API and monitoring: the headers are the same."""
        paths = (
            link(run),
            "/",
            "/nothing",
            "/kill?x",
            "/style.css",
            "/api/v1/x",
            "/api/v1/openapi.yaml",
            "/-/healthy",
            "/metrics",
        )
        preflight = {"origin": "https://evil.example.com", "access-control-request-method": "POST"}
        with live.client() as client:
            answers = [client.get(path, headers={"origin": "https://evil.example.com"}) for path in paths]
            answers += [client.options(path, headers=preflight) for path in ("/kill", "/api/v1/targets/simulated")]
            answers.append(client.post("/kill"))
            answers.append(confirm(client, run))
        for answer in answers:
            assert HEADERS == {name: answer.headers.get(name) for name in HEADERS}, answer.url
            assert "server" not in answer.headers, answer.url
            assert [] == [name for name in answer.headers if name.startswith("access-control-")], answer.url


class TestForm:
    """Forms that are not ours."""

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"sec-fetch-site": "cross-site", "origin": "OWN"},
            {"origin": "https://evil.example.com"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:1"},
        ],
    )
    def test_form_from_elsewhere_is_refused(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any], headers: dict[str, str]
    ) -> None:
        """Another site, another port and no origin at all: 403, and the run lives on."""
        own = {name: value.replace("OWN", live.url) for name, value in headers.items()}
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            assert 403 == client.post("/kill", data=fields, headers=own).status_code
        assert None is ended(installation, run)

    def test_origin_stands_in_for_older_browsers(self, live: Sidecar, run: dict[str, Any]) -> None:
        """Where a browser sends no Sec-Fetch-Site, our own origin is enough."""
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            assert 303 == client.post("/kill", data=fields, headers={"origin": live.url}).status_code

    @pytest.mark.parametrize(
        "change",
        [
            {"token": ""},
            {"token": "9999999999.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
            {"execution": "another"},
            {"job": "1"},
            {"started": "1700000000000"},
        ],
    )
    def test_altered_form_is_refused(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any], change: dict[str, str]
    ) -> None:
        """A form that does not fit its seal leads back to the page, and kills nothing."""
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": "", **change}
            answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
        assert (403, True) == (answer.status_code, "Nothing was sent" in answer.text)
        assert None is ended(installation, run)

    def test_form_of_another_person_or_session_is_refused(self, live: Sidecar, run: dict[str, Any]) -> None:
        """A form works for whom it was made, in the browser for which it was made."""
        with live.client() as client, live.client("bob") as other, live.client() as elsewhere:
            fields = {**form(client.get(link(run))), "reason": ""}
            other.cookies.update(client.cookies)
            elsewhere.get(link(run))
            answers = [one.post("/kill", data=fields, headers=SAME_ORIGIN) for one in (other, elsewhere)]
        assert [403, 403] == [answer.status_code for answer in answers]

    @pytest.mark.parametrize("reason", ["x" * 501, "a\x00b"])
    def test_reason_is_a_short_text(self, live: Sidecar, run: dict[str, Any], reason: str) -> None:
        """A reason that cannot be shown in a line is refused."""
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": reason}
            assert 400 == client.post("/kill", data=fields, headers=SAME_ORIGIN).status_code


class TestFaults:
    """What Cockpit does to a kill, and what it is called."""

    @pytest.mark.parametrize(
        ("fault", "state", "words"),
        [
            ("kill_ignored", "unconfirmed", "Cockpit accepted the kill, but still lists the run"),
            ("reset@kill", "unknown", "the answer to the kill was lost"),
            ("server_error@kill", "unknown", "Cockpit answered 500"),
            ("gateway_timeout@kill", "unknown", "Cockpit answered 504"),
            ("html_login@kill", "unknown", "Cockpit answered 200 with a page"),
            ("unauthorized@kill", "rejected", "Cockpit answered 401"),
            ("forbidden@kill", "rejected", "Cockpit answered 403"),
            ("redirect_login@kill", "rejected", "Cockpit answered 302"),
            ("csrf", "rejected", "Cockpit answered 403"),
        ],
    )
    def test_run_that_goes_on_is_not_called_killed(
        self, resigned: Sidecar, installation: Simulator, run: dict[str, Any], *, fault: str, state: str, words: str
    ) -> None:
        """Each answer after which the run goes on ends in the word that tells what is known, and why."""
        with resigned.client() as client:
            fields = {**form(client.get(link(run))), "reason": fault}
            installation.switch_faults(fault)
            answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
            assert (state, None) == (final_state(client, answer), ended(installation, run))
            page = client.get(answer.headers["location"]).text
            assert words in page
            assert "Look at the run again</a>" in page

    def test_lost_answer_is_never_called_killed(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any]
    ) -> None:
        """When the answer is lost and the run is gone, the page says both, and not that it was killed."""
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            installation.switch_faults("kill_lost")
            answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
            assert ("unknown_gone", "killed") == (final_state(client, answer), ended(installation, run))

    def test_silence_is_unknown(self, hasty: Sidecar, installation: Simulator, run: dict[str, Any]) -> None:
        """When Cockpit takes the kill and never answers, what came of it is unknown."""
        with hasty.client() as client:
            fields = {**form(poll(lambda: _shown(client, run))), "reason": ""}
            installation.switch_faults("hang@kill")
            before = len(hasty.records())
            answer = poll(lambda: _accepted(client, fields))
            assert ("unknown", None) == (final_state(client, answer), ended(installation, run))
        result = next(record for record in hasty.records()[before:] if record["stage"] == "result")
        assert None is result["upstream"]["status"]

    def test_run_that_ends_meanwhile_has_already_finished(self, live: Sidecar, installation: Simulator) -> None:
        """A run that is over when the form arrives is not killed, and the page says so."""
        run = begin(installation, duration=1)[0]
        with live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            poll(lambda: ended(installation, run))
            answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
        assert (200, True) == (answer.status_code, "Already finished" in answer.text)


class TestHostileNames:
    """Names that try to be more than names."""

    def test_names_are_inert(self, live: Sidecar, installation: Simulator) -> None:
        """Script, quotes, bidirectional marks and 100 KB appear as text, if at all."""
        begin(installation, 12)
        installation.switch_faults("hostile_names@executions")
        with live.client() as client:
            page = client.get("/")
        assert 200 == page.status_code
        assert [] == re.findall(r"<script|<img|onerror=[^&]|[\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page.text)
        assert len(page.text) < 200_000

    @pytest.mark.parametrize(
        "name",
        [
            "etl_</script><script>alert(1)</script>\"'`{{7*7}}",
            "etl_\u202egnp.exe\u2066\x1b[31m\r\n\tts=2026 level=error",
            "etl_" + "x" * 60_000,
        ],
    )
    def test_name_is_inert_on_its_way(
        self, live: Sidecar, installation: Simulator, run: dict[str, Any], name: str
    ) -> None:
        """On the page, in the state, in the API, in the audit and in the log, a name is a name."""
        installation.control("PATCH", f"jobs/K7SALES/{run['job_id']}", json={"name": name})
        before = len(live.records())
        try:
            with live.client() as client:
                pages = [client.get(link(run)), client.get(f"/job?{_job_query(run)}"), client.get("/")]
                answer = client.post("/kill", data={**form(pages[0]), "reason": name[:400]}, headers=SAME_ORIGIN)
                if answer.status_code == 400:
                    answer = client.post("/kill", data={**form(pages[0]), "reason": "odd"}, headers=SAME_ORIGIN)
                assert "confirmed" == final_state(client, answer)
                pages += [client.get(answer.headers["location"]), client.get(link(run))]
            with live.api() as program:
                kill = program.get(f"/kills/{live.records()[before]['kill_id']}").json()
        finally:
            installation.control("PATCH", f"jobs/K7SALES/{run['job_id']}", json={"name": JOB})
        for page in pages:
            assert [] == re.findall(r"<script|[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", _names_in(page.text))
            assert ("<script" in page.text, "x" * 201 in page.text) == (False, False)
        assert name == kill["execution"]["job_name"]
        audited = live.records()[before]["target"]["job_name"]
        assert name[:512] == audited[:512]
        assert [] == [line for line in live.audit.read_text().splitlines() if not line.isprintable()]
        assert [] == [line for line in live.process.log.splitlines() if not line.startswith("ts=")]


def _shown(client: httpx.Client, run: dict[str, Any]) -> httpx.Response | None:
    """Return the confirmation page of a run, or ``None`` while Cockpit seems slow."""
    page = client.get(link(run))
    return page if page.status_code == 200 else None


def _accepted(client: httpx.Client, fields: dict[str, str]) -> httpx.Response | None:
    """Return the answer to a form, or ``None`` while Cockpit's list seems slow and nothing was sent."""
    answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
    return None if answer.status_code == 504 else answer


def _job_query(run: dict[str, Any]) -> str:
    return f"target=simulated&application={run['application']}&job={run['job_id']}"


def _names_in(page: str) -> str:
    """Return what stands in place of names: headings, titles and isolated text."""
    return "".join(re.findall(r"<(?:bdi|title|h1)[^>]*>(.*?)</(?:bdi|title|h1)>", page, re.DOTALL))


def test_log_has_one_line_per_event(live: Sidecar) -> None:
    """Whatever was asked in this module, each line of the log is an event of its own and no traceback is among them."""
    lines = live.process.log.splitlines()
    assert [] == [line for line in lines if not line.startswith("ts=")]
    assert [] == [line for line in lines if "traceback" in line]


def test_nothing_tells_a_secret(live: Sidecar, installation: Simulator) -> None:
    """Neither log, audit, standard output, metrics nor pages hold a credential, a cookie or a page token."""
    run = begin(installation)[0]
    with live.client() as client, live.api() as program, live.browser(auth=("alice", "a-wrong-password")) as stranger:
        fields = form(client.get(link(run)))
        answer = client.post("/kill", data={**fields, "reason": ""}, headers=SAME_ORIGIN)
        final_state(client, answer)
        secrets = [PASSWORD, installation.token, TOKEN, fields["token"], "a-wrong-password", *client.cookies.values()]
        paths = ("/metrics", "/", answer.headers["location"], link(run), "/kill?token=x", "/nothing")
        answers = [client.get(path) for path in paths]
        answers += [program.get("/targets/simulated/executions"), stranger.get("/"), client.post("/kill", data=fields)]
    pages = "".join(answer.text for answer in answers)
    everything = live.process.log + live.process.stdout + live.audit.read_text() + pages
    assert [] == [secret for secret in secrets if secret in everything]
