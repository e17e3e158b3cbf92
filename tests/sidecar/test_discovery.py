"""Targets whose applications are discovered: the same pages and kills, and applications that come and go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.installation import Simulator
from tests.processes import poll
from tests.sidecar.running import Sidecar, begin, confirm, ended, final_state, link, sidecar

#: App Composer answers below the root, and tells its applications.
DISCOVERED = 'url: "{}", profile: appcomposer, applications: discover'
SAMPLE = 'dumbella_kill_upstream_duration_seconds_count{operation="applications",target="simulated"}'


@pytest.fixture
def run(installation: Simulator) -> dict[str, Any]:
    """One run that lasts."""
    return begin(installation)[0]


@pytest.fixture
def discovering(tmp_path: Path, installation: Simulator) -> Iterator[Sidecar]:
    """A sidecar that has asked for no application yet."""
    with sidecar(tmp_path, installation, target=DISCOVERED) as running:
        yield running


def sections(page: httpx.Response) -> list[str]:
    """Return the headings of the Job Manager."""
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page.text)


def test_run_of_a_discovered_application_is_killed(
    discovering: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """The Job Manager shows every application that the policy lets one see, and a run in one of them is killed."""
    with discovering.client() as client:
        page = client.get("/")
        assert ["simulated: K7SALES", "simulated: M2STOCK"] == sections(page)
        assert run["execution_id"] in page.text
        assert "confirmed" == final_state(client, confirm(client, run))
        assert ("killed", 1) == (ended(installation, run), discovering.metric(SAMPLE))


def test_program_kills_in_a_discovered_application(
    discovering: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """The API finds a run in the discovered applications, though another of them cannot be read."""
    installation.switch_faults("application_failure=M2STOCK")
    started = datetime.fromtimestamp(run["started_at"], UTC).isoformat()
    with discovering.api() as client:
        place = f"/targets/simulated/executions/{run['execution_id']}"
        assert "K7SALES" == client.get(place).json()["application"]
        answer = client.post(f"{place}/kill", json={"expected_started_at": started, "reason": "hangs"})
    assert 202 == answer.status_code, answer.text
    assert "killed" == poll(lambda: ended(installation, run))


def test_application_that_vanished_is_no_riddle(
    discovering: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """An application that is gone is said to be unreadable while it is remembered, takes no other along, and a kill of
    a run in it is not sent.
    """
    with discovering.client() as client:
        client.get("/")
        installation.switch_faults("vanished_application=K7SALES")
        page = client.get("/")
        assert ["simulated: K7SALES", "simulated: M2STOCK"] == sections(page)
        assert 1 == page.text.count("The running executions cannot be read: answered 404")
        before = discovering.stages()
        assert (502, True) == (_status(client, run), "answered 404" in client.get(link(run)).text)
        assert (before, None) == (discovering.stages(), ended(installation, run))


def test_application_that_was_never_there_is_not_found(
    discovering: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """An application that Cockpit does not list is not found, and found as soon as it is listed."""
    with discovering.client() as client:
        installation.switch_faults("vanished_application=K7SALES")
        assert ["simulated: M2STOCK"] == sections(client.get("/"))
        assert (404, 404) == (_status(client, run), _status(client, run, application="NOWHERE"))
        installation.switch_faults()
        assert 200 == _status(client, run)
        assert ["simulated: K7SALES", "simulated: M2STOCK"] == sections(client.get("/"))


def test_list_of_applications_that_cannot_be_read(
    discovering: Sidecar, installation: Simulator, run: dict[str, Any]
) -> None:
    """Until the applications were read once, the page says that they cannot be; afterwards the known ones do."""
    with discovering.client() as client, discovering.api() as program:
        installation.switch_faults("server_error@applications")
        page = client.get("/")
        assert (200, ["simulated"]) == (page.status_code, sections(page))
        assert "The applications cannot be read: answered 500" in page.text
        assert [502, 502] == [_status(client, run), program.get("/targets/simulated/executions").status_code]
        installation.switch_faults()
        assert 200 == _status(client, run)
        installation.switch_faults("server_error@applications")
        # An application that is not known is asked for at once, in vain; the known ones stay.
        assert (404, 200) == (_status(client, run, application="NOWHERE"), _status(client, run))
        assert "confirmed" == final_state(client, confirm(client, run))
    assert "killed" == ended(installation, run)


def _status(client: httpx.Client, run: dict[str, Any], **changes: str) -> int:
    return client.get(link(run, **changes)).status_code
