"""Real programs as processes under test: started, watched through their output, and always ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

#: The installed command, beside the interpreter that runs the tests.
COMMAND = Path(sys.executable).parent / "dumbella-exporter"
#: Seconds that anything may take before its test fails; generous, because machines that run tests are busy and may be
#: several times slower than the one on which a test was written.
DEADLINE = 120.0

#: Lines of a program's output that a failure report holds.
LINES_SHOWN = 30
#: Characters of each; some lines hold a whole stack trace.
LINE_LENGTH_SHOWN = 400

Found = TypeVar("Found")


def poll(until: Callable[[], Found | None], *, deadline: float = DEADLINE, every: float = 0.05) -> Found:
    """Return the first true answer of ``until``, asking again until ``deadline`` seconds have passed.

    Raises:
        AssertionError: there was none in time.
    """
    end = time.monotonic() + deadline
    while not (found := until()):
        assert time.monotonic() < end, f"{until} did not hold within {deadline} s"
        time.sleep(every)
    return found


def eventually(check: Callable[[], None], *, deadline: float = DEADLINE, every: float = 0.1) -> None:
    """Repeat ``check`` until its assertions hold.

    Raises:
        AssertionError: the last one that ``check`` raised when ``deadline`` seconds had passed.
    """
    end = time.monotonic() + deadline
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(every)


class Process:
    """One running program, its output in files.

    Args:
        command: the program and its arguments.
        folder: where its output goes; it is the program's working folder, too.
        name: what reports call it.
        environment: variables that it gets besides those of the tests.

    Attributes:
        pid: its process id; it leads a process group of its own.
    """

    def __init__(
        self,
        command: Sequence[object],
        folder: Path,
        *,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.name = name or Path(self.command[0]).name
        folder.mkdir(parents=True, exist_ok=True)
        self._stdout = folder / f"{self.name}.stdout"
        self._stderr = folder / f"{self.name}.stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._child = subprocess.Popen(  # noqa: S603 - the command is the test's own
                self.command,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self.pid = self._child.pid

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._stdout.read_text(errors="replace")

    @property
    def log(self) -> str:
        """What it has written to standard error so far."""
        return self._stderr.read_text(errors="replace")

    @property
    def output(self) -> str:
        """The end of both, for a person who looks at a failure."""
        lines = (self.stdout + self.log).splitlines()[-LINES_SHOWN:]
        return "\n".join([f"$ {' '.join(self.command)}", *(line[:LINE_LENGTH_SHOWN] for line in lines)])

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def wait_for(self, pattern: str, *, deadline: float = DEADLINE) -> re.Match[str]:
        """Return the first match of a regular expression in its output.

        Raises:
            AssertionError: it ended, or time was up, before it wrote that.
        """

        def written() -> re.Match[str] | None:
            ended = not self.running
            match = re.search(pattern, _whole_lines(self.stdout) + _whole_lines(self.log), re.MULTILINE)
            if match is None and ended:
                raise EndedError(f"{self.name} ended with {self._child.returncode} before it wrote {pattern!r}")
            return match

        return poll(written, deadline=deadline)

    def listening_url(self, *, deadline: float = DEADLINE) -> str:
        """Return the first address that it logs to listen on, in either log format."""
        return self.wait_for(r'listening"?,? .*(https?://[^\s"]+)', deadline=deadline)[1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, as ``kill`` does."""
        self._child.send_signal(number)

    def wait(self, *, deadline: float = DEADLINE) -> int:
        """Return its exit code once it has ended.

        Raises:
            AssertionError: it still runs when time is up.
        """
        try:
            return self._child.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline} s") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, *, deadline: float = DEADLINE) -> int:
        """Send a signal and return the exit code; what is left of its process group is killed."""
        try:
            if self.running:
                self.send(number)
            return self.wait(deadline=deadline)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()


def _whole_lines(output: str) -> str:
    """Return ``output`` up to the end of its last line that has an end: of a later one the rest may be on its way."""
    return output[: output.rfind("\n") + 1]


class EndedError(Exception):
    """A program ended although the test still needs it; unlike an assertion, waiting longer cannot help."""


#: Programs that run now; the report of a failing test shows their output.
RUNNING: list[Process] = []


@contextlib.contextmanager
def running(
    command: Sequence[object],
    folder: Path,
    *,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Start a program and stop it on leaving."""
    process = Process(command, folder, name=name, environment=environment)
    RUNNING.append(process)
    try:
        yield process
    except Exception as error:
        error.add_note(process.output)
        raise
    finally:
        process.stop()
        RUNNING.remove(process)


def run(*arguments: object, deadline: float = DEADLINE) -> subprocess.CompletedProcess[str]:
    """Run ``dumbella-exporter`` with ``arguments`` to its end and return its exit code and output."""
    return subprocess.run(  # noqa: S603 - the command is the project's own
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=deadline,
        check=False,
    )
