"""The command ``check``: what it prints, where, and with which exit code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.check import check, check_online
from exporter.check.inquiry import UNKNOWN_EXECUTION
from exporter.check.report import printable, table
from exporter.config import Auth, Config, Expectation, Results, Target
from exporter.config.profiles import BUILTIN, Profile

FIXTURES = Path(__file__).parents[1] / "config"
JOBS = "/cockpit/api/rest/application/K7SALES/services/jobs"
EXECUTIONS = f"{JOBS}/executions"

keys = st.sampled_from(
    [key for keys in BUILTIN["cockpit"].fields.job.values() for key in keys]
    + [key for keys in BUILTIN["cockpit"].fields.execution.values() for key in keys]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)

Respond = Callable[[httpx.Request], httpx.Response]


def target(**settings: Any) -> Target:
    """Return a valid target with ``settings`` on top."""
    valid = {"name": "production", "url": "https://apps.example.com/cockpit", "applications": ("K7SALES",)}
    return Target(**{**valid, **settings})


def answers(bodies: Mapping[str, Any]) -> Respond:
    """Answer each path with its JSON body, or with its status where that is a number; 404 elsewhere."""

    def respond(request: httpx.Request) -> httpx.Response:
        body = bodies.get(request.url.path, 404)
        if isinstance(body, int):
            return httpx.Response(body, json={"status": body, "message": "said by the server"})
        return httpx.Response(200, json=body)

    return respond


def online(config: Config, respond: Respond, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return the exit code of an online check, and what it printed, with every duration as ``N ms``."""
    code = check_online(config, transport=httpx.MockTransport(respond))
    printed = capsys.readouterr()
    return code, re.sub(r"\d+ ms", "N ms", printed.out), printed.err


class TestFile:
    """Checking the file alone."""

    def test_good_file_is_summarised(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A good file gives 0 and a table of targets and expectations on standard output."""
        path = FIXTURES / "good" / "every-key.yml"
        expected = f"""\
{path}: no problems

target       applications      profile      url
production   K7SALES, M2STOCK  ours         https://apps.example.com/cockpit
development  discover          appcomposer  http://localhost:8081

expectation  target      application  job        max_runtime  success_every
0            production  *            nightly_*  45m          1d2h
1            *           *            *          1d12h
"""
        assert (0, expected, "") == (check(path), *capsys.readouterr())

    def test_bad_file_is_explained(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A bad file gives 1 and every problem, one a line, on standard error."""
        path = FIXTURES / "bad" / "all-sections-at-once.yml"
        sentences = path.with_suffix(".txt").read_text(encoding="utf-8").replace(f"{path.name}: ", f"{path}: ")
        assert (1, "", sentences) == (check(path), *capsys.readouterr())

    def test_warnings_leave_the_file_usable(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What is unwise is said on standard error, and the file is fine."""
        path = FIXTURES / "good" / "unwise.yml"
        code = check(path)
        sentences = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
        warnings = [f"warning: {path.parent}/{sentence}" for sentence in sentences]
        assert (0, warnings) == (code, capsys.readouterr().err.splitlines())

    def test_purpose_decides_which_secrets_are_needed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The exporter's credential is asked for where the exporter runs, and not where the sidecar has its own."""
        path = tmp_path / "dumbella.yml"
        path.write_text(
            "targets: [{name: a, url: https://a.example.com, applications: [K7SALES],"
            " auth: {bearer_token_file: absent}}]\nkill: {targets: {a: {bearer_token_file: own}}}\n",
            encoding="utf-8",
        )
        problem = f"{path}: targets[0].auth.bearer_token_file: the file does not exist"
        check(path, "sidecar")
        assert problem not in capsys.readouterr().err
        assert 1 == check(path, "serve")
        assert problem in capsys.readouterr().err

    def test_online_check_follows_the_summary(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """An online check prints the summary first, and fails where nobody answers."""
        path = tmp_path / "dumbella.yml"
        # Port 1 is reserved and, on a loopback address, refused at once.
        path.write_text("targets: [{name: nobody, url: http://127.0.0.1:1, applications: [K7SALES]}]", encoding="utf-8")
        code = check(path, online=True)
        printed = capsys.readouterr()
        assert (1, "failed: nobody\n") == (code, printed.err)
        assert f"{path}: no problems" == printed.out.splitlines()[0]
        assert "      FAILED: connect: cannot connect: Connection refused" in printed.out.splitlines()


class TestOnline:
    """Asking the targets."""

    def test_answer_is_explained_field_by_field(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Every endpoint shows address, envelope, rows, which key supplied which field, and an example."""
        jobs = [
            {"id": 101, "jobName": "etl_load_0.1.zip", "state": "enabled", "owner": "a", "lastUpdate": 1700000000000},
            {"id": 102, "name": "etl_send_0.1", "state": "FROZEN", "type": "JOB", "deep": {"er": 1}},
            {"id": 102, "name": "etl_send_0.1", "state": "FROZEN"},
            {"name": "nobody_0.1"},
            "odd",
        ]
        runs = {"content": [{"executionId": "e-1", "jobId": 101, "name": "etl_load_0.1", "start": "2024-05-06T07:08Z"}]}
        expected = """\
target production: https://apps.example.com/cockpit, profile cockpit

  application K7SALES
    jobs: GET https://apps.example.com/cockpit/api/rest/application/K7SALES/services/jobs (N ms)
      answer: 200, application/json, 255 bytes
      rows: 5 in envelope array
        field              from                             missing  unreadable  example
        id                 id (3 of 4)                      1        0           101
        name               jobName (1 of 4), name (3 of 4)  0        0           "etl_load_0.1.zip"
        type               type (1 of 4)                    3        0           "JOB"
        status             state (3 of 4)                   1        2           "FROZEN"
        execution_mode     -                                4        0
        current_version    -                                4        0
        published_version  -                                4        0
        last_update        lastUpdate (1 of 4)              3        0           1700000000000
        started_at         -                                4        0
        error              -                                4        0
      fields that no key supplied: execution_mode, current_version, published_version, started_at, error
      keys that nobody used: deep.er (1 of 4), owner (1 of 4)
      unknown value: status 'FROZEN' in 2 rows; say in the profile's values.status what it means
      dropped: row 3, an earlier row has the same id
      dropped: row 4, unreadable: id
      dropped: row 5, it is no object
      understood as: id 101, name etl_load_0.1, status ENABLED, last_update 2023-11-14T22:13:20+00:00
    executions: GET https://apps.example.com/cockpit/api/rest/application/K7SALES/services/jobs/executions (N ms)
      answer: 200, application/json, 97 bytes
      rows: 1 in envelope content
        field       from                  missing  unreadable  example
        id          executionId (1 of 1)  0        0           "e-1"
        job_id      jobId (1 of 1)        0        0           101
        job_name    name (1 of 1)         0        0           "etl_load_0.1"
        started_at  start (1 of 1)        0        0           "2024-05-06T07:08Z"
      understood as: id e-1, job_id 101, job_name etl_load_0.1, started_at 2024-05-06T07:08:00+00:00

"""
        config = Config(targets=(target(),))
        assert (0, expected, "") == online(config, answers({JOBS: jobs, EXECUTIONS: runs}), capsys)

    def test_failure_names_reason_detail_and_remedy(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A question without a usable answer shows why and what to do, and the exit code is 1."""
        expected = """\
target production: https://apps.example.com/cockpit, profile cockpit

  application K7SALES
    jobs: GET https://apps.example.com/cockpit/api/rest/application/K7SALES/services/jobs (N ms)
      FAILED: server_error: answered 503 Service Unavailable: said by the server
      remedy: look at Cockpit's and Dumbella's own logs
    executions: GET https://apps.example.com/cockpit/api/rest/application/K7SALES/services/jobs/executions (N ms)
      FAILED: schema: the answer is an object with the keys 'a', not a list of executions in a known envelope
      remedy: run check --online and describe the answer's form in a profile

  results: GET http://dumbella:8080/execution/00000000-0000-0000-0000-000000000000/result (N ms)
    FAILED: auth: answered 401 Unauthorized: said by the server
    remedy: check that the API key is right, not expired, and allowed to read this application

"""
        config = Config(targets=(target(results=Results(url="http://dumbella:8080")),))
        answer = answers({JOBS: 503, EXECUTIONS: {"a": 1}, f"/execution/{UNKNOWN_EXECUTION}/result": 401})
        assert (1, expected, "failed: production\n") == online(config, answer, capsys)

    def test_results_address_is_asked_for_a_running_execution(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where something is running its result is asked for, which shows whether the answer is understood."""
        runs = [{"executionId": "e-1", "jobId": 101, "name": "a_0.1", "startDate": 1700000000}]
        config = Config(targets=(target(results=Results(url="http://dumbella:8080")),))
        answer = answers({JOBS: [], EXECUTIONS: runs, "/execution/e-1/result": {"status": "RUNNING"}})
        code, out, _ = online(config, answer, capsys)
        assert 0 == code
        assert out.endswith(
            """
  results: GET http://dumbella:8080/execution/e-1/result (N ms)
    outcome: running

"""
        )

    def test_results_address_that_does_not_know_a_running_execution_is_wrong(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A 404 for an execution that is listed as running means that results are looked for in the wrong place."""
        runs = [{"executionId": "e-1", "jobId": 101, "name": "a_0.1", "startDate": 1700000000}]
        config = Config(targets=(target(results=Results(url="http://dumbella:8080")),))
        code, out, err = online(config, answers({JOBS: [], EXECUTIONS: runs}), capsys)
        assert (1, "failed: production\n") == (code, err)
        assert out.endswith(
            """
  results: GET http://dumbella:8080/execution/e-1/result (N ms)
    FAILED: client_error: an execution that is listed as running has no result here: \
answered 404 Not Found: said by the server
    remedy: check the application code, the base url and the profile's paths

"""
        )

    def test_unknown_execution_proves_that_results_are_reached(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where nothing is running, a 404 for an execution that does not exist is what a results address answers."""
        config = Config(targets=(target(results=Results(url="http://dumbella:8080")),))
        code, out, _ = online(config, answers({JOBS: [], EXECUTIONS: []}), capsys)
        assert 0 == code
        assert out.endswith(
            f"""
  results: GET http://dumbella:8080/execution/{UNKNOWN_EXECUTION}/result (N ms)
    reached; nothing is running, so an execution that does not exist was asked for
    outcome: unresolved (answered 404 Not Found: said by the server)

"""
        )

    def test_discovered_applications_and_version_are_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An installation that tells its release and applications is asked for them, and then for each one."""
        config = Config(targets=(target(profile="appcomposer", applications="discover"),))
        answer = answers(
            {
                "/cockpit/api/rest/instance/version": {"version": "2024.1.3", "releasePhase": "GA"},
                "/cockpit/api/rest/application/all": [{"application": "K7SALES"}],
                JOBS: [],
                EXECUTIONS: [],
            }
        )
        expected = """\
target production: https://apps.example.com/cockpit, profile appcomposer
  version: GET https://apps.example.com/cockpit/api/rest/instance/version (N ms)
    version 2024.1.3, releasePhase GA
  applications: GET https://apps.example.com/cockpit/api/rest/application/all (N ms)
    1 application: K7SALES

  application K7SALES
    jobs: GET https://apps.example.com/cockpit/api/rest/application/K7SALES/services/jobs (N ms)
      answer: 200, application/json, 2 bytes
      rows: 0 in envelope array
    executions: GET https://apps.example.com/cockpit/api/rest/application/K7SALES/services/jobs/executions (N ms)
      answer: 200, application/json, 2 bytes
      rows: 0 in envelope array

"""
        assert (0, expected, "") == online(config, answer, capsys)

    def test_undiscoverable_applications_fail_the_target(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A target whose applications cannot be listed has failed."""
        config = Config(targets=(target(profile="appcomposer", applications="discover"),))
        answer = answers({"/cockpit/api/rest/instance/version": {}})
        code, out, err = online(config, answer, capsys)
        assert (1, "failed: production\n") == (code, err)
        assert "    FAILED: client_error: answered 404 Not Found: said by the server" in out.splitlines()

    def test_unsupported_executions_are_not_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        """An older release without a list of executions does not fail for the lack of it."""
        config = Config(
            targets=(target(profile="old"),), profiles={"old": Profile.model_validate({"executions": "unsupported"})}
        )
        code, out, _ = online(config, answers({JOBS: []}), capsys)
        assert 0 == code
        assert "    executions: not asked, the profile says executions: unsupported" in out.splitlines()

    def test_all_pages_are_read(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Of a list in pages the first is explained, and all of them count."""

        def respond(request: httpx.Request) -> httpx.Response:
            number = int(request.url.params.get("page", 0))
            rows = [{"id": number * 2 + n, "name": f"job_{number * 2 + n}_0.1", "status": "ENABLED"} for n in (1, 2)]
            page = {"content": rows, "number": number, "totalPages": 3, "totalElements": 6, "last": number == 2}
            return httpx.Response(200, json=page if request.url.path == JOBS else [])

        config = Config(targets=(target(),), expectations=(Expectation(job="job_*", max_runtime=60),))
        code, out, _ = online(config, respond, capsys)
        assert 0 == code
        assert "      rows: 2 in envelope content, the first of 3 pages" in out.splitlines()
        assert "      all pages: 6 rows understood" in out.splitlines()
        assert "    6 jobs:" in out.splitlines()

    def test_expectations_tell_what_they_match(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each expectation shows the jobs for which it holds; one that matches none says so."""
        names = [*(f"nightly_{n}_0.1" for n in range(10)), "hourly_0.1", "other_0.1"]
        jobs = [{"id": n, "name": name, "status": "ENABLED"} for n, name in enumerate(names)]
        config = Config(
            targets=(target(), target(name="down", url="https://down.example.com")),
            expectations=(
                Expectation(job="hourly_*", max_runtime=60),
                Expectation(
                    target="production", application="K7*", job="nightly_*", max_runtime=60, success_every=3600
                ),
                Expectation(job="nightly_1_*", max_runtime=60),
                Expectation(application="M2*", max_runtime=60),
            ),
        )
        code, out, err = online(config, answers({JOBS: jobs, EXECUTIONS: []}), capsys)
        expected = """\
expectations
  expectations[0] (target *, application *, job hourly_*): max_runtime 1m
    1 job:
      production/K7SALES/hourly_0.1
  expectations[1] (target production, application K7*, job nightly_*): max_runtime 1m, success_every 1h
    10 jobs:
      production/K7SALES/nightly_0_0.1
      production/K7SALES/nightly_1_0.1
      production/K7SALES/nightly_2_0.1
      production/K7SALES/nightly_3_0.1
      production/K7SALES/nightly_4_0.1
      production/K7SALES/nightly_5_0.1
      production/K7SALES/nightly_6_0.1
      production/K7SALES/nightly_7_0.1
      and 2 more
  expectations[2] (target *, application *, job nightly_1_*): max_runtime 1m
    holds for no job: earlier expectations match all of its jobs
  expectations[3] (target *, application M2*, job *): max_runtime 1m
    matches no job
  1 job without an expectation
  jobs that could not be read are not among these: see down
"""
        assert (1, "failed: down\n", expected) == (code, err, out[out.index("expectations\n") :])

    def test_terminal_is_not_at_the_servers_mercy(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Control characters in an answer are shown, not acted upon."""
        jobs = [{"id": "1\x1b[2J", "name": "a\x1b]0;x\x07_0.1", "st\x1b[1m": 1, "status": "\x1b[31m\u202e"}]
        code, out, _ = online(Config(targets=(target(),)), answers({JOBS: jobs, EXECUTIONS: []}), capsys)
        assert (0, []) == (code, re.findall(r"[^\n -~]", out))

    def test_credential_is_sent_and_never_shown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The questions carry the credential, and not even a server that repeats it gets it printed."""
        token = tmp_path / "token"
        token.write_text("hunter2-hunter2\n", encoding="utf-8")
        seen = set()

        def respond(request: httpx.Request) -> httpx.Response:
            seen.add(request.headers["Authorization"])
            return httpx.Response(403, json={"message": f"no access with {request.headers['Authorization']}"})

        config = Config(targets=(target(auth=Auth(bearer_token_file=token)),))
        code, out, err = online(config, respond, capsys)
        assert (1, {"Bearer hunter2-hunter2"}) == (code, seen)
        assert "no access with" in out
        assert "hunter2" not in out + err


class TestReport:
    """The parts of the report."""

    def test_columns_are_aligned(self) -> None:
        """Every column is as wide as its widest cell, and no line ends in spaces."""
        assert ["a    bbb", "ccc  d", "e"] == table([("a", "bbb"), ("ccc", "d"), ("e", "")])

    @pytest.mark.parametrize(
        ("text", "shown"),
        [("plain äöü", "plain äöü"), ("a\x1b[1m", r"a\x1b[1m"), ("\u202e", r"\u202e"), ("\ud800", r"\ud800")],
    )
    def test_printable(self, text: str, shown: str) -> None:
        """Characters that a terminal would act on are shown as their escapes."""
        assert shown == printable(text)

    @given(jobs=json_values, executions=json_values)
    def test_any_json_is_reported(self, jobs: Any, executions: Any) -> None:
        """Whatever a server answers, the report is text that can be printed."""
        config = Config(targets=(target(),), expectations=(Expectation(max_runtime=60),))
        transport = httpx.MockTransport(answers({JOBS: [jobs], EXECUTIONS: {"content": [executions, jobs]}}))
        assert check_online(config, transport=transport) in {0, 1}
