"""Documents that repeat what the code says: they say the same."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml

from exporter import catalogue
from exporter.cli import cli

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_metric_reference_is_the_catalogue() -> None:
    """docs/metrics.md is what `dumbella-exporter metrics` prints; `make docs` writes it anew."""
    assert catalogue.markdown() == (ROOT / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_metrics_in_prose_exist(document: Path) -> None:
    """No document names a metric that the catalogue lacks."""
    known = {metric.name for metric in catalogue.metrics()}
    named = set(re.findall(r"\bdumbella_[a-z_]*[a-z]\b", document.read_text()))
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert set() == plain - known - {"dumbella_exporter"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of a document names a file that exists."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [] == [link for link in links if not (document.parent / link).exists()]


def test_the_readme_names_every_command() -> None:
    """The README's table of commands has all of them, and none besides."""
    assert isinstance(cli, click.Group)
    named = set(re.findall(r"^\| `dumbella-exporter (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert set(cli.commands) == named


def test_yaml_in_the_readme_is_yaml() -> None:
    """Every YAML example of the README can be read."""
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert 2 == len([yaml.safe_load(example) for example in examples])
