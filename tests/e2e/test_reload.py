"""Loading the configuration again while everything goes on: by signal and over HTTP."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.installation import Exporter, Simulator, configuration, exporting
from tests.processes import eventually, poll

SUCCESSFUL = "dumbella_exporter_config_last_reload_successful"
ACCEPTED_AT = "dumbella_exporter_config_last_reload_success_timestamp_seconds"
STARTED = "dumbella_job_executions_started_total"


@pytest.fixture
def file(simulator: Simulator, tmp_path: Path) -> Path:
    """A configuration with one target, read often."""
    return configuration(simulator, tmp_path / "exporter", timing="{interval: 1s}")


@pytest.fixture
def exporter(file: Path) -> Iterator[Exporter]:
    """An exporter of its own, whose configuration may be changed."""
    with exporting(file) as running:
        yield running


def reload(exporter: Exporter, **headers: str) -> httpx.Response:
    """Ask for a reload over HTTP."""
    return httpx.post(f"{exporter.url}/-/reload", headers=headers, timeout=60, trust_env=False)


def replace(file: Path, *replacements: tuple[str, str]) -> None:
    """Edit a configuration file."""
    text = file.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def targets(exporter: Exporter) -> set[str]:
    """Return the targets that any series of the exporter names."""
    return set(re.findall(r'[{,]target="([^"]*)"', exporter.metrics().text))


def test_a_target_more_and_a_target_less(exporter: Exporter, file: Path) -> None:
    """After a reload there are the series of exactly the targets that are configured, on every page."""
    assert {"simulated"} == targets(exporter)
    section = file.read_text().partition("targets:\n")[2]
    replace(file, (section, section + section.replace("simulated", "twin")))
    assert (200, "Reloaded\n") == ((answer := reload(exporter)).status_code, answer.text)
    page = exporter.metrics()
    assert {("simulated",): 1, ("twin",): 1} == page.values("dumbella_up", "target")
    assert {(): 2} == page.values("dumbella_exporter_targets")
    assert "twin" in exporter.get("/config").text
    assert "Target twin" in exporter.get("/").text
    replace(file, (section, ""), ("twin", "lone"))
    assert 200 == reload(exporter).status_code
    assert {"lone"} == targets(exporter)
    assert "twin" not in exporter.get("/config").text


def test_a_bad_file_changes_nothing(exporter: Exporter, file: Path) -> None:
    """Every problem stands in the answer and in the log, the metric says so, and reading goes on as before."""
    accepted_at = exporter.metrics().values(ACCEPTED_AT)
    before = file.read_text()
    replace(file, ("interval: 1s", "interval: soon"), ("applications", "aplications"))
    answer = reload(exporter)
    assert 500 == answer.status_code
    problems = answer.text.splitlines()
    assert "Not reloaded, the configuration before stays in force:" == problems[0]
    assert [f"{file}: global.interval", f"{file}: targets[0].applications", f"{file}: targets[0].aplications"] == [
        problem.rpartition(": ")[0] for problem in problems[1:]
    ]
    page = exporter.metrics()
    assert ({(): 0}, accepted_at) == (page.values(SUCCESSFUL), page.values(ACCEPTED_AT))
    assert 3 == exporter.process.log.count('msg="configuration not reloaded, the one before stays in force"')
    assert {("simulated",): 1} == page.values("dumbella_up", "target")
    read_at = page.values("dumbella_snapshot_timestamp_seconds")
    poll(lambda: exporter.metrics().values("dumbella_snapshot_timestamp_seconds") != read_at)
    file.write_text(before)
    assert 200 == reload(exporter).status_code
    page = exporter.metrics()
    assert {(): 1} == page.values(SUCCESSFUL)
    assert page.values(ACCEPTED_AT)[()] > accepted_at[()]


def test_sighup_reloads(exporter: Exporter, file: Path) -> None:
    """The signal does the same, with a good file and with a bad one."""
    replace(file, ("simulated", "renamed"))
    exporter.process.send(signal.SIGHUP)
    exporter.process.wait_for(r'msg="configuration reloaded" targets=1')
    assert {"renamed"} == targets(exporter)
    replace(file, ("renamed", "re named"))
    exporter.process.send(signal.SIGHUP)
    exporter.process.wait_for(r'msg="configuration not reloaded.*targets\[0\]\.name')
    assert {"renamed"} == targets(exporter)
    assert 0 == exporter.process.stop()
    assert "Traceback" not in exporter.process.log


def test_no_scrape_misses_anything(exporter: Exporter, file: Path, simulator: Simulator) -> None:
    """While reloads go on every scrape has every job, and no counter goes back."""
    added = simulator.control("POST", "jobs", json={"application": "K7SALES", "name": "reloaded_0.1"})
    poll(lambda: exporter.metrics().values(STARTED, job_id=str(added["id"])))
    simulator.control(
        "POST", "run", json={"application": "K7SALES", "job": str(added["id"]), "duration": 600, "exit_code": 0}
    )
    eventually(lambda: _equal({(): 1}, exporter.metrics().values(STARTED, job_id=str(added["id"]))))
    jobs = {str(job["id"]) for job in simulator.jobs("K7SALES")}
    done, seen = threading.Event(), []

    def scrape() -> None:
        while not done.is_set():
            seen.append(exporter.metrics())

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        for number in range(5):
            replace(file, (f"interval: {number + 1}s", f"interval: {number + 2}s"))
            assert 200 == reload(exporter).status_code
    finally:
        done.set()
        scraper.join()
    assert str(added["id"]) in jobs
    for page in seen:
        assert {("simulated",): 1} == page.values("dumbella_up", "target")
        assert {(): 1} == page.values(STARTED, job_id=str(added["id"]))
        assert jobs <= {job_id for (job_id,) in page.values("dumbella_job_info", "job_id", application="K7SALES")}


def _equal(expected: object, actual: object) -> None:
    assert expected == actual


def test_state_goes_to_the_file_that_is_configured_now(exporter: Exporter, file: Path, tmp_path: Path) -> None:
    """A state file that a reload brings is written from then on."""
    state = tmp_path / "state.json"
    file.write_text(f"{file.read_text()}state_file: {state}\n")
    assert 200 == reload(exporter).status_code
    assert 0 == exporter.process.stop()
    assert "simulated" in state.read_text()


def test_other_sites_pages_cannot_ask_for_it(exporter: Exporter) -> None:
    """A browser tells where a request comes from: only the exporter's own pages and people may reload."""
    assert 403 == reload(exporter, **{"Sec-Fetch-Site": "cross-site"}).status_code
    assert 403 == reload(exporter, **{"Sec-Fetch-Site": "same-site"}).status_code
    assert 200 == reload(exporter, **{"Sec-Fetch-Site": "none"}).status_code
    assert 405 == exporter.get("/-/reload").status_code
