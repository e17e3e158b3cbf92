"""What exists in the simulated installation: applications, jobs, executions. State only, nothing happens here."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

#: Ended executions that are remembered; older ones are forgotten together with their results.
HISTORY_LENGTH = 20_000

_FIRST_CREATION = dt.datetime(2023, 3, 1, tzinfo=dt.UTC)
_LAST_CREATION = dt.datetime(2024, 11, 1, tzinfo=dt.UTC)


class Outcome(Enum):
    """How an execution ended; the value is the status that its result shows."""

    DONE = "DONE"
    ERROR = "ERROR"
    KILLED = "KILLED"


@dataclass(slots=True)
class Behaviour:
    """What a job's script does when nothing else is asked of it.

    Attributes:
        duration: seconds that a run works; ``None`` works until it is killed.
        exit_code: the code that the script ends with.
        child: whether it also starts a helper process that ignores SIGTERM.
        ignore_term: whether the script itself ignores SIGTERM.
    """

    duration: float | None = 2.0
    exit_code: int = 0
    child: bool = False
    ignore_term: bool = False


@dataclass(slots=True)
class Job:
    """One job of one application; moments are seconds since the epoch, ``None`` where Dumbella shows nothing."""

    application: str
    id: int
    name: str
    type: str = "JOB"
    status: str = "ENABLED"
    mode: str = "SEQUENTIAL"
    current_version: int | None = 1
    published_version: int | None = 1
    last_update: float | None = None
    started_at: float | None = None
    error: str | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)

    @property
    def plain_name(self) -> str:
        """The name without a trailing ``.zip``."""
        return self.name.removesuffix(".zip")

    @property
    def talend_name(self) -> str:
        """The name of the Talend job: without version and ``.zip``."""
        return self.plain_name.rpartition("_")[0] or self.plain_name

    @property
    def talend_version(self) -> str:
        """The version of the Talend job, such as ``0.1``."""
        return self.plain_name.removeprefix(self.talend_name).removeprefix("_")


@dataclass(slots=True, eq=False)
class Execution:
    """One run of a job, from the moment it was asked for until after its end."""

    id: str
    job: Job
    context: str
    parameters: dict[str, str]
    output: Path
    queued_at: float
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    outcome: Outcome | None = None
    pid: int | None = None
    kill_asked: bool = False

    @property
    def status(self) -> str:
        """The status that its result shows."""
        return self.outcome.value if self.outcome else "RUNNING"

    def read_output(self, limit: int = 65_536) -> str:
        """Return the last ``limit`` bytes of what the run printed."""
        try:
            with self.output.open("rb") as file:
                file.seek(max(0, self.output.stat().st_size - limit))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""


class Application:
    """An application and its jobs, in the order in which Cockpit lists them.

    ``revision`` moves whenever a job of the application changes, so that rendered lists can be kept until then.
    """

    def __init__(self, code: str, title: str) -> None:
        self.code = code
        self.title = title
        self.jobs: dict[int, Job] = {}
        self.revision = 0

    def find(self, reference: str) -> Job | None:
        """Return the job with this id or name, with or without ``.zip``: the exact name first, then a live job."""
        if reference.isascii() and reference.isdigit():
            return self.jobs.get(int(reference))
        named = [job for job in self.jobs.values() if job.plain_name == reference.removesuffix(".zip")]
        return min(named, key=lambda job: (job.name != reference, job.status == "DELETED"), default=None)


class World:
    """All applications, and all executions that wait, run, or have ended.

    Args:
        seed: makes job and execution ids repeatable.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.applications: dict[str, Application] = {}
        self.running: dict[str, Execution] = {}
        self.ended: dict[str, Execution] = {}
        self._waiting: dict[tuple[str, int], deque[Execution]] = {}
        self._job_ids = random.Random(f"{seed} job ids")  # noqa: S311 - repeatable on purpose, guards nothing
        self._execution_ids = random.Random(f"{seed} execution ids")  # noqa: S311 - the same

    def add_application(self, code: str, title: str) -> Application:
        """Create an application without jobs."""
        return self.applications.setdefault(code, Application(code, title))

    def add_job(self, job: Job) -> Job:
        """Put ``job`` at the end of its application's list.

        Raises:
            KeyError: there is no such application.
            ValueError: the application already has a job with that id.
        """
        application = self.applications[job.application]
        if job.id in application.jobs:
            raise ValueError(f"{job.application} already has a job with id {job.id}")
        application.jobs[job.id] = job
        application.revision += 1
        return job

    def remove_job(self, job: Job) -> None:
        """Take ``job`` out of its application's list; its executions go on."""
        application = self.applications[job.application]
        del application.jobs[job.id]
        application.revision += 1

    def touch(self, job: Job) -> None:
        """Note that ``job`` has changed."""
        self.applications[job.application].revision += 1

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs of all applications."""
        for application in self.applications.values():
            yield from application.jobs.values()

    def new_job_id(self) -> int:
        """Return an id derived as Dumbella does it: 3 random digits, then the last 12 of the creation time in ms."""
        created = self._job_ids.uniform(_FIRST_CREATION.timestamp(), _LAST_CREATION.timestamp())
        prefix = self._job_ids.randrange(10, 1000)
        return prefix * 10**12 + int(created * 1000) % 10**12

    def new_execution_id(self) -> str:
        """Return a random UUID, repeatable by seed."""
        return str(uuid.UUID(int=self._execution_ids.getrandbits(128), version=4))

    def waiting(self, job: Job) -> deque[Execution]:
        """Return the runs of ``job`` that wait for the running one, oldest first."""
        return self._waiting.setdefault((job.application, job.id), deque())

    def all_waiting(self) -> Iterator[Execution]:
        """Yield every waiting run."""
        for queue in self._waiting.values():
            yield from queue

    def runs_of(self, job: Job) -> list[Execution]:
        """Return the running executions of ``job``, oldest first."""
        return [execution for execution in self.running.values() if execution.job is job]

    def execution(self, execution_id: str) -> Execution | None:
        """Return the execution with this id, whether it waits, runs or has ended."""
        found = self.running.get(execution_id) or self.ended.get(execution_id)
        return found or next((run for run in self.all_waiting() if run.id == execution_id), None)

    def remember(self, execution: Execution) -> None:
        """Move an execution from the running ones to those that have ended, and forget the oldest of these."""
        self.running.pop(execution.id, None)
        self.ended[execution.id] = execution
        while len(self.ended) > HISTORY_LENGTH:
            oldest = self.ended.pop(next(iter(self.ended)))
            oldest.output.unlink(missing_ok=True)
