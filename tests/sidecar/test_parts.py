"""Small parts of the sidecar: text that people read, parameters, shared reads, annotations."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.kill import Annotations, Audit, Kill, KillTarget
from exporter.sidecar import text
from exporter.sidecar.annotations import Annotator
from exporter.sidecar.audit import Source
from exporter.sidecar.kills import Kill as Killed
from exporter.sidecar.parameters import BadParameters, link_query, read_form, read_link, read_reason
from exporter.sidecar.subject import Subject, same_start
from exporter.sidecar.upstream import Fresh
from tests.sidecar.fakes import ALICE


class TestText:
    """What people read."""

    @given(st.text())
    def test_visible_text_hides_and_reorders_nothing(self, name: str) -> None:
        """Whatever a name holds, what is shown is encodable, short and printable."""
        shown = text.visible(name)
        shown.encode()
        assert len(shown) <= 201 * 10
        assert [] == [c for c in shown if not c.isprintable() and not c.isspace()]

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [(0, "0 s"), (59.9, "59 s"), (3600, "1 h"), (11_520, "3 h 12 min"), (90_061, "1 d 1 h")],
    )
    def test_durations_have_two_units(self, seconds: float, expected: str) -> None:
        """A duration is said in its two largest units."""
        assert expected == text.duration(seconds)

    def test_moments_are_in_utc(self) -> None:
        """A moment is shown in UTC, a missing one is unknown, and a far one does not break the page."""
        shown = [text.moment(moment) for moment in (1_700_000_000, None, 1e15)]
        assert ["2023-11-14 22:13:20 UTC", "unknown", "9999-12-31 23:59:59 UTC"] == shown


class TestParameters:
    """Links and forms."""

    @given(started=st.none() | st.integers(0, 10**12).map(lambda ms: ms / 1000))
    def test_link_round_trips(self, started: float | None) -> None:
        """What is written into a link is read from it, to the millisecond."""
        link = read_link(link_query("production", "K7SALES", "e-1", started, "uid"))
        assert ("production", "K7SALES", "e-1", "uid") == (
            link.target,
            link.application,
            link.execution,
            link.dashboard,
        )
        assert same_start(started, link.started)

    @given(st.binary(max_size=200))
    def test_any_form_is_read_or_refused(self, body: bytes) -> None:
        """Whatever is posted, it is our form or it is refused."""
        with pytest.raises(BadParameters):
            read_form(body)

    @pytest.mark.parametrize(
        ("given", "read"), [("  hangs\t\nsince  noon ", "hangs since noon"), ("", ""), ("Größe ✓", "Größe ✓")]
    )
    def test_reason_is_one_line(self, given: str, read: str) -> None:
        """White space is folded; anything that can be shown is kept."""
        assert read == read_reason(given)

    @pytest.mark.parametrize("reason", ["x" * 501, "a\0", "a\u202eb", "\ud800"])
    def test_reason_that_cannot_be_shown_is_refused(self, reason: str) -> None:
        """Too long, or not printable."""
        with pytest.raises(BadParameters):
            read_reason(reason)


class TestFresh:
    """Reads that are shared."""

    def test_nobody_gets_an_answer_to_an_earlier_question(self) -> None:
        """Those who ask while a read is under way share the next one, which begins after they asked."""

        async def run() -> tuple[list[int], int]:
            put = 0
            gate = asyncio.Event()

            async def ask() -> int:
                nonlocal put
                put += 1
                mine = put
                await gate.wait()
                return mine

            fresh = Fresh(ask)
            first = asyncio.create_task(fresh.get())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            later = [asyncio.create_task(fresh.get()) for _ in range(5)]
            await asyncio.sleep(0)
            gate.set()
            return [await first, *[await task for task in later], await fresh.get()], put

        assert ([1, 2, 2, 2, 2, 2, 3], 3) == asyncio.run(run())

    def test_failure_is_everybody_s_and_over(self) -> None:
        """A read that fails fails for those who share it, and the next one is put anew."""

        async def run() -> list[Any]:
            answers: list[Any] = [OSError("first"), OSError("second"), "third"]

            async def ask() -> Any:
                await asyncio.sleep(0)
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            fresh = Fresh(ask)
            together = await asyncio.gather(*(fresh.get() for _ in range(3)), return_exceptions=True)
            return [*map(str, together), await fresh.get()]

        assert ["first", "second", "second", "third"] == asyncio.run(run())


class TestAnnotations:
    """Marks in Grafana."""

    @staticmethod
    def note(folder: Path, answer: Any, **annotations: Any) -> list[httpx.Request]:
        """Note one kill with a Grafana that gives ``answer``; return what it was sent."""
        (folder / "token").write_text("a-service-account")
        sent: list[httpx.Request] = []

        def grafana(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(answer)

        settings = Kill(
            public_url="https://kill.example.com",
            grafana_url="https://grafana.example.com",
            targets={"production": KillTarget()},
            audit=Audit(file=folder / "audit"),
            annotations=Annotations(**{"enabled": True, "token_file": folder / "token", **annotations}),
        )

        async def run() -> None:
            kill = Killed(
                id="k",
                subject=Subject("production", "K7SALES", "e-1", "4711", "etl_<b>load</b>_0.1", 1.0),
                principal=ALICE,
                source=Source(),
                request_id="r",
                reason="a secret reason",
                mode="live",
                decision=None,
                requested_at=1000.0,
                ended_at=1001.5,
            )
            async with Annotator(settings, httpx.MockTransport(grafana)) as annotator:
                annotator.note(kill)

        asyncio.run(run())
        return sent

    def test_confirmed_kill_is_marked(self, tmp_path: Path) -> None:
        """The mark tells what, where and who, in plain text, with the service account's token."""
        (request,) = self.note(tmp_path, 200)
        assert ("https://grafana.example.com/api/annotations", "Bearer a-service-account") == (
            str(request.url),
            request.headers["authorization"],
        )
        assert {
            "time": 1_001_500,
            "tags": ["dumbella", "kill", "target:production", "application:K7SALES"],
            "text": "Run e-1 of etl__b_load__b__0.1 was killed by alice.",
        } == json.loads(request.content)

    @pytest.mark.parametrize("answer", [403, 500, httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
    def test_failure_changes_nothing(self, tmp_path: Path, answer: Any) -> None:
        """A Grafana that refuses or does not answer is a line in the log."""
        assert 1 == len(self.note(tmp_path, answer))

    def test_nothing_is_sent_unless_wanted(self, tmp_path: Path) -> None:
        """Annotations are off by default."""
        assert [] == self.note(tmp_path, 200, enabled=False)
