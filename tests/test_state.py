"""The state file: what was observed comes back, and whatever else lies there never stops the exporter."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from exporter import state as state_module
from exporter.observe import Durations, Ended, Exemplar, History, Run, State
from exporter.state import StateFile

STATE = State(
    since=1000.0,
    seen_at=2000.0,
    histories={
        "1": History(3, (1, 1, 0, 0), 10.0, 20.0, 10.0, 20.0, 12.5, 2, "ENABLED", 1),
        "2": History(status="DISABLED"),
    },
    missing={"2": 1500.0},
    running={("1", "a"): Run(1990.0, 1995.0, baseline=False), ("1", "b"): Run(None, 1000.0, baseline=True)},
    pending={("1", "c"): Ended(1980.0, baseline=False, attempts=2)},
    durations=Durations().add(7.0, Exemplar("c", 7.0, 1980.0)),
)
STATES = {"production": {"K7SALES": STATE, "M2STOCK": State()}}


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return message and reason of every line above info."""
    return [
        (record.getMessage(), record.__dict__["fields"]["why"])
        for record in caplog.records
        if record.levelno > logging.INFO
    ]


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    """A state survives the way to disk and back unchanged."""
    StateFile(tmp_path / "state.json").save(STATES)
    assert STATES == StateFile(tmp_path / "state.json").load()


def test_a_missing_file_is_a_first_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a file counting starts from zero, and nothing is wrong."""
    assert {} == StateFile(tmp_path / "state.json").load()
    assert [] == messages(caplog)


def written() -> dict[str, Any]:
    """Return a document as it is written."""
    return {"version": 1, "written_at": 5.0, "targets": {"production": {"K7SALES": {
        "since": 1.0, "seen_at": 2.0, "histories": {"1": {"started": 1}}, "missing": {}, "running": [], "pending": []
    }}}}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is torn, or no state file"),
        (json.dumps(written()).encode()[:-20], "it is torn, or no state file"),
        (b"[1, 2]", "it has version None, expected 1"),
        (b"[" * 100_000, "it is torn, or no state file"),
        (b"\xff\xfe\x00", "it is torn, or no state file"),
        (json.dumps({**written(), "version": 0}).encode(), "it has version 0, expected 1"),
        (json.dumps({**written(), "version": 99}).encode(), "it has version 99, expected 1"),
        (b"{}", "it has version None, expected 1"),
        (json.dumps({"version": 1, "targets": {}}).encode(), "written_at: Field required"),
        (
            json.dumps(written()).replace('"started": 1', '"started": "many"').encode(),
            (
                "targets.production.K7SALES.histories.1.started: Input should be a valid integer, "
                "unable to parse string as an integer"
            ),
        ),
        *(
            (
                json.dumps(written()).replace('"started": 1', f'"started": {number}').encode(),
                "it is torn, or no state file",
            )
            for number in ("1" + 400 * "0", "-5", "1e400", "NaN", "-0.5", "9007199254740993")
        ),
        (
            json.dumps(written()).replace('"started": 1', '"outcomes": [1, 2]').encode(),
            "it counts other outcomes or other durations than this version",
        ),
    ],
)
def test_an_unusable_file_is_told_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, why: str
) -> None:
    """A torn, foreign, older or newer file leads to one clear line and a fresh start."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert {} == StateFile(path).load()
    assert [("state file not used, counting starts from zero", why)] == messages(caplog)
    assert content == (tmp_path / "state.json.unusable").read_bytes()


def test_a_folder_in_its_place_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A path that cannot be read or written is told and survived."""
    (tmp_path / "state.json").mkdir()
    (tmp_path / "state.json.unusable").mkdir()
    (tmp_path / "state.json.unusable" / "something").touch()
    file = StateFile(tmp_path / "state.json")
    assert {} == file.load()
    file.save(STATES)
    file.save({"production": {"K7SALES": State(since=1.0)}})
    assert 2 == len(messages(caplog))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A write that fails half way leaves what was there before, and no temporary file."""
    path = tmp_path / "state.json"
    StateFile(path).save(STATES)
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    StateFile(path).save({"production": {"K7SALES": State(since=1.0)}})
    assert [path] == list(tmp_path.iterdir())
    path.rmdir()
    path.write_bytes(before)
    assert STATES == StateFile(path).load()


def test_only_changes_are_written(tmp_path: Path) -> None:
    """Saving what was saved last does not touch the disk."""
    path = tmp_path / "state.json"
    file = StateFile(path)
    file.save(STATES)
    os.utime(path, (0, 0))
    file.save(STATES)
    assert 0 == path.stat().st_mtime
    file.save({"production": {"K7SALES": State(since=1.0)}})
    assert path.stat().st_mtime > 0


def test_every_new_state_is_written(tmp_path: Path) -> None:
    """A state is told from the one before by what it is, not by where in memory it happens to lie."""
    file = StateFile(tmp_path / "state.json")
    for number in range(50):
        file.save({"production": {"K7SALES": State(since=float(number))}})
        assert {"production": {"K7SALES": State(since=float(number))}} == file.load()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever grew to that size is not our state."""
    path = tmp_path / "state.json"
    with path.open("wb") as file:
        file.truncate(state_module.MAX_BYTES + 1)
    assert {} == StateFile(path).load()
    assert [f"it is larger than {state_module.MAX_BYTES} bytes"] == [why for _, why in messages(caplog)]


def test_10_000_jobs_fit(tmp_path: Path) -> None:
    """A large installation's state stays far below the limit."""
    histories = {str(10**14 + i): STATE.histories["1"] for i in range(10_000)}
    StateFile(tmp_path / "state.json").save({"production": {"K7SALES": State(since=1.0, histories=histories)}})
    assert (tmp_path / "state.json").stat().st_size < state_module.MAX_BYTES / 10
