"""The stack of docker-compose.yml at work, with a real engine.

Services, configuration, rules, dependencies and limits are those that are shipped. What differs stands in stack.yml:
the images are made on this machine, and a stand-in takes Grafana's place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests import loopback
from tests.alerts.rules import rules
from tests.containers.engine import Engine
from tests.containers.images import Images
from tests.containers.stack import OWN, Stack, described, running
from tests.installation import Exposition
from tests.processes import eventually, poll
from tests.sidecar.running import JOB, PARALLEL_JOB, SAME_ORIGIN, final_state, form, link

#: A job that nothing but this module lets fail.
FAILING = "sync_customers_2.1"
AUDIT = "/var/lib/dumbella-exporter/audit.jsonl"
EDITOR = ("editor", "demo-editor")


@pytest.fixture(scope="module")
def stack(engine: Engine, images: Images) -> Iterator[Stack]:
    """The stack, up and healthy."""
    with running(described(engine, images)) as stack:
        yield stack


def test_prometheus_scrapes_everything(stack: Stack) -> None:
    """Exporter, sidecar and Dumbella's own metrics are up, under the names that rules and dashboards know."""

    def scraped() -> None:
        targets = stack.prometheus.get("targets")["activeTargets"]
        assert {
            ("dumbella-exporter", "exporter:9877", "up"),
            ("dumbella-sidecar", "sidecar:9878", "up"),
            ("dumbella", "simulator:9876", "up"),
        } == {(target["labels"]["job"], target["labels"]["instance"], target["health"]) for target in targets}

    eventually(scraped)
    assert [1.0] == [sample.value for sample in stack.prometheus.query('dumbella_up{target="demo"}')]
    (kill,) = stack.prometheus.query("dumbella_kill_info")
    assert "http://localhost:9878" == kill.labels["public_url"]


def test_rules_and_alertmanager(stack: Stack) -> None:
    """Every shipped rule is loaded and can be evaluated, and Prometheus has found the Alertmanager."""

    def evaluated() -> None:
        loaded = [rule for group in stack.prometheus.get("rules")["groups"] for rule in group["rules"]]
        shipped = {rule.get("alert", rule.get("record")) for rule in rules()}
        assert shipped == {rule["name"] for rule in loaded}
        assert {"ok"} == {rule["health"] for rule in loaded}

    eventually(evaluated)
    (found,) = stack.prometheus.get("alertmanagers")["activeAlertmanagers"]
    assert "http://alertmanager:9093/api/v2/alerts" == found["url"]


def test_an_alert_reaches_alertmanager(stack: Stack) -> None:
    """A run that fails becomes an alert with the shipped rules and routes, as fast as these are."""
    series = f'dumbella_job_executions_finished_total{{outcome="error",job_name="{FAILING}"}}'
    # Counting starts with what Prometheus has seen.
    poll(lambda: stack.prometheus.query(f"{series} == 0"))
    # Longer than the exporter's interval, so that no read can miss it.
    run = {"application": "K7SALES", "job": FAILING, "duration": 8, "exit_code": 1}
    stack.control("POST", "run", json=run)

    def told() -> Sequence[Mapping[str, Any]]:
        wanted = {"filter": ['alertname="DumbellaExecutionFailed"', f'job_name="{FAILING}"']}
        answer = loopback.get(f"{stack.url('alertmanager')}/api/v2/alerts", params=wanted)
        found: Sequence[Mapping[str, Any]] = answer.json()
        return found

    (alert,) = poll(told)
    assert [{"name": "operations"}] == alert["receivers"]
    assert ("demo", "K7SALES") == (alert["labels"]["target"], alert["labels"]["application"])


def test_grafana_is_provisioned(stack: Stack) -> None:
    """Its provisioning finds the dashboards and Prometheus, the first of them is where it says that the home is."""
    with loopback.client(base_url=stack.url("grafana"), auth=("admin", "demo-admin")) as admin:
        (source,) = admin.get("/api/datasources").json()
        assert "http://prometheus:9090" == source["url"]
        found = {dashboard["uid"] for dashboard in admin.get("/api/search").json()}
    assert {"dumbella-jobs", "dumbella-job-manager", "dumbella-job", "dumbella-health"} == found
    home = stack.execute("grafana", "sh", "-c", 'cat "$GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"')
    assert "dumbella-jobs" == json.loads(home)["uid"]
    ready = "import urllib.request as r; print(r.urlopen('http://prometheus:9090/-/ready').status)"
    assert "200\n" == stack.execute("grafana", "python", "-c", ready)


def test_the_editor_is_found_by_a_second_run(stack: Stack) -> None:
    """The one-shot service has made an account that can sign in, and finds it when it runs again."""
    assert "made the user editor" in stack.compose.done("logs", "--no-log-prefix", "editor")
    assert "found the user editor\n" == stack.compose.done("run", "--rm", "--no-deps", "editor")
    with stack.signed_in(*EDITOR) as browser:
        orgs = browser.get(f"{stack.url('grafana')}/api/user/orgs").json()
    assert [(1, "Editor")] == [(org["orgId"], org["role"]) for org in orgs]


def test_strangers_see_nothing(stack: Stack) -> None:
    """Without a session in Grafana the sidecar shows no job, and lets nobody kill."""
    page = loopback.get(f"{stack.url('sidecar')}/")
    assert (401, False) == (page.status_code, "K7SALES" in page.text)


def test_a_kill_ends_a_process(stack: Stack) -> None:
    """Somebody who is signed in to Grafana kills a run: its process is gone, and the record of it is whole."""
    job_id = stack.control("POST", "jobs", json=PARALLEL_JOB)["id"]
    stack.control("POST", "run", json={"application": "K7SALES", "job": JOB, "duration": None})
    script = f"/K7SALES/{job_id}/"
    poll(lambda: script in stack.processes("simulator"))
    (run,) = (run for run in stack.control("GET", "state")["running"] if run["job_name"] == JOB)
    with stack.signed_in(*EDITOR) as browser:
        assert run["execution_id"] in browser.get("/").text
        fields = form(browser.get(link(run, target="demo")))
        answer = browser.post("/kill", data={**fields, "reason": "a test"}, headers=SAME_ORIGIN)
        assert "confirmed" == final_state(browser, answer)
    assert script not in stack.processes("simulator")
    (ended,) = (one for one in stack.control("GET", "history") if one["execution_id"] == run["execution_id"])
    assert "killed" == ended["outcome"]
    assert re.fullmatch(
        r"\d+ records, the chain is whole; its last hash is [0-9a-f]{64}\n",
        stack.execute("sidecar", "dumbella-exporter", "audit", "verify", AUDIT),
    )
    records = [record for record in audited(stack) if record["kill_id"]]
    assert [("intent", ""), ("result", "requested"), ("final", "confirmed")] == [
        (record["stage"], record["outcome"]) for record in records
    ]
    assert {("editor", "grafana", "Editor", run["execution_id"])} == {
        (*(record["actor"][key] for key in ("login", "provider", "role")), record["target"]["execution_id"])
        for record in records
    }
    # The copy for whoever collects the logs.
    logged = stack.compose.done("logs", "--no-log-prefix", "sidecar").splitlines()
    copies = [json.loads(line) for line in logged if line.startswith("{")]
    assert records == [record for record in copies if record["kill_id"]]


def audited(stack: Stack) -> list[dict[str, Any]]:
    """Return the records of the audit file."""
    return [json.loads(line) for line in stack.execute("sidecar", "cat", AUDIT).splitlines()]


@pytest.mark.parametrize(
    ("service", "user"), [*((service, "65532") for service in OWN), ("prometheus", "65534"), ("alertmanager", "65534")]
)
def test_the_rights_of_a_process(stack: Stack, service: str, user: str) -> None:
    """No part is root, has a capability or can get one, and each finds its file system read-only."""
    status = dict(line.split(":\t", 1) for line in stack.execute(service, "cat", "/proc/1/status").splitlines())
    assert ([user] * 4, [user] * 4) == (status["Uid"].split(), status["Gid"].split())
    capabilities = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert dict.fromkeys(capabilities, 0) == capabilities
    assert "1" == status["NoNewPrivs"]
    (root,) = (line.split() for line in stack.execute(service, "cat", "/proc/1/mounts").splitlines() if " / " in line)
    assert "ro" in root[3].split(",")


def test_limits(engine: Engine, stack: Stack) -> None:
    """The engine holds every service to its share of memory, processor and processes."""
    containers = stack.compose.done("ps", "--quiet").split()
    found = [json.loads(engine.docker("inspect", one).stdout)[0]["HostConfig"] for one in containers]
    assert 6 == len(found)
    assert [] == [
        limits for limits in found if not limits["Memory"] or not limits["NanoCpus"] or not limits["PidsLimit"]
    ]


@dataclass(frozen=True, slots=True)
class Facts:
    """What has to be the same before and after.

    Attributes:
        audited: the records of the audit file.
        since: the moments from which the exporter counts, by application.
        finished: the runs that it has counted.
        seen: the last moment for which Prometheus has a sample of the exporter.
    """

    audited: list[dict[str, Any]]
    since: Mapping[tuple[str, ...], float]
    finished: float
    seen: float

    @classmethod
    def of(cls, stack: Stack) -> Facts:
        """Return the facts of a stack that is up."""
        answer = loopback.get(f"{stack.url('exporter')}/metrics")
        metrics = Exposition(answer.text, answer.headers["content-type"])
        since = metrics.values("dumbella_observing_since_timestamp_seconds", "application")
        finished = metrics.values("dumbella_job_executions_finished_total", "job_id", "outcome")
        (seen,) = stack.prometheus.query('timestamp(up{job="dumbella-exporter"})')
        return cls(audited(stack), since, sum(finished.values()), seen.value)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A stack that was stopped, taken down, and brought up again.

    Attributes:
        exit_codes: of every service, when it was stopped.
        before: what was there then.
        after: what is there now.
        samples: what Prometheus now says of the last moment before.
    """

    exit_codes: Mapping[str, int]
    before: Facts
    after: Facts
    samples: Sequence[str]


@pytest.fixture(scope="module")
def renewal(stack: Stack) -> Renewal:
    """The stack after all its containers are others; only its volumes are the same."""
    poll(lambda: stack.prometheus.query('up{job="dumbella-exporter"}'))
    poll(lambda: Facts.of(stack).finished)
    before = Facts.of(stack)
    stack.compose.done("stop")
    exit_codes = stack.exit_codes()
    stack.compose.done("down")
    stack.up()
    poll(lambda: stack.prometheus.query('up{job="dumbella-exporter"}'))
    old = stack.prometheus.get("query", query='up{job="dumbella-exporter"}', time=str(before.seen))
    samples = [sample["value"][1] for sample in old["result"]]
    return Renewal(exit_codes, before, Facts.of(stack), samples)


def test_every_service_ends_in_time(renewal: Renewal) -> None:
    """`docker compose stop` ends each of ours, and those beside them, without force and without an error."""
    ended = {name: code for name, code in renewal.exit_codes.items() if name != "grafana"}
    assert dict.fromkeys([*OWN, "editor", "prometheus", "alertmanager"], 0) == ended


def test_the_audit_file_outlives_its_container(stack: Stack, renewal: Renewal) -> None:
    """The records are all there, the chain goes on, and the sidecar's end and new beginning are part of it."""
    before = renewal.before.audited
    assert before == renewal.after.audited[: len(before)]
    assert ["stop", "start"] == [record["stage"] for record in renewal.after.audited[len(before) :]]
    assert "the chain is whole" in stack.execute("sidecar", "dumbella-exporter", "audit", "verify", AUDIT)


def test_counts_outlive_their_container(renewal: Renewal) -> None:
    """The exporter counts from the same moments on, and from where it was."""
    assert {("K7SALES",), ("M2STOCK",)} == renewal.before.since.keys()
    assert renewal.before.since == renewal.after.since
    assert 0 < renewal.before.finished <= renewal.after.finished


def test_samples_outlive_their_container(renewal: Renewal) -> None:
    """Prometheus still knows what it was told by the containers before."""
    assert ["1"] == renewal.samples
