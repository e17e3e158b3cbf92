"""The sidecar as a process: how it starts and does not, how it ends and crashes, and how it shares its audit file."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from exporter.sidecar.chain import verify
from tests import loopback
from tests.installation import Simulator
from tests.loopback import free_port
from tests.processes import COMMAND, poll, running
from tests.processes import run as run_command
from tests.sidecar.grafana import User, grafana
from tests.sidecar.running import (
    AUTH,
    PATIENT,
    POLICY,
    RESIGNED,
    SAME_ORIGIN,
    WIDE,
    begin,
    configure,
    confirm,
    ended,
    final_state,
    form,
    link,
    sidecar,
)

TARGETS = "  targets: {simulated: {bearer_token_file: cockpit-key}}\n"
PROXY = "  auth: [{type: proxy}]\n"
BASIC = "  auth: [{type: basic}]\n"
TWO_PROVIDERS = """\
  auth: [{type: basic}, {type: proxy}]
  trusted_proxies: [10.0.0.1]
  policy: [{name: a, effect: allow, principals: ["user:a"]}]
"""
LOCAL = '  policy: [{name: all, effect: allow, principals: ["user:local"]}]\n'


class TestStart:
    """Which ways of starting are refused, and with which line."""

    @pytest.mark.parametrize(
        ("url", "kill", "arguments", "line"),
        [
            ("http://localhost:9878", "", [], "kill.targets: is missing, expected a value"),
            ("http://grafana.example.com", TARGETS, [], "kill.public_url: is plain http off this machine"),
            ("http://localhost:9878", TARGETS + PROXY, [], "kill.auth[0]: needs trusted_proxies"),
            (
                "http://localhost:9878",
                f"{TARGETS}{PROXY}  trusted_proxies: [0.0.0.0/0]\n",
                [],
                "kill.trusted_proxies[0]: '0.0.0.0/0' is everybody",
            ),
            ("http://localhost:9878", TARGETS, ["--web.listen-address", ":0"], "kill.auth: is empty although"),
            (
                "https://grafana.example.com",
                f"{TARGETS}{PROXY}  trusted_proxies: [10.0.0.1]\n",
                ["--web.listen-address", ":0"],
                "kill.behind_tls_proxy: is false and the sidecar is to listen off this machine",
            ),
            ("http://localhost:9878", TARGETS + BASIC, [], "kill.auth: has type basic, expected --web.config.file"),
            (
                "http://localhost:9878",
                TARGETS + TWO_PROVIDERS,
                [],
                "kill.policy[0].principals[0]: 'user:a' could be of basic or proxy",
            ),
            (
                "http://localhost:9878",
                f"{TARGETS}  annotations: {{enabled: true}}\n",
                [],
                "kill.annotations.token_file: is missing",
            ),
        ],
    )
    def test_unsafe_start_is_refused(
        self, tmp_path: Path, *, url: str, kill: str, arguments: list[str], line: str
    ) -> None:
        """What would leave kills or credentials open is refused with 2 and one line, before anything is served."""
        files = configure(tmp_path, url, "http://127.0.0.1:1", "key", kill, web=False)
        done = run_command("sidecar", *files, *(arguments or ["--web.listen-address", "127.0.0.1:0"]))
        errors = [text for text in done.stderr.splitlines() if not text.startswith("ts=")]
        assert (2, 1, True) == (done.returncode, len(errors), line in errors[0]), done.stderr

    @pytest.mark.parametrize(
        ("spoil", "line"),
        [
            (lambda file: file.mkdir(), "expected a file that only this sidecar writes"),
            (lambda file: file.write_text("{}\n"), "line 1: the line is no record"),
            (lambda file: file.symlink_to("elsewhere"), "expected a file that only this sidecar writes"),
        ],
    )
    def test_unusable_audit_file_is_refused(self, tmp_path: Path, spoil: Callable[[Path], None], line: str) -> None:
        """Without a file that can be trusted nothing is served."""
        files = configure(tmp_path, "http://localhost:9878", "http://127.0.0.1:1", "key", TARGETS, web=False)
        spoil(tmp_path / "audit.jsonl")
        done = run_command("sidecar", *files, "--web.listen-address", "127.0.0.1:0")
        assert (2, 1, True) == (done.returncode, len(done.stderr.splitlines()), line in done.stderr)

    def test_missing_section_is_refused(self, tmp_path: Path) -> None:
        """A file for the exporter alone does not start a sidecar."""
        file = tmp_path / "dumbella.yml"
        file.write_text('targets: [{name: a, url: "http://127.0.0.1:1", applications: [K7SALES]}]\n')
        done = run_command("sidecar", "--config.file", file)
        assert (2, f"{file}: kill: is missing or empty, expected the sidecar's section\n") == (
            done.returncode,
            done.stderr,
        )

    def test_unwise_settings_are_logged(self, tmp_path: Path) -> None:
        """What is legal but unwise in its section is in the log when it starts, as the command check says it."""
        policy = '  policy: [{name: sre, effect: deny, principals: ["team:sre"]}]\n'
        files = configure(tmp_path, "http://localhost:9878", "http://127.0.0.1:1", "k", TARGETS + policy, web=False)
        with running([COMMAND, "sidecar", *files, "--web.listen-address", "127.0.0.1:0"], tmp_path) as process:
            process.listening_url()
            logged = [json.loads(f'"{text}"') for text in re.findall(r'level=warning .* warning="(.*)"', process.log)]
        nobody = "'team:sre' matches nobody: the provider local knows no teams, expected user:"
        assert [
            f"{files[1]}: kill.policy: allows nobody to kill anything, expected a rule with effect: allow",
            f"{files[1]}: kill.policy[0].principals[0]: {nobody}",
        ] == logged

    def test_everyone_may_be_let_in_on_demand(self, tmp_path: Path, installation: Simulator) -> None:
        """Off this machine, no provider needs a flag that says so; every page says it, too."""
        kill = f"{TARGETS}{LOCAL}"
        port = free_port()
        files = configure(tmp_path, f"http://localhost:{port}", installation.url, installation.token, kill, web=False)
        command = [COMMAND, "sidecar", *files, "--web.listen-address", f":{port}", "--insecure-no-auth"]
        with running(command, tmp_path, name="sidecar"):
            page = poll(lambda: _page(f"http://localhost:{port}/"))
        assert "Nobody has to log in here" in page

    def test_second_sidecar_on_the_same_file_is_refused(self, tmp_path: Path, installation: Simulator) -> None:
        """One audit file has one sidecar; the first one goes on."""
        with sidecar(tmp_path, installation) as first:
            arguments = ["--config.file", tmp_path / "dumbella-exporter.yml", "--web.config.file", tmp_path / "web.yml"]
            done = run_command("sidecar", *arguments, "--web.listen-address", "127.0.0.1:0")
            assert (2, True) == (done.returncode, "another process holds its lock" in done.stderr)
            assert "Ready\n" == loopback.get(f"{first.url}/-/ready").text


def _page(url: str) -> str:
    try:
        return loopback.get(url).text
    except httpx.TransportError:
        return ""


class TestModes:
    """Settings that change what a kill is."""

    def test_dry_run_kills_nothing(self, tmp_path: Path, installation: Simulator) -> None:
        """In dry run everything is checked and recorded, every page says so, and the run goes on."""
        run = begin(installation)[0]
        with sidecar(tmp_path, installation, mode="dry_run") as dry, dry.client() as client:
            assert "This is a dry run: nothing will be sent." in client.get(link(run)).text
            assert "dry_run" == final_state(client, confirm(client, run))
            assert (None, 1.0) == (ended(installation, run), dry.metric("dumbella_kill_dry_run"))
            assert [("intent", ""), ("result", "dry_run")] == dry.stages()

    def test_spring_wants_its_cookie_back(self, tmp_path: Path, installation: Simulator) -> None:
        """Where Cockpit protects itself against CSRF, its cookie is fetched and sent back as a header."""
        run = begin(installation)[0]
        installation.switch_faults("csrf")
        with sidecar(tmp_path, installation, csrf="spring") as live, live.client() as client:
            assert "confirmed" == final_state(client, confirm(client, run))
        assert "killed" == ended(installation, run)

    def test_path_prefix_is_part_of_every_address(self, tmp_path: Path, installation: Simulator) -> None:
        """Below a path of Grafana's address, links, forms and redirects stay below that path."""
        run = begin(installation)[0]
        port = free_port()
        kill = f"  mode: live\n{TARGETS}{LOCAL}"
        url = f"http://127.0.0.1:{port}/grafana/kill-sidecar"
        files = configure(tmp_path, url, installation.url, installation.token, kill, web=False)
        command = [COMMAND, "sidecar", *files, "--web.listen-address", f"127.0.0.1:{port}"]
        with (
            running(command, tmp_path, name="sidecar"),
            loopback.client(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            poll(lambda: _page(f"{url}/"))
            page = client.get(f"/grafana/kill-sidecar{link(run)}")
            assert 'action="/grafana/kill-sidecar/kill"' in page.text
            answer = client.post("/grafana/kill-sidecar/kill", data={**form(page), "reason": ""}, headers=SAME_ORIGIN)
            assert answer.headers["location"].startswith("/grafana/kill-sidecar/kills/")
            assert "confirmed" == final_state(client, answer)
            assert 404 == client.get("/").status_code

    def test_container_is_called_localhost(self, tmp_path: Path, installation: Simulator) -> None:
        """In a container it listens on all addresses and is published on this machine: Grafana's people kill there,
        with a cookie that plain HTTP can carry, and other names are refused.
        """
        run = begin(installation)[0]
        port = free_port()
        url = f"http://localhost:{port}"
        with grafana(abc=User(roles=((1, "Admin"),))) as stand_in:
            auth = f"  auth: [{{type: grafana, url: '{stand_in.url}', timeout: 1m}}]\n  grafana_url: http://localhost:3000\n"
            policy = '  policy: [{name: editors, effect: allow, principals: ["role:Editor", "role:Admin"]}]\n'
            kill = f"  mode: live\n{TARGETS}{auth}{policy}"
            files = configure(tmp_path, url, installation.url, installation.token, kill, web=False)
            command = [COMMAND, "sidecar", *files, "--web.listen-address", f"0.0.0.0:{port}"]
            with running(command, tmp_path, name="sidecar") as process:
                process.listening_url()
                with loopback.client(base_url=url, cookies={"grafana_session": "abc"}) as client:
                    page = client.get(link(run))
                    headers = {"origin": url}
                    answer = client.post("/kill", data={**form(page), "reason": ""}, headers=headers)
                    assert "confirmed" == final_state(client, answer)
                    elsewhere = client.get("/", headers={"host": f"sidecar:{port}"})
                    monitored = client.get("/metrics", headers={"host": f"sidecar:{port}"})
        cookie = page.headers["set-cookie"]
        assert ("killed", True, False) == (
            ended(installation, run),
            cookie.startswith("dumbella-kill=") and cookie.endswith("; HttpOnly; Path=/; SameSite=lax"),
            "Secure" in cookie,
        )
        assert ([400, 200], False) == ([elsewhere.status_code, monitored.status_code], "unwise" in process.log)

    def test_viewers_may_look(self, tmp_path: Path, installation: Simulator) -> None:
        """With view.min_role people may see lists whom the policy allows nothing; they are offered no kill."""
        run = begin(installation)[0]
        with grafana(abc=User(login="victor", roles=((1, "Viewer"),))) as stand_in:
            auth = f"  auth: [{{type: grafana, url: '{stand_in.url}', min_role: Viewer, timeout: 1m}}]\n"
            more = f"  view: {{min_role: Viewer}}\n{WIDE}{PATIENT}"
            policy = '  policy: [{name: editors, effect: allow, principals: ["role:Editor"]}]\n'
            with (
                sidecar(tmp_path, installation, auth=auth, policy=policy, more=more) as live,
                live.browser(cookies={"grafana_session": "abc"}) as client,
            ):
                page, confirmation = client.get("/"), client.get(link(run))
        assert (200, True, False) == (page.status_code, run["execution_id"] in page.text, "/kill?" in page.text)
        assert (403, True) == (confirmation.status_code, "You may not kill this job." in confirmation.text)

    def test_jobs_that_were_never_read_are_not_killed(self, tmp_path: Path, installation: Simulator) -> None:
        """Until it is known which jobs are services nothing is killed; afterwards the list may fail."""
        runs = begin(installation, 2)
        installation.switch_faults("server_error@jobs")
        with sidecar(tmp_path, installation) as live, live.client() as client:
            answer = confirm(client, runs[0])
            assert (502, True, []) == (answer.status_code, "Nothing was sent." in answer.text, live.stages())
            installation.switch_faults()
            assert "confirmed" == final_state(client, confirm(client, runs[0]))
            installation.switch_faults("server_error@jobs")
            assert "confirmed" == final_state(client, confirm(client, runs[1]))
        assert ["killed", "killed"] == [ended(installation, run) for run in runs]

    def test_failed_logins_do_not_fill_the_disk(self, tmp_path: Path, installation: Simulator) -> None:
        """Of many failed logins sixty a minute are on record; the metric counts them all."""
        with sidecar(tmp_path, installation) as live, loopback.client(base_url=live.url) as client:
            statuses = {client.get("/", headers={"authorization": "Basic bm9ib2R5Og=="}).status_code for _ in range(70)}
            stages = [record["stage"] for record in live.records()]
            assert 70 == live.metric('dumbella_kill_auth_total{provider="basic",result="rejected"}')
        assert ({401}, 60) == (statuses, stages.count("auth_failure"))

    def test_reason_is_asked_for_again(self, tmp_path: Path, installation: Simulator) -> None:
        """Where a rule wants a reason, a form without one comes back with 422, and works when it is given."""
        run = begin(installation)[0]
        strict = POLICY + "      require_reason: true\n"
        with sidecar(tmp_path, installation, policy=strict) as live, live.client() as client:
            answer = confirm(client, run, "")
            assert (422, True) == (answer.status_code, "A reason is required." in answer.text)
            assert "confirmed" == final_state(client, confirm(client, run, "hangs"))

    def test_pages_and_kills_are_limited(self, tmp_path: Path, installation: Simulator) -> None:
        """Too many pages and too many kills are 429 with the time to wait."""
        runs = begin(installation, 2)
        narrow = "  limits: {pages_per_minute: 4, kills_per_user_10m: 1}\n" + PATIENT
        with sidecar(tmp_path, installation, more=narrow) as live, live.client() as client:
            confirm(client, runs[0])
            refused = confirm(client, runs[1])
            pages = [client.get("/") for _ in range(3)]
        assert [429, 200, 200, 429] == [answer.status_code for answer in (refused, *pages)]
        assert (True, True) == (590 < int(refused.headers["retry-after"]) <= 601, "retry-after" in pages[-1].headers)
        assert None is ended(installation, runs[1])

    def test_kill_is_cooled_down(self, tmp_path: Path, installation: Simulator) -> None:
        """A run that was just killed in vain is left alone for a while."""
        run = begin(installation)[0]
        patient = POLICY.replace("cooldown: 0s", "cooldown: 1h")
        with sidecar(tmp_path, installation, policy=patient) as live, live.client() as client:
            installation.switch_faults("forbidden@kill")
            assert "rejected" == final_state(client, confirm(client, run))
            answer = confirm(client, run)
        assert (429, True) == (answer.status_code, "killed a moment ago" in answer.text)


class TestEnd:
    """Signals, crashes and restarts."""

    def test_signal_ends_it_cleanly(self, tmp_path: Path, installation: Simulator) -> None:
        """SIGTERM ends with 0, and with a record that says so."""
        with sidecar(tmp_path, installation) as live:
            assert 0 == live.process.stop(signal.SIGTERM)
            assert ["start", "stop"] == [record["stage"] for record in live.records()]
            assert live.audit.read_text() == live.process.stdout

    def test_kill_under_way_is_ended_before_the_sidecar(self, tmp_path: Path, installation: Simulator) -> None:
        """A signal while Cockpit is thinking: the answer is awaited and recorded."""
        run = begin(installation)[0]
        with sidecar(tmp_path, installation) as live, ThreadPoolExecutor(1) as pool:
            client = live.client()
            fields = {**form(client.get(link(run))), "reason": ""}
            installation.switch_faults("slow=1@kill")
            answer = pool.submit(client.post, "/kill", data=fields, headers=SAME_ORIGIN)
            poll(lambda: ("intent", "") in live.stages())
            assert 0 == live.process.stop(signal.SIGTERM)
            assert 303 == answer.result().status_code
            client.close()
            assert [("intent", ""), ("result", "requested")] == live.stages()[:2]

    @pytest.mark.parametrize("gone", [False, True])
    def test_crash_between_intent_and_result(self, tmp_path: Path, installation: Simulator, *, gone: bool) -> None:
        """After a crash the kill is unknown, is looked after, and is never sent again."""
        run = begin(installation)[0]
        port = free_port()
        with sidecar(tmp_path, installation, port=port) as live, ThreadPoolExecutor(1) as pool:
            client = live.client()
            fields = {**form(client.get(link(run))), "reason": "hangs"}
            installation.switch_faults("hang@kill")
            answer = pool.submit(client.post, "/kill", data=fields, headers=SAME_ORIGIN)
            poll(lambda: ("intent", "") in live.stages())
            live.process.send(signal.SIGKILL)
            live.process.wait()
            assert isinstance(answer.exception(), httpx.TransportError)
            client.close()
            kill_id = live.records()[-1]["kill_id"]
        installation.switch_faults()
        if gone:
            installation.kill(run["execution_id"])
            poll(lambda: ended(installation, run))
        expected = "unknown_gone" if gone else "unknown"
        with sidecar(tmp_path, installation, port=port, more=WIDE + RESIGNED) as again, again.client() as client:
            poll(lambda: "http-equiv" not in client.get(f"/kills/{kill_id}").text)
            assert [("intent", ""), ("result", "unknown"), ("final", expected)] == again.stages()
            assert f"<code>{expected}</code>" in client.get(f"/kills/{kill_id}").text
            assert () == verify([again.audit]).problems
        assert ("killed" if gone else None) == ended(installation, run)

    def test_form_outlives_a_restart_with_a_key_in_a_file(self, tmp_path: Path, installation: Simulator) -> None:
        """With secret_file, a page that was opened before a restart can be confirmed after it."""
        run = begin(installation)[0]
        port = free_port()
        tmp_path.joinpath("page-key").write_text("0123456789abcdef0123456789abcdef\n")
        more = f"{WIDE}{PATIENT}  secret_file: page-key\n"
        with sidecar(tmp_path, installation, port=port, more=more) as live, live.client() as client:
            fields = {**form(client.get(link(run))), "reason": ""}
            cookies = dict(client.cookies)
        with sidecar(tmp_path, installation, port=port, more=more) as live, live.client() as client:
            client.cookies.update(cookies)
            answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
            assert "confirmed" == final_state(client, answer)


class TestAuditFile:
    """The audit file of a running sidecar."""

    def test_rotation_continues_the_chain(self, tmp_path: Path, installation: Simulator) -> None:
        """A file that is moved away is followed by one that continues it; the command verifies both."""
        runs = begin(installation, 2)
        with sidecar(tmp_path, installation) as live, live.client() as client:
            final_state(client, confirm(client, runs[0]))
            old = live.audit.rename(tmp_path / "audit.jsonl.1")
            final_state(client, confirm(client, runs[1]))
            done = run_command("audit", "verify", old, live.audit)
        assert (0, True) == (done.returncode, done.stdout.startswith("8 records, the chain is whole"))
        stages = [json.loads(line)["stage"] for line in live.audit.read_text().splitlines()]
        assert ["checkpoint", "intent", "result", "final", "stop"] == stages

    def test_edit_is_found_by_the_command(self, tmp_path: Path, installation: Simulator) -> None:
        """The command ends with 1 and names the line that was changed."""
        run = begin(installation)[0]
        with sidecar(tmp_path, installation) as live, live.client() as client:
            final_state(client, confirm(client, run))
        live.audit.write_text(live.audit.read_text().replace('"alice"', '"malice"'))
        done = run_command("audit", "verify", live.audit)
        expected = f"{live.audit}: line 2: the record was altered: its hash does not fit\n"
        assert (1, expected) == (done.returncode, done.stdout)

    def test_full_disk_stops_kills_and_nothing_else(self, tmp_path: Path, installation: Simulator) -> None:
        """When records find no room, kills are 503 and nothing is sent; pages still work, and it is counted."""
        run = begin(installation)[0]
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        kill = f"  mode: live\n{TARGETS}{AUTH}{POLICY}{WIDE}"
        files = configure(tmp_path, url, installation.url, installation.token, kill)
        # The limit is in blocks of 512 or 1024 bytes, depending on the shell: room for the start, not for an intent.
        script = f'ulimit -f 1; exec "$0" sidecar "$@" --web.listen-address 127.0.0.1:{port}'
        tmp_path.joinpath("audit.jsonl").touch()
        command = ["sh", "-c", script, COMMAND, *files]
        with (
            running(command, tmp_path, name="sidecar") as process,
            loopback.client(base_url=url, auth=("alice", "wonderland")) as client,
        ):
            poll(lambda: "Job Manager" in _authorized(client))
            answers = [confirm(client, run) for _ in range(3)]
            sample = "dumbella_kill_audit_write_errors_total"
            counted = [line for line in client.get("/metrics").text.splitlines() if line.startswith(sample)]
            assert 200 == client.get(link(run)).status_code
            assert (0, False) == (process.stop(), "traceback" in process.log.lower())
        assert {503} == {answer.status_code for answer in answers}
        assert all("nothing was sent" in answer.text for answer in answers)
        assert (None, True) == (ended(installation, run), float(counted[0].split()[-1]) >= 3)


def _authorized(client: httpx.Client) -> str:
    try:
        return client.get("/").text
    except httpx.TransportError:
        return ""


def test_only_the_sidecar_can_kill() -> None:
    """No module outside the sidecar imports the kill call, and the exporter does not load it."""
    package = Path(__file__).parents[2] / "exporter"
    importing = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if "cockpit.kill" in path.read_text(encoding="utf-8")
    }
    assert {"sidecar"} == importing
    script = "import sys, exporter.serve, exporter.check; print('exporter.cockpit.kill' in sys.modules)"
    python = COMMAND.parent / "python"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert "False\n" == done.stdout
