"""The audit file: its form, its chain, and what happens when it cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sidecar import chain
from exporter.sidecar.audit import AuditFailed, AuditLog, AuditUnusable, Entry, Source, Upstream, moment, seconds_of
from exporter.sidecar.chain import verify
from exporter.sidecar.identity import Principal
from exporter.sidecar.policy import Decision
from exporter.sidecar.subject import Subject

NOW = 1_700_000_000.5
ALICE = Principal("grafana", "7", "alice", role="Editor", teams=("sre",))
RUN = Subject("production", "K7SALES", "e-1", "4711", "etl_load_0.1", 1_699_999_000.0)
INTENT = Entry(
    "intent",
    kill_id="k-1",
    request_id="r-1",
    actor=ALICE,
    source=Source("192.0.2.1", "198.51.100.7", "curl/8"),
    target=RUN,
    reason="hangs since noon",
    mode="live",
    decision=Decision("allow", "sre"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the audit file is to be."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
def audit(path: Path) -> Iterator[AuditLog]:
    """An open audit file."""
    log = AuditLog(path, clock=lambda: NOW)
    log.open()
    yield log
    log.close()


def records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file."""
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def reopened(path: Path) -> AuditLog:
    """Return another sidecar's view of the file."""
    return AuditLog(path, clock=lambda: NOW)


class TestRecord:
    """One line."""

    def test_record_has_every_key(self, path: Path, audit: AuditLog) -> None:
        """A record says who, where from, what, why, and how it was decided."""
        audit.write_now(INTENT)
        record = records(path)[0]
        assert chain.digest(record) == record.pop("hash")
        assert {
            "v": 1,
            "ts": "2023-11-14T22:13:20.500Z",
            "seq": 1,
            "stage": "intent",
            "kill_id": "k-1",
            "request_id": "r-1",
            "actor": {"id": "7", "login": "alice", "provider": "grafana", "role": "Editor", "teams": ["sre"]},
            "source": {"peer_ip": "192.0.2.1", "forwarded_for": "198.51.100.7", "user_agent": "curl/8"},
            "target": {
                "name": "production",
                "application": "K7SALES",
                "execution_id": "e-1",
                "job_id": "4711",
                "job_name": "etl_load_0.1",
                "started_at": "2023-11-14T21:56:40.000Z",
            },
            "reason": "hangs since noon",
            "mode": "live",
            "decision": {"effect": "allow", "rule": "sre"},
            "upstream": None,
            "outcome": "",
            "prev_hash": "0" * 64,
        } == record

    def test_line_is_ascii_with_sorted_keys(self, path: Path, audit: AuditLog) -> None:
        """A line holds nothing that a terminal or a parser could take for something else."""
        hostile = '</script>"\n\u202e\ud800\x1b[31m'
        audit.write_now(Entry("denied", reason=hostile))
        text = path.read_text(encoding="ascii")
        assert (1, True, hostile) == (text.count("\n"), text[:-1].isprintable(), records(path)[0]["reason"])
        assert sorted(records(path)[0]) == list(records(path)[0])

    def test_huge_name_is_cut(self, path: Path, audit: AuditLog) -> None:
        """A name of 100 KB leaves a line that people can read."""
        audit.write_now(Entry("denied", target=Subject("t", "a", "e", "j", "x" * 100_000, None)))
        target = records(path)[0]["target"]
        assert ("x" * 512 + "…", None) == (target["job_name"], target["started_at"])

    def test_upstream_answer_is_recorded(self, path: Path, audit: AuditLog) -> None:
        """What Cockpit answered stands in the result."""
        audit.write_now(Entry("result", upstream=Upstream(403, 12.5, "answered 403"), outcome="rejected"))
        assert {"status": 403, "duration_ms": 12.5, "error": "answered 403"} == records(path)[0]["upstream"]

    def test_file_is_for_its_owner_only(self, path: Path, audit: AuditLog) -> None:
        """Nobody else can read who killed what."""
        audit.write_now(INTENT)
        assert 0o600 == path.stat().st_mode & 0o777

    def test_copy_gets_every_line(self, path: Path) -> None:
        """The copy on standard output is the line itself."""
        lines: list[str] = []
        log = AuditLog(path, clock=lambda: NOW, copy=lines.append)
        log.open()
        log.write_now(INTENT)
        log.close()
        assert path.read_text().splitlines() == lines

    def test_broken_copy_stops_nothing(self, path: Path) -> None:
        """A closed standard output does not keep records from the disk."""

        def closed(_: str) -> None:
            raise BrokenPipeError

        log = AuditLog(path, clock=lambda: NOW, copy=closed)
        log.open()
        log.write_now(INTENT)
        log.close()
        assert 1 == len(records(path))

    @given(seconds=st.integers(946_684_800_000, 4_102_444_800_000).map(lambda ms: ms / 1000))
    def test_moments_round_trip(self, seconds: float) -> None:
        """What is written for a moment reads as the same millisecond."""
        assert abs(seconds - seconds_of(moment(seconds))) < 0.001

    def test_moment_without_offset_is_none(self) -> None:
        """A moment without an offset could be anywhere."""
        with pytest.raises(ValueError, match="no offset"):
            seconds_of("2026-01-01T00:00:00")


class TestChain:
    """What ``audit verify`` finds."""

    @staticmethod
    def written(path: Path, number: int = 5) -> list[bytes]:
        """Write some records and return their lines."""
        log = AuditLog(path, clock=lambda: NOW)
        log.open()
        for n in range(number):
            log.write_now(Entry("denied", reason=f"number {n}"))
        log.close()
        return path.read_bytes().splitlines(keepends=True)

    def test_untouched_file_verifies(self, path: Path) -> None:
        """A file that nobody touched has no problem."""
        self.written(path)
        assert (5, ()) == (verify([path]).records, verify([path]).problems)

    @pytest.mark.parametrize("number", range(5))
    def test_edit_is_found(self, path: Path, number: int) -> None:
        """A changed record is found in its line."""
        lines = self.written(path)
        lines[number] = lines[number].replace(b"number", b"nomber")
        path.write_bytes(b"".join(lines))
        expected = f"{path}: line {number + 1}: the record was altered: its hash does not fit"
        assert (expected,) == verify([path]).problems

    def test_edit_with_a_new_hash_is_found(self, path: Path) -> None:
        """Whoever recomputes one hash only moves the break to the next line."""
        lines = self.written(path)
        record = {**json.loads(lines[2]), "reason": "nothing happened"}
        record["hash"] = chain.digest(record)
        lines[2] = chain.line(record).encode() + b"\n"
        path.write_bytes(b"".join(lines))
        assert (f"{path}: line 4: record 4 does not follow record 3: a record was removed or added",) == verify(
            [path]
        ).problems

    @pytest.mark.parametrize(
        ("order", "sentence"),
        [
            ((1, 2, 3, 4), "line 1: the file does not begin with a first record or a checkpoint"),
            ((0, 1, 3, 4), "line 3: record 4 does not follow record 2"),
            ((0, 2, 1, 3), "line 2: record 3 does not follow record 1"),
            ((0, 1, 1, 2), "line 3: record 2 does not follow record 2"),
        ],
    )
    def test_removal_exchange_and_repetition_are_found(self, path: Path, order: tuple[int, ...], sentence: str) -> None:
        """A record that is missing, moved or there twice is found."""
        lines = self.written(path)
        path.write_bytes(b"".join(lines[n] for n in order))
        assert verify([path]).problems[0].startswith(f"{path}: {sentence}")

    def test_cut_tail_is_not_found(self, path: Path) -> None:
        """Records cut off the end leave a whole chain: that is what the copy on standard output is for."""
        lines = self.written(path)
        path.write_bytes(b"".join(lines[:3]))
        assert (3, ()) == (verify([path]).records, verify([path]).problems)

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", "holds no record"),
            (b"x\n", "line 1: the line is no record"),
            (b"\xff\n", "line 1: the line is no record"),
            (b"[]\n", "line 1: the line is no record: its keys are others"),
            (b'{"v":1}\n', "line 1: the line is no record: its keys are others"),
            (b"[" * 100_000 + b"\n", "line 1: the line is no record"),
        ],
    )
    def test_other_files_are_no_audit_files(self, path: Path, content: bytes, sentence: str) -> None:
        """What is no audit file is said to be none."""
        path.write_bytes(content)
        assert (f"{path}: {sentence}",) == verify([path]).problems

    def test_absent_file_is_named(self, path: Path) -> None:
        """A file that is not there is a problem."""
        assert (f"{path}: cannot be read: No such file or directory",) == verify([path]).problems

    def test_record_of_a_later_version_is_not_judged(self, path: Path) -> None:
        """A record of another version is refused by name."""
        lines = self.written(path, 1)
        record = {**json.loads(lines[0]), "v": 2}
        path.write_text(chain.line({**record, "hash": chain.digest(record)}) + "\n")
        assert verify([path]).problems[0].endswith("the record has version 2, which this release does not know")

    @given(st.binary(max_size=300))
    def test_any_bytes_are_judged(self, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
        """Whatever a file holds, there is a verdict."""
        path = tmp_path_factory.getbasetemp() / "any.jsonl"
        path.write_bytes(content)
        assert verify([path]).problems


class TestRotation:
    """A file that is moved away while the sidecar runs."""

    def test_new_file_begins_with_a_checkpoint(self, path: Path, audit: AuditLog) -> None:
        """The chain goes on in a new file at the same path."""
        audit.write_now(INTENT)
        old = path.rename(path.with_suffix(".1"))
        audit.write_now(Entry("result", kill_id="k-1", outcome="requested"))
        assert ["checkpoint", "result"] == [record["stage"] for record in records(path)]
        assert (3, ()) == (verify([old, path]).records, verify([old, path]).problems)

    def test_rotated_file_stands_alone(self, path: Path, audit: AuditLog) -> None:
        """A rotated file verifies without the one before, since it begins with a checkpoint."""
        audit.write_now(INTENT)
        path.unlink()
        audit.write_now(INTENT)
        assert (2, ()) == (verify([path]).records, verify([path]).problems)

    def test_files_in_the_wrong_order_do_not_follow(self, path: Path, audit: AuditLog) -> None:
        """The newer file first is a break."""
        audit.write_now(INTENT)
        old = path.rename(path.with_suffix(".1"))
        audit.write_now(INTENT)
        assert (f"{old}: line 1: record 1 does not follow record 3: a record was removed or added",) == verify(
            [path, old]
        ).problems

    def test_another_file_in_its_place_is_not_written_to(self, path: Path, audit: AuditLog) -> None:
        """Somebody else's records at the same path are left alone, and nothing is recorded until they are gone."""
        path.unlink()
        path.write_text("not ours\n")
        with pytest.raises(AuditFailed, match="replaced by one that is not empty"):
            audit.write_now(INTENT)
        path.unlink()
        audit.write_now(INTENT)
        assert ["checkpoint", "intent"] == [record["stage"] for record in records(path)]

    def test_restart_continues_a_rotated_file(self, path: Path, audit: AuditLog) -> None:
        """A sidecar that finds a file with a checkpoint continues it."""
        audit.write_now(INTENT)
        path.rename(path.with_suffix(".1"))
        audit.write_now(INTENT)
        audit.close()
        again = reopened(path)
        again.open()
        again.write_now(Entry("stop"))
        again.close()
        assert (3, ()) == (verify([path]).records, verify([path]).problems)


class TestStart:
    """What the sidecar finds when it starts."""

    def test_second_sidecar_is_refused(self, path: Path, audit: AuditLog) -> None:
        """The file has one writer at a time."""
        audit.write_now(INTENT)
        with pytest.raises(AuditUnusable, match="another process holds its lock"):
            reopened(path).open()

    def test_lock_ends_with_the_sidecar(self, path: Path, audit: AuditLog) -> None:
        """After the end of one sidecar another may begin."""
        audit.close()
        again = reopened(path)
        assert () == again.open()
        again.close()

    def test_broken_chain_is_refused(self, path: Path) -> None:
        """A file that was edited is not continued, and is left as it is."""
        TestChain.written(path)
        content = path.read_bytes().replace(b"number 2", b"number x")
        path.write_bytes(content)
        with pytest.raises(AuditUnusable, match="line 3: the record was altered") as caught:
            reopened(path).open()
        assert (1, content) == (len(str(caught.value).splitlines()), path.read_bytes())

    def test_torn_last_line_is_removed(self, path: Path) -> None:
        """What a crash left of a record is removed: its write never succeeded."""
        lines = TestChain.written(path)
        path.write_bytes(b"".join(lines) + lines[-1][:50])
        again = reopened(path)
        again.open()
        again.write_now(Entry("start"))
        again.close()
        assert (6, ()) == (verify([path]).records, verify([path]).problems)

    @pytest.mark.parametrize("place", ["absent/audit.jsonl", "folder"])
    def test_place_that_cannot_be_written_is_refused(self, tmp_path: Path, place: str) -> None:
        """A folder, and a file in a folder that is not there, are refused in one line."""
        (tmp_path / "folder").mkdir()
        with pytest.raises(AuditUnusable, match="expected a file that only this sidecar writes") as caught:
            reopened(tmp_path / place).open()
        assert 1 == len(str(caught.value).splitlines())

    def test_link_and_pipe_are_refused(self, tmp_path: Path) -> None:
        """A symbolic link could lead anywhere, and a pipe keeps nothing."""
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        os.mkfifo(tmp_path / "pipe")
        for name in ("link", "pipe"):
            with pytest.raises(AuditUnusable):
                reopened(tmp_path / name).open()
        assert not (tmp_path / "elsewhere").exists()

    def test_unfinished_kills_are_told(self, path: Path, audit: AuditLog) -> None:
        """An intent without a result, and a result that waited for the end, are found again; what ended is not."""
        stages: list[tuple[str, str, str]] = [
            ("k-1", "intent", ""),
            ("k-2", "intent", ""),
            ("k-2", "result", "requested"),
            ("k-3", "intent", ""),
            ("k-3", "result", "rejected"),
            ("k-4", "intent", ""),
            ("k-4", "result", "unknown"),
            ("k-4", "final", "unknown_gone"),
        ]
        for kill_id, stage, outcome in stages:
            audit.write_now(Entry(stage, kill_id=kill_id, target=RUN, outcome=outcome))  # type: ignore[arg-type] # literals in a list
        audit.close()
        again = reopened(path)
        found = again.open()
        again.close()
        assert [("k-1", ""), ("k-2", "requested")] == [(kill.kill_id, kill.outcome) for kill in found]
        assert "e-1" == found[0].intent["target"]["execution_id"]


class TestFullDisk:
    """A disk that takes no more."""

    SCRIPT = """
import resource, sys
from pathlib import Path
from exporter.sidecar.audit import AuditFailed, AuditLog, Entry
failures = []
log = AuditLog(Path(sys.argv[1]), clock=lambda: 1700000000.0, failed=lambda: failures.append(1))
log.open()
log.write_now(Entry("start"))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size + int(sys.argv[2]), hard))
try:
    log.write_now(Entry("intent", kill_id="k-1"))
except AuditFailed as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.write_now(Entry("denied", reason="after"))
print(len(failures), log.usable)
"""

    @pytest.mark.parametrize("room", [0, 10, 300])
    def test_record_that_does_not_fit_leaves_no_trace(self, path: Path, room: int) -> None:
        """Whether all or a part of it finds no place, a record fails as a whole, and later ones succeed."""
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", self.SCRIPT, path, str(room)], capture_output=True, text=True, check=True
        )
        assert (2, "1 True") == (len(done.stdout.splitlines()), done.stdout.splitlines()[1])
        assert (["start", "denied"], ()) == ([record["stage"] for record in records(path)], verify([path]).problems)
