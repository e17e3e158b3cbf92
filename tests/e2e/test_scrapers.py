"""Several Prometheus servers may scrape one exporter; each gets everything, at once, whatever Dumbella does."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests import loopback
from tests.installation import APPLICATIONS, OPENMETRICS, Exporter, Simulator, configuration, exporting
from tests.processes import poll

PER_SECOND = 20
SECONDS = 60
#: The samples that tell one read from another.
READ = re.compile(r"^dumbella_(?:snapshot_timestamp|read_duration)_seconds.*", re.MULTILINE)


@pytest.fixture
def slow(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter whose Dumbella takes most of each interval to answer."""
    file = configuration(simulator, tmp_path_factory.mktemp("exporter"), timing="{interval: 2s}")
    with exporting(file) as exporter:
        # Each page is to tell when both applications were read, even if the first attempt has failed.
        poll(lambda: len(exporter.metrics().values("dumbella_snapshot_timestamp_seconds", "application")) == 2)
        simulator.switch_faults("slow=1.2")
        yield exporter
        simulator.switch_faults()


@dataclass
class Scraper:
    """Scrapes on a fixed beat in a thread of its own, and keeps what it got."""

    url: str
    pages: list[httpx.Response] = field(default_factory=list)

    def run(self) -> None:
        """Scrape ``PER_SECOND`` times for each of ``SECONDS``; a late answer delays the next, but none is left out."""
        beat = time.monotonic()
        with loopback.client(headers={"accept": OPENMETRICS}) as client:
            for _ in range(SECONDS * PER_SECOND):
                self.pages.append(client.get(f"{self.url}/metrics"))
                beat += 1 / PER_SECOND
                time.sleep(max(0.0, beat - time.monotonic()))


def test_two_scrapers_get_complete_and_identical_answers(slow: Exporter) -> None:
    """Twenty scrapes a second from each of two scrapers are whole, and equal as far as they show the same read."""
    scrapers = [Scraper(slow.url), Scraper(slow.url)]
    threads = [threading.Thread(target=scraper.run) for scraper in scrapers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    variants: dict[str, set[str]] = defaultdict(set)
    seen_by: dict[str, set[int]] = defaultdict(set)
    for number, scraper in enumerate(scrapers):
        assert Counter(page.status_code for page in scraper.pages) == {200: SECONDS * PER_SECOND}
        for page in scraper.pages:
            assert page.text.endswith("# EOF\n")
            shown = "\n".join(line for line in page.text.splitlines() if re.match(r"dumbella_(?!exporter_)", line))
            read = "\n".join(
                re.findall(r"^dumbella_(?:snapshot_timestamp|read_duration)_seconds.*", shown, re.MULTILINE)
            )
            assert read.count("\n") == len(APPLICATIONS)
            variants[read].add(shown)
            seen_by[read].add(number)
    assert {len(found) for found in variants.values()} == {1}
    assert any(numbers == {0, 1} for numbers in seen_by.values())
    assert len(variants) >= 5
