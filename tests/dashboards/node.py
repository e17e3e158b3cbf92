"""Grafana's own code, and Prometheus' grammar, in a Node process that answers questions."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "node"


class MissingError(Exception):
    """Node, or the packages that it needs, are not on this machine."""


def lacking() -> str | None:
    """Tell what is missing, if anything is."""
    if shutil.which("node") is None:
        return "node is not on PATH; scripts/setup test says how to get it"
    if not (FOLDER / "node_modules" / "@grafana" / "data").is_dir():
        return f"{FOLDER} has no node_modules; scripts/setup test installs them"
    return None


class Node:
    """A running process.

    Args:
        process: reads a line of JSON for each that it writes.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: str, **details: object) -> Any:
        """Return the answer to a question of ``serve.cjs``.

        Raises:
            AssertionError: there was an error instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": question, **details}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def problems(self, dashboard: Mapping[str, Any]) -> list[str]:
        """Return what Grafana would not understand in a dashboard."""
        found: list[str] = self.ask("problems", dashboard=dashboard)
        return found

    def promql(self, expressions: Sequence[str]) -> list[dict[str, Any]]:
        """Return what expressions consist of; ``promql.cjs`` tells the form."""
        found: list[dict[str, Any]] = self.ask("promql", expressions=expressions)
        return found


@contextlib.contextmanager
def answering() -> Iterator[Node]:
    """Run Node until the end of the block, in UTC, as Grafana shows dates in the zone of the browser."""
    command = ["node", str(FOLDER / "serve.cjs")]
    with subprocess.Popen(  # noqa: S603 - the project's own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "TZ": "UTC"},
    ) as process:
        try:
            yield Node(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
