"""From snapshots to the bytes that a scrape gets, rendering again only what changed.

A :class:`Block` holds the rendered lines of the families that share a kind of view, for one target. Its lines are kept
per view: a view that is equal to the one before keeps its lines. Joined per family they are a :class:`Chunk`, with its
compressed form beside it. A :class:`Page` is a list of chunks: families in catalogue order, for each its metadata and
the chunks of all targets. Nothing is rendered, joined or compressed when a scrape asks.

Text 0.0.4 and OpenMetrics 1.0 share the chunks; they differ in metadata, in exemplars and in the end marker.
"""

from __future__ import annotations

import functools
import itertools
import operator
import struct
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from exporter.catalogue import (
    APPLICATION,
    APPLICATION_LABELS,
    EXECUTION,
    JOB,
    JOB_EXPECTED,
    JOB_FACTS,
    JOB_LABELS,
    JOB_OBSERVED,
    JOB_RUNNING,
    TARGET,
    TARGET_LABELS,
    Derived,
    Metric,
    Sample,
    View,
)
from exporter.checksum import join, shift_of
from exporter.observe import Exemplar
from exporter.snapshot import ApplicationView, ExecutionView, JobView, Snapshot, TargetView

Format = Literal["text", "openmetrics"]
FORMATS: tuple[Format, ...] = ("text", "openmetrics")

CONTENT_TYPES: Mapping[Format, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

#: Exposition text repeats itself so much that the fastest level already gives most of what the slowest would.
_COMPRESSION_LEVEL = 1
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_EMPTY_DEFLATE_BLOCK = b"\x03\x00"


_BUCKET_LABEL = ("le",)

# --- lines -----------------------------------------------------------------------------------------------------------


def escape(value: str) -> str:
    """Escape a label value; what UTF-8 cannot carry (lone surrogates) becomes the replacement character."""
    if not value.isascii():
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def number(value: float) -> str:
    """Write a value so that Go and Python read the same number, whole numbers without a fraction."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))  # noqa: PLR2004 - exact in a float


def _label_text(names: Sequence[str], values: Iterable[str]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True))


@functools.lru_cache(maxsize=4096)
def _own_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return the text of labels whose values are mostly the same few."""
    return "," + _label_text(names, values)


def _render(metric: Metric, shared: str, own_names: tuple[str, ...], samples: Iterable[Sample]) -> bytes:
    """Return the lines of one view in one family; ``shared`` are the labels that all of the view's families have."""
    lines = []
    for value, own_values, suffix, _ in samples:
        own = _own_text(_BUCKET_LABEL if suffix == "_bucket" else own_names, own_values) if own_values else ""
        lines.append(f"{metric.name}{suffix}{{{shared}{own}}} {number(value)}\n")
    return "".join(lines).encode()


def _render_exemplars(metric: Metric, shared: str, samples: Iterable[Sample]) -> bytes:
    """Return the lines of a histogram with its exemplars, as only OpenMetrics has them."""
    lines = []
    for sample in samples:
        line = _render(metric, shared, (), [sample])
        if sample.exemplar is not None:
            line = line[:-1] + _exemplar(sample.exemplar) + b"\n"
        lines.append(line)
    return b"".join(lines)


#: OpenMetrics allows an exemplar's labels this many characters, names and values together.
_EXEMPLAR_LABEL_LIMIT = 128


def _exemplar(exemplar: Exemplar) -> bytes:
    labels = _label_text(("execution_id",), (exemplar.execution_id,))
    if len("execution_id") + len(exemplar.execution_id) > _EXEMPLAR_LABEL_LIMIT:
        labels = ""
    return f" # {{{labels}}} {number(exemplar.value)} {exemplar.timestamp:.3f}".encode()


def metadata(metric: Metric, format_: Format) -> bytes:
    """Return a family's HELP and TYPE lines."""
    name, kind = metric.name, metric.kind
    if format_ == "openmetrics":
        name = name.removesuffix("_total").removesuffix("_info") if kind in {"counter", "info"} else name
    elif kind == "info":
        kind = "gauge"
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    if format_ == "openmetrics":
        text = text.replace('"', '\\"')
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()


# --- chunks and blocks -----------------------------------------------------------------------------------------------


class Chunk:
    """A run of bytes of a page, with what it takes to join its compressed form with others into one gzip member.

    Compressing takes longer than rendering, so it is done once, when the first page with this chunk is built.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    @functools.cached_property
    def deflated(self) -> bytes:
        """The data, deflated; ends on a byte boundary and refers to nothing before it, so that chunks can be joined."""
        compressor = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return compressor.compress(self.data) + compressor.flush(zlib.Z_FULL_FLUSH)

    @functools.cached_property
    def checksum(self) -> int:
        """The data's CRC-32."""
        return zlib.crc32(self.data)

    @functools.cached_property
    def shift(self) -> int:
        """What the data's length multiplies the checksum of everything before it by."""
        return shift_of(len(self.data))


_EMPTY = Chunk(b"")

Key = TypeVar("Key", bound=Hashable)


class Block(Generic[Key, View]):
    """The rendered families of one kind of view, for one target.

    Args:
        metrics: the families, in order.
        names: the labels that all families begin with.
        values: from a view to the values of these labels.
        facts: from a view to what the labels and samples are made of; all of it by default.
    """

    def __init__(
        self,
        metrics: Sequence[Derived[View]],
        names: Sequence[str],
        values: Callable[[View], Sequence[str]],
        facts: Callable[[View], object] = lambda view: view,
    ) -> None:
        self._metrics: Sequence[Derived[View]] = metrics
        self._names = names
        self._values: Callable[[View], Sequence[str]] = values
        self._facts: Callable[[View], object] = facts
        self._own_names = [metric.labels[len(names) :] for metric in metrics]
        self._shown: Mapping[Key, View] = {}
        self._keys: list[Key] = []
        self._views: list[View] = []
        self._columns: list[list[bytes]] = [[] for _ in metrics]
        self.chunks: list[Chunk] = [_EMPTY] * len(metrics)
        self.openmetrics_chunks: list[Chunk] = self.chunks

    def update(self, views: Mapping[Key, View]) -> None:
        """Render what differs from the last update, and join again the families that it touches.

        Whatever a metric's function raises is raised, and leaves everything as it was.
        """
        if views is self._shown:
            return
        keys, new_views = list(views), list(views.values())
        if keys == self._keys:
            touched = self._replace_lines(new_views)
        else:
            self._arrange_lines(keys, new_views)
            touched = set(range(len(self._metrics)))
        self._keys, self._views, self._shown = keys, new_views, views
        if touched:
            self._join(touched)

    def _replace_lines(self, new_views: Sequence[View]) -> set[int]:
        """Render views whose facts changed where they stand, and return the families that this touches."""
        changed = itertools.compress(itertools.count(), map(operator.is_not, new_views, self._views))
        rendered = [
            (i, self._render(new_views[i])) for i in changed if self._facts(new_views[i]) != self._facts(self._views[i])
        ]
        touched: set[int] = set()
        for i, lines in rendered:
            for family, (column, line) in enumerate(zip(self._columns, lines, strict=True)):
                if column[i] != line:
                    column[i] = line
                    touched.add(family)
        return touched

    def _arrange_lines(self, keys: Sequence[Key], new_views: Sequence[View]) -> None:
        """Arrange the lines anew after views came, went or moved, rendering only those whose facts changed."""
        positions = {key: i for i, key in enumerate(self._keys)}
        rows = []
        for key, view in zip(keys, new_views, strict=True):
            i = positions.get(key)
            if i is not None and (self._views[i] is view or self._facts(self._views[i]) == self._facts(view)):
                rows.append(tuple(column[i] for column in self._columns))
            else:
                rows.append(self._render(view))
        self._columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in self._metrics]

    def _render(self, view: View) -> tuple[bytes, ...]:
        """Return the lines of a view, those of each family in one piece."""
        shared = self._shared(view)
        return tuple(
            _render(metric, shared, own, metric.samples(view))
            for metric, own in zip(self._metrics, self._own_names, strict=True)
        )

    def _shared(self, view: View) -> str:
        return _label_text(self._names, self._values(view))

    def _join(self, touched: Iterable[int]) -> None:
        chunks = list(self.chunks)
        for i in touched:
            chunks[i] = Chunk(b"".join(self._columns[i]))
        self.chunks = chunks
        self.openmetrics_chunks = [
            self._with_exemplars(metric) if metric.kind == "histogram" else chunk
            for metric, chunk in zip(self._metrics, chunks, strict=True)
        ]

    def _with_exemplars(self, metric: Derived[View]) -> Chunk:
        return Chunk(
            b"".join(_render_exemplars(metric, self._shared(view), metric.samples(view)) for view in self._views)
        )


def _job_labels(view: JobView) -> Sequence[str]:
    return view.target, view.job.application, view.job.id, view.job.name


class TargetBlocks:
    """The blocks of one target, in catalogue order."""

    def __init__(self) -> None:
        # What runs and what was observed changes far more often than what a job is: each is rendered on its own.
        self._jobs = [
            Block[tuple[str, str], JobView](metrics, JOB_LABELS, _job_labels, facts)
            for metrics, facts in (
                (JOB_FACTS, lambda view: (view.job, view.error_detail)),
                (JOB_RUNNING, lambda view: (_job_labels(view), view.running)),
                (JOB_OBSERVED, lambda view: (_job_labels(view), view.history)),
                (JOB_EXPECTED, lambda view: (_job_labels(view), view.expectation)),
            )
        ]
        self._executions = Block[tuple[str, str, str], ExecutionView](
            EXECUTION,
            JOB_LABELS,
            lambda view: (
                view.target,
                view.execution.application,
                view.execution.job_id,
                view.execution.job_name,
            ),
        )
        self._applications = Block[str, ApplicationView](
            APPLICATION, APPLICATION_LABELS, lambda view: (view.target, view.application)
        )
        self._target = Block[str, TargetView](TARGET, TARGET_LABELS, lambda view: (view.target,))

    def update(self, snapshot: Snapshot) -> None:
        """Render a snapshot; costs time in proportion to what changed."""
        for block in self._jobs:
            block.update(snapshot.jobs)
        self._executions.update(snapshot.executions)
        self._applications.update({view.application: view for view in snapshot.applications})
        self._target.update({snapshot.target.target: snapshot.target})

    def chunks(self, format_: Format) -> list[Chunk]:
        """Return one chunk per family of :data:`FAMILIES`."""
        blocks: list[Block[Any, Any]] = [*self._jobs, self._executions, self._applications, self._target]
        return [
            chunk
            for block in blocks
            for chunk in (block.openmetrics_chunks if format_ == "openmetrics" else block.chunks)
        ]


#: The derived families in the order in which a page shows them.
FAMILIES: tuple[Metric, ...] = (*JOB, *EXECUTION, *APPLICATION, *TARGET)

_METADATA: Mapping[Format, Sequence[Chunk]] = {
    format_: [Chunk(metadata(metric, format_)) for metric in FAMILIES] for format_ in FORMATS
}
_END: Mapping[Format, bytes] = {"text": b"", "openmetrics": b"# EOF\n"}


# --- pages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes in several parts, with the length of all of them."""

    parts: Sequence[bytes]
    length: int

    def join(self) -> bytes:
        """Return the bytes in one piece."""
        return b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class Page:
    """A complete answer in one format, ready to be sent plain or compressed."""

    plain: Body
    gzip: Body


def build_page(format_: Format, targets: Iterable[Sequence[Chunk]], trailer: bytes = b"") -> Page:
    """Put a page together.

    Args:
        format_: the form of its metadata and its end.
        targets: for each target its chunks, as :meth:`TargetBlocks.chunks` returns them.
        trailer: further exposition text, without an end marker.
    """
    chunks = []
    for header, *family in zip(_METADATA[format_], *targets, strict=True):
        present = [chunk for chunk in family if chunk.data]
        if present:
            chunks += [header, *present]
    chunks.append(Chunk(trailer + _END[format_]))
    checksum = functools.reduce(lambda crc, chunk: join(crc, chunk.checksum, chunk.shift), chunks, 0)
    length = sum(len(chunk.data) for chunk in chunks)
    ending = _EMPTY_DEFLATE_BLOCK + struct.pack("<II", checksum, length & 0xFFFFFFFF)
    compressed = [_GZIP_HEADER, *(chunk.deflated for chunk in chunks), ending]
    return Page(
        plain=Body([chunk.data for chunk in chunks], length),
        gzip=Body(compressed, sum(map(len, compressed))),
    )
