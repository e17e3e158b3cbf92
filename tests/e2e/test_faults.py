"""Every fault that a client of Dumbella must survive, switched on in the simulator while exporters run."""

from __future__ import annotations

import re
import socket
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.installation import APPLICATIONS, OPENMETRICS, Exporter, Exposition, Simulator, configuration, exporting
from tests.processes import COMMAND, DEADLINE, eventually, running

#: Seconds in which a scrape is answered, whatever Dumbella does, unless the machine is busy just then.
SCRAPE_TIMEOUT = 1.0
#: Seconds in which an exporter that reads once a second has shown that Dumbella is back.
SOON = 30.0

BOTH = ("jobs", "executions")


class Refusing(NamedTuple):
    """A fault that makes lists fail, and what the exporter says about it."""

    fault: str
    reason: str
    endpoints: tuple[str, ...] = BOTH
    applications: tuple[str, ...] = APPLICATIONS


REFUSING = [
    Refusing("html_login", "not_json"),
    Refusing("redirect_login", "redirect"),
    Refusing("unauthorized", "auth"),
    Refusing("forbidden", "auth"),
    Refusing("executions_not_found", "client_error", endpoints=("executions",)),
    Refusing("server_error", "server_error"),
    Refusing("unavailable", "server_error"),
    Refusing("gateway_timeout", "server_error"),
    Refusing("legacy_701", "server_error"),
    Refusing("empty_body", "not_json"),
    Refusing("null_body", "schema"),
    Refusing("unknown_envelope", "schema"),
    Refusing("truncated_json", "not_json"),
    Refusing("huge_json=2", "too_large"),
    Refusing("application_failure=M2STOCK", "server_error", applications=("M2STOCK",)),
    Refusing("vanished_application=M2STOCK", "client_error", applications=("M2STOCK",)),
    Refusing("slow=30", "timeout"),
    Refusing("slow_body=30", "timeout"),
    Refusing("hang", "timeout"),
    Refusing("reset", "connect"),
    Refusing("reset_mid_body", "connect"),
]


@pytest.fixture(scope="module")
def patient(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter that keeps what it knows for much longer than the tests take."""
    yield from _reading(simulator, tmp_path_factory, "{interval: 1s, stale_after: 1h}")


@pytest.fixture(scope="module")
def forgetful(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter that shows nothing that is older than two seconds."""
    yield from _reading(simulator, tmp_path_factory, "{interval: 1s, stale_after: 2s}")


def _reading(simulator: Simulator, folders: pytest.TempPathFactory, timing: str) -> Iterator[Exporter]:
    file = configuration(
        simulator, folders.mktemp("exporter"), timing=timing, target="    limits: {response_bytes: 1MiB}\n"
    )
    with exporting(file) as exporter:
        yield exporter


@pytest.fixture(autouse=True)
def _healthy(simulator: Simulator, patient: Exporter, forgetful: Exporter) -> Iterator[None]:
    """Begin with a Dumbella that both exporters have read without a fault; end without a traceback in their logs."""
    simulator.switch_faults()

    def read() -> None:
        for exporter in (patient, forgetful):
            page = scrape(exporter)
            assert up(page) == 1
            assert shown_applications(page) == set(APPLICATIONS)

    eventually(read)
    yield
    simulator.switch_faults()
    for exporter in (patient, forgetful):
        assert "traceback" not in exporter.process.log.lower()


def scrape(exporter: Exporter) -> Exposition:
    """Scrape as OpenMetrics, with the patience of a second.

    Raises:
        AssertionError: there was no answer in time.
    """
    try:
        return exporter.metrics(accept=OPENMETRICS, timeout=SCRAPE_TIMEOUT)
    except httpx.TimeoutException as error:
        raise AssertionError(f"a scrape took longer than {SCRAPE_TIMEOUT} s") from error


def up(page: Exposition) -> float:
    """Return ``dumbella_up`` of the only target."""
    (value,) = page.values("dumbella_up").values()
    return value


def shown_applications(page: Exposition) -> set[str]:
    """Return the applications of which any job has series."""
    return {application for (application,) in page.values("dumbella_job_info", "application")}


def failures(page: Exposition) -> dict[tuple[str, ...], float]:
    """Return how many requests failed, by endpoint and reason; what never failed is left out."""
    counted = page.values("dumbella_exporter_api_request_failures_total", "endpoint", "reason")
    return {key: value for key, value in counted.items() if value}


@pytest.mark.parametrize("case", REFUSING, ids=lambda case: case.fault)
def test_a_failing_dumbella_is_reported_and_nothing_is_invented(
    simulator: Simulator, patient: Exporter, forgetful: Exporter, case: Refusing
) -> None:
    """Scrapes go on; up and collectors turn 0 with the reason; jobs stay until they are stale; recovery is whole."""
    before = failures(patient.metrics())
    simulator.switch_faults(case.fault)

    def reported() -> None:
        page = scrape(patient)
        assert up(page) == 0
        assert page.values("dumbella_collector_success", "application", "collector") == {
            (application, collector): float(application not in case.applications or collector not in case.endpoints)
            for application in APPLICATIONS
            for collector in BOTH
        }
        grown = {key for key, value in failures(page).items() if value > before.get(key, 0)}
        assert grown >= {(endpoint, case.reason) for endpoint in case.endpoints}
        assert shown_applications(page) == set(APPLICATIONS)

    eventually(reported)
    assert f"reason={case.reason}" in patient.process.log

    def forgotten() -> None:
        page = scrape(forgetful)
        assert up(page) == 0
        lost_jobs = set(case.applications) if "jobs" in case.endpoints else set()
        assert shown_applications(page) == set(APPLICATIONS) - lost_jobs
        counted = page.values("dumbella_job_running_executions", "application")
        assert {application for (application,) in counted} == set(APPLICATIONS) - set(case.applications)

    eventually(forgotten)
    simulator.switch_faults()

    def recovered() -> None:
        for exporter in (patient, forgetful):
            page = scrape(exporter)
            assert up(page) == 1
            assert set(page.values("dumbella_collector_success", "application", "collector").values()) == {1}
            assert shown_applications(page) == set(APPLICATIONS)

    eventually(recovered, deadline=SOON)


def test_no_scrape_waits_for_dumbella(simulator: Simulator, tmp_path: Path) -> None:
    """A scrape is answered while a read waits for a Dumbella that is silent, for an hour if need be."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(DEADLINE)
        dumbella = replace(simulator, url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        file = configuration(dumbella, tmp_path, timing="{interval: 1h, timeout: 1h}")
        command = [COMMAND, "serve", "--config.file", file, "--web.listen-address", "127.0.0.1:0"]
        with running(command, tmp_path, name="exporter") as process:
            exporter = Exporter(process, process.listening_url())
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(3) == b"GET"
                assert "dumbella_up" not in exporter.metrics().samples


def test_a_failure_is_logged_once_and_its_end_too(simulator: Simulator, patient: Exporter) -> None:
    """A failure that goes on for many reads is one line with a remedy per list, and so is its end."""
    log_before = patient.process.log
    read_before = failures(patient.metrics()).get(("jobs", "server_error"), 0)
    simulator.switch_faults("unavailable")

    def failed_for_long() -> None:
        assert failures(scrape(patient)).get(("jobs", "server_error"), 0) >= read_before + 5 * len(APPLICATIONS)

    eventually(failed_for_long)
    simulator.switch_faults()

    def told() -> dict[tuple[str, str], list[str]]:
        """Return what was told of each list, in order: why it failed, or that it succeeds again."""
        new = patient.process.log.removeprefix(log_before)
        event = re.compile(
            r'msg="(request failed|request succeeds again)" target=simulated application=(\w+) endpoint=(\w+)'
            r"(?: reason=(\w+).* remedy=)?"
        )
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for message, application, endpoint, reason in event.findall(new):
            found[application, endpoint].append(reason or message)
        return found

    def over() -> None:
        last = {which: events[-1] for which, events in told().items()}
        assert last == {
            (application, endpoint): "request succeeds again" for application in APPLICATIONS for endpoint in BOTH
        }

    eventually(over)
    for events in told().values():
        assert "server_error" in events
        # On a busy machine a read in between may be late, which is another failure, or another end.
        assert all(one != next_one for one, next_one in pairwise(events))


class Odd(NamedTuple):
    """A fault in some rows of otherwise good lists, and what shows that it was noticed."""

    fault: str
    sample: str
    labels: dict[str, str]


ODD = [
    Odd("duplicate_ids@jobs", "dumbella_jobs_dropped", {"reason": "duplicate"}),
    Odd("duplicate_ids@executions", "dumbella_executions_dropped", {"reason": "duplicate"}),
    Odd("unknown_values", "dumbella_job_status", {"status": "UNKNOWN"}),
    Odd("unknown_values", "dumbella_exporter_unknown_values_total", {"field": "status"}),
    Odd("null_fields@jobs", "dumbella_jobs_dropped", {"reason": "invalid"}),
    Odd("missing_fields@jobs", "dumbella_jobs_dropped", {"reason": "invalid"}),
    Odd("bad_dates", "dumbella_exporter_mapping_errors_total", {"field": "last_update"}),
    Odd("long_errors", "dumbella_job_error_info", {}),
]


@pytest.mark.parametrize("case", ODD, ids=lambda case: f"{case.fault}-{case.sample}")
def test_odd_rows_are_counted_and_the_rest_stays(simulator: Simulator, patient: Exporter, case: Odd) -> None:
    """What cannot be used of a list is visible in a metric, the target stays up, and other jobs keep their series."""
    simulator.switch_faults(case.fault)

    def noticed() -> None:
        page = scrape(patient)
        assert max(page.values(case.sample, *case.labels, **case.labels).values(), default=0) > 0
        assert up(page) == 1
        assert shown_applications(page) == set(APPLICATIONS)

    eventually(noticed)


@pytest.mark.parametrize("fault", ["string_ids", "duplicate_names", "no_current_version", "clock_skew=3600"])
def test_harmless_oddities_lose_no_job(simulator: Simulator, patient: Exporter, fault: str) -> None:
    """Ids as text, equal names, absent versions and a skewed clock leave every job its series."""
    listed = {str(job["id"]) for application in APPLICATIONS for job in simulator.jobs(application)}
    read_before = patient.metrics().values("dumbella_snapshot_timestamp_seconds", "application")
    simulator.switch_faults(fault)

    def shown() -> None:
        page = scrape(patient)
        read = page.values("dumbella_snapshot_timestamp_seconds", "application")
        assert all(read[key] > read_before[key] + 1 for key in read_before)
        assert {job_id for (job_id,) in page.values("dumbella_job_info", "job_id")} == listed
        assert up(page) == 1

    eventually(shown)


def test_hostile_names_stay_valid(simulator: Simulator, patient: Exporter) -> None:
    """Names with quotes, newlines, emoji, lone surrogates and 100 KB make pages that parse and lose no job."""
    simulator.switch_faults("hostile_names")

    def shown() -> None:
        page = scrape(patient)
        names = {name for (name,) in page.values("dumbella_job_info", "job_name")}
        assert any('"' in name for name in names)
        assert any("\n" in name for name in names)
        assert any(len(name) > 50_000 for name in names)
        assert page.values("dumbella_jobs", "application") == {
            (application,): float(len(page.values("dumbella_job_info", "job_id", application=application)))
            for application in APPLICATIONS
        }
        assert up(page) == 1

    eventually(shown)
