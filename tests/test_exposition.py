"""From snapshots to bytes: both formats parse, only what changed is rendered, and gzip is one member."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition import (
    FAMILIES,
    FORMATS,
    Chunk,
    Format,
    Page,
    TargetBlocks,
    build_page,
    escape,
    metadata,
    number,
)
from exporter.model import Execution
from exporter.observe import Durations, Exemplar, History
from exporter.snapshot import Running
from tests.views import a_job, a_snapshot, a_view, an_application, page_of

PARSERS = {"text": parse_text, "openmetrics": parse_openmetrics}

# Characters that exposition formats treat specially, some that UTF-8 has trouble with, and everything else.
HOSTILE = st.text(st.one_of(st.sampled_from('\\"\n\r\t\0\x85\u2028\u202e{}=,# \ud800\udfff😀'), st.characters()))


def samples(page: Page, format_: Format) -> list[tuple[str, dict[str, str], float]]:
    """Return all samples as prometheus-client's parser reads them."""
    families = PARSERS[format_](page.plain.join().decode())  # type: ignore[no-untyped-call] # the library has no annotation there
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ('say "hi"', '\\"hi\\"'),
        ("back\\slash", "back\\\\slash"),
        ("two\nlines", "two\\nlines"),
        ("grüße 😀", "grüße 😀"),
        ("lone \ud800 surrogate", "lone � surrogate"),
        ("a pair \ud83d\ude00 of them", "a pair 😀 of them"),
    ],
)
def test_escape(value: str, expected: str) -> None:
    """Label values are escaped as both formats want them, and are always valid UTF-8."""
    assert escape(value).endswith(expected)
    escape(value).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1.0, "1"),
        (-3, "-3"),
        (1763900000.0, "1763900000"),
        (1763900000.123, "1763900000.123"),
        (0.1, "0.1"),
        (1e15, "1000000000000000.0"),
        (1e22, "1e+22"),
    ],
)
def test_number(value: float, expected: str) -> None:
    """Numbers are written so that they read back exactly, whole ones without a fraction."""
    assert expected == number(value)
    assert value == float(expected)


def test_metadata_differs_between_formats() -> None:
    """OpenMetrics names a family without the suffix of its kind and knows info metrics; text does neither."""
    by_name = {metric.name: metric for metric in FAMILIES}
    started = by_name["dumbella_job_executions_started_total"]
    info = by_name["dumbella_job_info"]
    assert b"\n# TYPE dumbella_job_executions_started_total counter\n" in metadata(started, "text")
    assert b"\n# TYPE dumbella_job_executions_started counter\n" in metadata(started, "openmetrics")
    assert b"\n# TYPE dumbella_job_info gauge\n" in metadata(info, "text")
    assert b"\n# TYPE dumbella_job info\n" in metadata(info, "openmetrics")


@pytest.mark.parametrize("format_", FORMATS)
@settings(deadline=None)
@given(text=HOSTILE)
def test_hostile_labels_come_back_as_they_were(format_: Format, text: str) -> None:
    """Whatever a name holds, the page parses and gives the name back, lone surrogates apart."""
    job = a_job("1", name=text, error=text, status="ERROR")
    page = page_of(a_snapshot([a_view(job)], [Execution("K7SALES", text, "1", text, 5.0)]), format_)
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    names = {labels["job_name"] for _, labels, _ in samples(page, format_) if "job_name" in labels}
    assert {expected} == names


@pytest.mark.parametrize("format_", FORMATS)
def test_a_name_of_100_kilobytes_is_exposed_whole(format_: Format) -> None:
    """Length alone breaks nothing."""
    page = page_of(a_snapshot([a_view(a_job(name='"\\\n' * 33_000))]), format_)
    names = {labels["job_name"] for _, labels, _ in samples(page, format_) if "job_name" in labels}
    assert {'"\\\n' * 33_000} == names


@pytest.mark.parametrize("format_", FORMATS)
def test_every_family_parses(format_: Format) -> None:
    """A page with a sample in every family is read by prometheus-client, with each family in one piece."""
    view = a_view(
        a_job(status="STARTED", current_version="1", published_version="1", last_update=5.0, started_at=6.0),
        running=Running(1, 7.0),
        history=History(last_start=1.0, last_end=2.0, last_duration=1.0, last_success=2.0),
    )
    durations = Durations().add(2.0, Exemplar("e-1", 2.0, 1763900000.0))
    page = page_of(a_snapshot([view], applications=[an_application(durations=durations)]), format_)
    families = list(PARSERS[format_](page.plain.join().decode()))  # type: ignore[no-untyped-call] # likewise
    names = [family.name for family in families]
    assert sorted(set(names)) == sorted(names)
    assert len(names) == len(FAMILIES) - 4  # no error, no execution series, and none of the two expectations


def test_families_without_samples_are_left_out() -> None:
    """A family that has no samples has no metadata either."""
    assert b"dumbella_job_max_runtime_seconds" not in page_of(a_snapshot([a_view()])).plain.join()


@pytest.mark.parametrize("format_", FORMATS)
def test_gzip_is_one_member_with_the_same_bytes(format_: Format) -> None:
    """What a client unpacks is what it would have got plain, to the last byte, from a single gzip member."""
    page = page_of(a_snapshot([a_view(a_job(str(i))) for i in range(300)]), format_)
    unpacked = zlib.decompressobj(wbits=31)
    content = unpacked.decompress(page.gzip.join())
    assert (b"", True) == (unpacked.unused_data, unpacked.eof)
    assert page.plain.join() == content == gzip.decompress(page.gzip.join())
    assert (len(page.plain.join()), len(page.gzip.join())) == (page.plain.length, page.gzip.length)


def test_openmetrics_ends_with_its_marker_once() -> None:
    """# EOF is the last line of OpenMetrics and stands nowhere in text."""
    snapshot = a_snapshot([a_view()])
    assert page_of(snapshot, "openmetrics").plain.join().endswith(b"\n# EOF\n")
    assert 1 == page_of(snapshot, "openmetrics").plain.join().count(b"# EOF")
    assert b"# EOF" not in page_of(snapshot, "text").plain.join()


class TestIncremental:
    """A change costs what changed."""

    @staticmethod
    def chunks(blocks: TargetBlocks) -> list[Chunk]:
        """Return the chunks of the text format."""
        return blocks.chunks("text")

    def changed(self, blocks: TargetBlocks, before: list[Chunk]) -> set[str]:
        """Name the families whose chunks are not the same objects as before."""
        pairs = zip(FAMILIES, before, self.chunks(blocks), strict=True)
        return {metric.name for metric, old, new in pairs if old is not new}

    def test_equal_facts_render_nothing(self) -> None:
        """A snapshot that says the same leaves every chunk as it is."""
        blocks = TargetBlocks()
        blocks.update(a_snapshot([a_view(a_job("1")), a_view(a_job("2"))]))
        before = self.chunks(blocks)
        blocks.update(a_snapshot([a_view(a_job("1")), a_view(a_job("2"))]))
        assert set() == self.changed(blocks, before)

    def test_a_changed_fact_renders_its_families_only(self) -> None:
        """A status that changes touches the family of statuses and no other."""
        blocks = TargetBlocks()
        blocks.update(a_snapshot([a_view(a_job("1")), a_view(a_job("2"))]))
        before = self.chunks(blocks)
        blocks.update(a_snapshot([a_view(a_job("1")), a_view(a_job("2", status="DISABLED"))]))
        assert {"dumbella_job_status"} == self.changed(blocks, before)

    @pytest.mark.parametrize("ids", [["1"], ["1", "2", "3"], ["2", "1"], ["3", "4"], []])
    def test_any_change_of_membership_or_order_shows(self, ids: list[str]) -> None:
        """After jobs come, go or move, the page is what it would be for a fresh start."""
        blocks = TargetBlocks()
        blocks.update(a_snapshot([a_view(a_job("1")), a_view(a_job("2"))]))
        after = a_snapshot([a_view(a_job(job_id)) for job_id in ids])
        blocks.update(after)
        page = build_page("text", [blocks.chunks("text")])
        assert page_of(after).plain.join() == page.plain.join()

    def test_a_failure_to_render_leaves_nothing_half_done(self) -> None:
        """After a view that could not be rendered, the page is what it was; the next good update is shown whole."""
        blocks = TargetBlocks()
        blocks.update(a_snapshot([a_view(a_job("1")), a_view(a_job("2"))]))
        before = build_page("text", [blocks.chunks("text")]).plain.join()
        after = a_snapshot([a_view(a_job("1", status="ERROR")), a_view(a_job("2"))])
        broken = a_snapshot([a_view(a_job("1", status="ERROR")), a_view(a_job("2", status="NO SUCH STATUS"))])
        with pytest.raises(KeyError):
            blocks.update(broken)
        assert before == build_page("text", [blocks.chunks("text")]).plain.join()
        blocks.update(after)
        assert page_of(after).plain.join() == build_page("text", [blocks.chunks("text")]).plain.join()

    def test_targets_share_families(self) -> None:
        """The samples of all targets stand together under one HELP and TYPE."""
        first, second = TargetBlocks(), TargetBlocks()
        first.update(a_snapshot([a_view(a_job("1"))]))
        second.update(a_snapshot([a_view(a_job("2"))]))
        page = build_page("text", [first.chunks("text"), second.chunks("text")])
        assert 1 == page.plain.join().count(b"# TYPE dumbella_job_status gauge\n")
        assert gzip.decompress(page.gzip.join()) == page.plain.join()
