"""Real Prometheus servers, with their tools and Alertmanagers, of both generations that users run."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import loopback
from tests.parts import missing
from tests.processes import running

GENERATIONS = ("2.x", "3.x")
#: Programs that Debian's packages install under another name.
_NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}
#: The first minor version of Alertmanager that goes with Prometheus 3: it reads matchers in another way.
_NEW_ALERTMANAGER = 27
_CACHE = Path(__file__).parent.parent / ".cache"


class MissingError(Exception):
    """A program that the tests need is not on this machine."""


def find(program: str, generation: str) -> Path:
    """Return the path of a program of one generation: fetched for the project, or on PATH.

    Args:
        program: ``prometheus``, ``promtool``, ``alertmanager`` or ``amtool``.
        generation: one of ``GENERATIONS``.

    Raises:
        MissingError: neither place has it.
    """
    folders = (f"{_CACHE}/prometheus-{generation.removesuffix('.x')}/usr/bin", os.environ.get("PATH", ""))
    for folder, name in itertools.product(folders, _NAMES.get(program, (program,))):
        path = shutil.which(name, path=folder)
        if path is not None and _generation(version(Path(path))) == generation:
            return Path(path)
    raise MissingError(f"{program} {generation} is neither on PATH nor fetched; scripts/setup test says why")


def real_part(program: str, generation: str) -> Path:
    """Return the path of a program; where it is missing, skip the test, or under ``CI=true`` fail it."""
    try:
        return find(program, generation)
    except MissingError as error:
        missing(str(error))


def _generation(of_version: str) -> str:
    major, minor = of_version.split(".")[:2]
    if major == "0":
        return "2.x" if int(minor) < _NEW_ALERTMANAGER else "3.x"
    return f"{major}.x"


def version(program: Path) -> str:
    """Return the version that a program of Prometheus or Alertmanager reports."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - found above
    # promtool 2 prints its version to standard error.
    return (answer.stdout + answer.stderr).split("version ", 1)[1].split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant query's answer."""

    labels: Mapping[str, str]
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server.

    Attributes:
        url: its address, without a slash at the end.
    """

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """Return the ``data`` of an answer of its HTTP API."""
        answer = loopback.get(f"{self.url}/api/v1/{path}", params=parameters)
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[Sample]:
        """Return the instant vector of a PromQL expression."""
        return [
            Sample(element["metric"], float(element["value"][1]), float(element["value"][0]))
            for element in self.get("query", query=expression)["result"]
        ]

    def names(self) -> set[str]:
        """Return the names of all series that it holds."""
        return set(self.get("label/__name__/values"))


@contextlib.contextmanager
def scraping(
    binary: Path, folder: Path, targets: Mapping[str, str], options: str = "", more: str = ""
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes every second.

    Args:
        binary: the program.
        folder: for its configuration, data and output.
        targets: the address to scrape (``http://HOST:PORT`` or https) of each scrape job.
        options: further keys of every scrape job, each indented by four spaces and on a line of its own.
        more: further sections.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.yml"
    scrapes = "".join(
        f"  - job_name: {job}\n    scheme: {scheme}\n    static_configs: [{{targets: ['{address}']}}]\n{options}"
        for job, (scheme, _, address) in ((job, url.partition("://")) for job, url in targets.items())
    )
    configuration.write_text(f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{scrapes}{more}")
    with configured(binary, configuration) as prometheus:
        yield prometheus


@contextlib.contextmanager
def configured(binary: Path, configuration: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with a configuration file, its data and output beside that."""
    folder = configuration.parent
    command = [
        binary,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command, folder, name="prometheus") as process:
        address = process.wait_for(r'msg="Listening on".* address=(\S+)')[1]
        process.wait_for(re.escape("Server is ready to receive web requests"))
        yield Prometheus(f"http://{address}")
