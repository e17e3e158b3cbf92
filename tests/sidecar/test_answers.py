"""Answers to kills that the simulator never gives, to the running sidecar, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.cockpit import RUN, Cockpit, cockpit
from tests.sidecar.running import RESIGNED, SAME_ORIGIN, WIDE, Sidecar, final_state, form, link, sidecar


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Cockpit]:
    """A made-up Cockpit."""
    with cockpit() as running:
        yield running


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, stand_in: Cockpit) -> Iterator[Sidecar]:
    """A sidecar in front of it that soon gives up to wait for the end of a killed run."""
    with sidecar(tmp_path_factory.mktemp("sidecar"), stand_in, more=WIDE + RESIGNED) as running:
        yield running


@pytest.mark.parametrize(
    ("status", "ends", "state", "words"),
    [
        (404, False, "rejected", "Cockpit answered 404"),
        (404, True, "already_finished", "the run had ended before it was killed"),
        (409, True, "already_finished", "Cockpit answered 409"),
        (409, False, "rejected", "Cockpit answered 409"),
        (410, True, "already_finished", "Cockpit answered 410"),
        (400, False, "rejected", "Cockpit answered 400"),
        (503, True, "unknown_gone", "for whatever reason"),
        (503, False, "unknown", "Cockpit answered 503"),
        (202, True, "confirmed", "Cockpit accepted the kill, and the run is gone"),
    ],
)
def test_answer_has_its_word(
    stand_in: Cockpit, live: Sidecar, *, status: int, ends: bool, state: str, words: str
) -> None:
    """What Cockpit answers, and whether the run is gone then, have one word together, on the page, in the audit and in
    the metrics; one kill is sent.
    """
    stand_in.status, stand_in.ends, stand_in.listed, stand_in.kills = status, ends, True, 0
    sample = f'dumbella_kill_requests_total{{outcome="{state}",target="simulated"}}'
    before, counted = len(live.records()), live.metric(sample)
    with live.client() as client:
        fields = {**form(client.get(link(RUN))), "reason": ""}
        answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
        assert state == final_state(client, answer)
        assert words in client.get(answer.headers["location"]).text
    assert (1, state, counted + 1) == (stand_in.kills, live.stages()[-1][1], live.metric(sample))
    assert status == live.records()[before + 1]["upstream"]["status"]


def test_nobody_listens_any_more(tmp_path: Path) -> None:
    """A Cockpit that goes away between the list and the kill was sent nothing, and the page says so."""
    with cockpit() as stand_in, sidecar(tmp_path, stand_in) as live, live.client() as client:
        fields = {**form(client.get(link(RUN))), "reason": ""}
        stand_in.leaves = True
        answer = client.post("/kill", data=fields, headers=SAME_ORIGIN)
        assert "rejected" == final_state(client, answer)
        page = client.get(answer.headers["location"]).text
    assert ("Rejected: the run was not killed." in page, "nothing was sent" in page, 0) == (True, True, stand_in.kills)
