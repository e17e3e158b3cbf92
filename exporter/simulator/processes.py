"""Real processes in groups of their own, ended as groups so that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Sequence
from pathlib import Path

_POLL = 0.02
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Let orphaned processes below this one become its children, where the system can (Linux).

    Their end is then known here at once, rather than when the system's process 1 gets round to it. It holds for the
    whole process, and only groups that are waited for are cleared away: call it in a process of its own.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class ProcessGroup:
    """A process that leads its own session and group, and whatever it starts in turn."""

    def __init__(self, leader: Process) -> None:
        self._leader = leader
        self.pid = leader.pid

    @classmethod
    async def start(cls, command: Sequence[str | Path], *, cwd: Path, output: Path) -> ProcessGroup:
        """Start ``command`` in ``cwd``; what it prints is appended to ``output``.

        It finds the pid of this process in ``SIMULATOR_PID``.

        Raises:
            OSError: the command or a folder is missing, or the system has no room for another process.
        """
        with output.open("ab") as file:
            leader = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env={**os.environ, "SIMULATOR_PID": str(os.getpid())},
                stdin=DEVNULL,
                stdout=file,
                stderr=STDOUT,
                start_new_session=True,
            )
        return cls(leader)

    async def wait(self) -> int:
        """Return the leader's exit code (negative: the signal that ended it) once the whole group is gone.

        What outlives the leader is killed, as a run has ended when its script has.
        """
        code = await self._leader.wait()
        while self.alive():
            self.signal(signal.SIGKILL)
            await asyncio.sleep(_POLL)
        return code

    async def end(self, grace: float) -> None:
        """Ask the group to end with SIGTERM; after ``grace`` seconds end what is left with SIGKILL."""
        deadline = asyncio.get_running_loop().time() + grace
        self.signal(signal.SIGTERM)
        while self.alive() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(_POLL)
        while self.alive():
            self.signal(signal.SIGKILL)
            await asyncio.sleep(_POLL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the group; one that is gone already is no error."""
        # macOS answers EPERM for a group of which only zombies are left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def alive(self) -> bool:
        """Tell whether any process of the group is left."""
        if self._leader.returncode is not None:
            # Orphans of the group that were adopted (or fell to us as process 1 of a container) stay until asked for.
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-self.pid, os.WNOHANG)[0]:
                    pass
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True
