"""The exposition as others read it: promtool's linter and both parsers of prometheus-client."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from exporter import catalogue
from tests.installation import OPENMETRICS, TEXT, Exporter, Exposition, Labels
from tests.processes import eventually


def test_promtool_has_no_finding(exporter: Exporter, promtool_binary: Path) -> None:
    """``curl -s …/metrics | promtool check metrics`` accepts the metrics and has nothing to say about them."""
    text = exporter.get("/metrics").text
    answer = subprocess.run(  # noqa: S603 - found by the fixture
        [promtool_binary, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def described(page: Exposition) -> dict[str, set[Labels]]:
    """Return the series that describe targets and jobs, without those that come and go with each execution."""
    return {
        name: set(samples)
        for name, samples in page.samples.items()
        if name.startswith("dumbella_") and not name.startswith(("dumbella_exporter_", "dumbella_execution_start"))
    }


def test_both_formats_hold_the_same_series(exporter: Exporter) -> None:
    """Text 0.0.4 and OpenMetrics 1.0 both parse, and of one read differ in no series that describes it."""

    def agree() -> None:
        # A page of another read may lie between the two; what is compared must be of the same one.
        before, text, openmetrics, after = (
            exporter.metrics(accept=accept) for accept in (OPENMETRICS, TEXT, OPENMETRICS, TEXT)
        )
        assert text.content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert openmetrics.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert openmetrics.text.endswith("# EOF\n")
        name = "dumbella_read_duration_seconds"
        assert before.samples[name] == after.samples[name]
        assert described(text) == described(openmetrics)
        assert len(described(text)) > 30

    eventually(agree)


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
def test_nothing_is_served_that_the_catalogue_lacks(exporter: Exporter, accept: str) -> None:
    """Every sample on ``/metrics`` belongs to a family of the catalogue and has exactly its labels."""
    families = {metric.name: metric for metric in catalogue.metrics()}
    for name, samples in exporter.metrics(accept=accept).samples.items():
        if name.startswith(catalogue.RUNTIME_PREFIXES):
            continue
        family = families.get(name) or families[re.sub("_(bucket|sum|count)$", "", name)]
        for labels in samples:
            assert {label for label, _ in labels} - {"le"} == set(family.labels), name
