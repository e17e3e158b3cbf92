"""Holds the pages that scrapes are answered with, and makes them anew whenever a target has been read."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from exporter.exposition import FORMATS, Format, Page, TargetBlocks, build_page
from exporter.snapshot import Snapshot
from exporter.telemetry import Telemetry


class Publisher:
    """The pages of one exporter.

    Snapshots of different targets may be published from several threads at once; a page is replaced as a whole, so
    that scrapes at the same time get the same complete data.
    """

    def __init__(self, telemetry: Telemetry, targets: Iterable[str]) -> None:
        self._telemetry = telemetry
        self._blocks = {target: TargetBlocks() for target in targets}
        # What pages are made of: the chunks of each target as of its latest snapshot, never of half of one.
        self._chunks = {
            format_: {target: blocks.chunks(format_) for target, blocks in self._blocks.items()} for format_ in FORMATS
        }
        self._lock = threading.Lock()
        self._pages = {format_: self._build(format_) for format_ in FORMATS}

    def publish(self, snapshot: Snapshot) -> None:
        """Render what a read changed and replace the pages."""
        target = snapshot.target.target
        blocks = self._blocks[target]
        blocks.update(snapshot)
        with self._lock:
            for format_ in FORMATS:
                self._chunks[format_][target] = blocks.chunks(format_)
        self.refresh()

    def refresh(self) -> None:
        """Show the exporter's own metrics as they are now."""
        with self._lock:
            self._pages = {format_: self._build(format_) for format_ in FORMATS}

    def page(self, format_: Format) -> Page:
        """Return the current page, without waiting for anything."""
        return self._pages[format_]

    def _build(self, format_: Format) -> Page:
        return build_page(format_, self._chunks[format_].values(), self._telemetry.render(format_))
