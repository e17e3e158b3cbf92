"""A program run as a child process: watched while it starts, ended with its parent, and quoted when it fails."""

from __future__ import annotations

import asyncio
import ctypes
import re
import signal
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

#: Seconds that a child has to start, and to end; a busy machine may need many.
START_PATIENCE = 120.0
END_PATIENCE = 30.0
#: Lines of a failed child's output that its failure quotes.
LINES_QUOTED = 12

Answer = TypeVar("Answer")


class ChildFailed(Exception):
    """A child did not start, or ended on its own; the message quotes its last lines."""


class Child:
    """A child process that writes its output into a file.

    Attributes:
        name: what a person calls it.
        url: where it listens, once that is known.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: Path) -> None:
        self.name = name
        self.url = ""
        self._process = process
        self._output = output

    @classmethod
    async def start(cls, name: str, command: Sequence[str], folder: Path) -> Child:
        """Start a program whose end does not depend on how this process ends."""
        output = folder / f"{name}.log"
        with output.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # Ctrl-C in a terminal reaches the whole group; the parts are to end in order instead.
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        return cls(name, process, output)

    async def wrote(self, pattern: str) -> str:
        """Wait until its output matches a regular expression, and return the first group.

        Raises:
            ChildFailed: it ended, or took too long.
        """

        async def matched() -> str | None:
            # Of a line without an end the rest may be on its way.
            whole_lines, end, _ = self._output.read_text(errors="replace").rpartition("\n")
            match = re.search(pattern, whole_lines + end)
            return match[1] if match else None

        return await self._wait_until(matched)

    async def answered(self, url: str, accept: Callable[[bytes], bool] = bool) -> None:
        """Wait until the answer at an address is acceptable.

        Raises:
            ChildFailed: it ended, or took too long.
        """

        async def accepted() -> bool:
            return accept(await asyncio.to_thread(_fetch, url))

        await self._wait_until(accepted)

    async def _wait_until(self, ask: Callable[[], Awaitable[Answer | None]]) -> Answer:
        try:
            async with asyncio.timeout(START_PATIENCE):
                while not (answer := await ask()):
                    if self._process.returncode is not None:
                        raise self._failure(f"ended with exit code {self._process.returncode}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise self._failure(f"was not ready after {START_PATIENCE:.0f} seconds") from None
        return answer

    async def ended(self) -> None:
        """Wait for its end, which nobody asked for.

        Raises:
            ChildFailed: always.
        """
        code = await self._process.wait()
        raise self._failure(f"ended with exit code {code}")

    def _failure(self, what: str) -> ChildFailed:
        lines = self._output.read_text(errors="replace").splitlines()[-LINES_QUOTED:]
        return ChildFailed("\n".join([f"the {self.name} {what}; its last lines:", *lines]))

    async def stop(self) -> None:
        """End it: politely, then at once."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(END_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program, so that it gets SIGTERM even when this process is killed."""
    if sys.platform != "linux":
        return None
    prctl, set_parent_death_signal = ctypes.CDLL(None).prctl, 1
    return lambda: prctl(set_parent_death_signal, signal.SIGTERM)


def _fetch(url: str) -> bytes:
    """Return the body of a successful answer; anything else is empty."""
    try:
        with _OPENER.open(url, timeout=1.0) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return b""


# The parts listen on this machine: a proxy from the environment would only be in the way.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
