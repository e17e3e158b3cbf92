"""Dumbella itself: runs jobs, queues sequential ones, kills, keeps services alive, all with real processes."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.logs import fields
from exporter.simulator.processes import ProcessGroup
from exporter.simulator.workspace import CONTEXTS, Workspace, command, duration_parameters
from exporter.simulator.world import Execution, Job, Outcome, World

log = logging.getLogger(__name__)

# What the script prints, and what its stack traces begin with.
_READY = "started in context"
_FAILURE = "Exception in component"


class Refusal(Exception):
    """A request that Dumbella turns down.

    ::

        Refusal
        ├── NotFound    404   there is no such thing
        └── Conflict    409   there is, but its state does not allow it
    """

    status = 400


class NotFound(Refusal):
    """There is no such application, job or execution."""

    status = 404


class Conflict(Refusal):
    """The state of the job or execution does not allow what was asked."""

    status = 409


@dataclass(slots=True, eq=False)
class _Service:
    """A service that has been started: its present process, and the task that watches over it."""

    output_name: str
    group: ProcessGroup | None = None
    stopping: bool = False
    watch: asyncio.Task[None] | None = None


class Dumbella:
    """The job runtime.

    Args:
        world: what it works on.
        workspace: the jobs' files.
        grace: seconds between SIGTERM and SIGKILL.
        takeover: seconds until another instance takes a crashed service over.
    """

    def __init__(
        self,
        world: World,
        workspace: Workspace,
        *,
        grace: float = 2.0,
        takeover: float = 1.0,
    ) -> None:
        self.world = world
        self._workspace = workspace
        self._grace = grace
        self._takeover = takeover
        self._groups: dict[str, ProcessGroup] = {}
        self._services: dict[tuple[str, int], _Service] = {}
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def close(self) -> None:
        """End every process that was started here, and start none any more."""
        self._closing = True
        while tasks := set(self._tasks):
            # A process whose start was under way is only known in a later round.
            services = [service.group for service in self._services.values() if service.group]
            await asyncio.gather(*(group.end(self._grace / 4) for group in [*self._groups.values(), *services]))
            await asyncio.wait(tasks, timeout=0.1)

    def run(self, job: Job, context: str = CONTEXTS[0], parameters: Mapping[str, str] | None = None) -> Execution:
        """Start a run of ``job``; of a sequential job it waits until earlier runs have ended.

        Raises:
            Conflict: the job is not an enabled job, or the simulator is about to end.
        """
        if job.type != "JOB" or job.status not in {"ENABLED", "ERROR"}:
            raise Conflict(f"{job.name} is {job.status} {job.type} and cannot be run: only a published JOB can")
        if self._closing:
            raise Conflict("the simulator is stopping")
        execution_id = self.world.new_execution_id()
        execution = Execution(
            execution_id, job, context, dict(parameters or {}), self._workspace.output(execution_id), _now()
        )
        waiting = self.world.waiting(job)
        if job.mode == "SEQUENTIAL" and (waiting or self.world.runs_of(job)):
            waiting.append(execution)
        else:
            self._begin(execution)
        return execution

    async def ended(self, execution: Execution) -> None:
        """Wait until ``execution`` has ended."""
        if execution.outcome is None:
            end = self._ends.setdefault(execution.id, asyncio.get_running_loop().create_future())
            await asyncio.shield(end)

    def kill(self, execution_id: str) -> Execution:
        """Begin to end an execution; it stays listed until its last process is gone.

        Raises:
            NotFound: no execution with that id is remembered.
            Conflict: it has ended already.
        """
        execution = self.world.execution(execution_id)
        if execution is None:
            raise NotFound(f"no execution with id {execution_id}")
        if execution.outcome is not None:
            raise Conflict(f"execution {execution_id} has already ended: {execution.status}")
        already_asked, execution.kill_asked = execution.kill_asked, True
        if execution.started_at is None:
            self.world.waiting(execution.job).remove(execution)
            self._settle(execution, None)
        elif execution.id in self._groups and not already_asked:
            self._spawn(self._groups[execution.id].end(self._grace))
        return execution

    async def finish(self, execution_id: str) -> Execution:
        """Let a run come to its end, however long it was to take, with the exit code that it was to have; wait for it.

        Raises:
            NotFound: no execution with that id is remembered.
            Conflict: it has ended, or waits.
        """
        execution = self.world.execution(execution_id)
        if execution is None:
            raise NotFound(f"no execution with id {execution_id}")
        if execution.started_at is None:
            raise Conflict(f"execution {execution_id} waits for another one and cannot finish")
        # Before the script has set its trap the signal would end it like a kill.
        while execution.outcome is None and not self._is_at_work(execution):  # noqa: ASYNC110 - a file raises no event
            await asyncio.sleep(0.02)
        if execution.outcome is not None:
            raise Conflict(f"execution {execution_id} has already ended: {execution.status}")
        # A signal between two pauses would not shorten the next one.
        while execution.id in self._groups:
            self._groups[execution.id].signal(signal.SIGUSR2)
            await asyncio.sleep(0.02)
        return execution

    def start_service(self, job: Job) -> None:
        """Start a service with a process of its own.

        Raises:
            Conflict: the job is not a service, not published, or started already.
        """
        self._require_service(job)
        if job.status in {"STARTED", "RESTARTED"}:
            raise Conflict(f"{job.name} is started already")
        if job.status not in {"STOPPED", "ERROR"} or self._closing:
            raise Conflict(f"{job.name} is {job.status} and cannot be started")
        job.status, job.error = "STARTED", None
        job.started_at = job.last_update = _now()
        self.world.touch(job)
        service = _Service(f"service-{job.application}-{job.id}")
        self._services[job.application, job.id] = service
        service.watch = self._spawn(self._watch(job, service))

    async def stop_service(self, job: Job) -> None:
        """Stop a service and wait until its processes are gone.

        Raises:
            Conflict: the job is not a service, or not started.
        """
        self._require_service(job)
        if job.status not in {"STARTED", "RESTARTED", "ERROR"}:
            raise Conflict(f"{job.name} is {job.status} and cannot be stopped")
        service = self._services.pop((job.application, job.id), None)
        if service is not None:
            service.stopping = True
            if service.group is not None:
                await service.group.end(self._grace)
            if service.watch is not None:
                await asyncio.wait([service.watch])
        job.status, job.error, job.started_at = "STOPPED", None, None
        job.last_update = _now()
        self.world.touch(job)

    def crash_service(self, job: Job) -> None:
        """Kill a service's processes as if its Dumbella instance had died; another instance takes it over.

        Raises:
            Conflict: the job is not a service with a process.
        """
        self._service_group(job).signal(signal.SIGKILL)

    async def fail_service(self, job: Job) -> None:
        """Make a service end with an exception.

        Raises:
            Conflict: the job is not a service with a process.
        """
        group = self._service_group(job)
        output = self._workspace.output(self._services[job.application, job.id].output_name)
        # Before the script has set its trap the signal would end it like a crash.
        while group.alive() and _READY not in output.read_text("utf-8"):  # noqa: ASYNC110 - a file raises no event
            await asyncio.sleep(0.02)
        group.signal(signal.SIGUSR1)

    def publish(self, job: Job) -> None:
        """Make the current version of ``job`` the published one.

        Raises:
            Conflict: the job's resource is gone.
        """
        if job.status == "DELETED" or job.current_version is None:
            raise Conflict(f"{job.name} is {job.status}: there is no current version to publish")
        job.published_version = job.current_version
        if job.type == "NONE":
            job.type = "JOB"
        if job.type == "JOB":
            job.status, job.error = "ENABLED", None
        elif job.status == "DISABLED":
            job.status = "STOPPED"
        job.last_update = _now()
        self.world.touch(job)

    def _require_service(self, job: Job) -> None:
        if job.type != "SERVICE":
            raise Conflict(f"{job.name} is a {job.type}, not a SERVICE")

    def _service_group(self, job: Job) -> ProcessGroup:
        self._require_service(job)
        service = self._services.get((job.application, job.id))
        if service is None or service.group is None:
            raise Conflict(f"{job.name} is {job.status} and has no process")
        return service.group

    def _is_at_work(self, execution: Execution) -> bool:
        return execution.id in self._groups and _READY in execution.read_output()

    def _begin(self, execution: Execution) -> None:
        execution.started_at = _now()
        self.world.running[execution.id] = execution
        self._spawn(self._work(execution))

    async def _work(self, execution: Execution) -> None:
        try:
            script = self._workspace.script(execution.job)
            line = command(script, execution.context, execution.parameters)
            group = await ProcessGroup.start(line, cwd=script.parent, output=execution.output)
        except OSError as error:
            log.warning("a run could not be started", extra=fields(job=execution.job.name, error=error))
            self._settle(execution, 127)
            return
        execution.pid = group.pid
        self._groups[execution.id] = group
        if execution.kill_asked:
            self._spawn(group.end(self._grace))
        code = await group.wait()
        del self._groups[execution.id]
        # A shell reports a signal's number as 128 more; a negative exit code would be Python's own way.
        self._settle(execution, code if code >= 0 else 128 - code)

    def _settle(self, execution: Execution, exit_code: int | None) -> None:
        execution.ended_at = _now()
        execution.exit_code = exit_code
        if exit_code == 0:
            execution.outcome = Outcome.DONE
        else:
            execution.outcome = Outcome.KILLED if execution.kill_asked else Outcome.ERROR
        self.world.remember(execution)
        end = self._ends.pop(execution.id, None)
        if end is not None and not end.done():
            end.set_result(None)
        waiting = self.world.waiting(execution.job)
        if waiting and not self._closing and not self.world.runs_of(execution.job):
            self._begin(waiting.popleft())

    async def _watch(self, job: Job, service: _Service) -> None:
        output = self._workspace.output(service.output_name)
        script = self._workspace.script(job)
        line = command(script, "Production", duration_parameters(None))
        while not self._is_ending(service):
            output.unlink(missing_ok=True)
            service.group = await ProcessGroup.start(line, cwd=script.parent, output=output)
            code = await service.group.wait()
            service.group = None
            if self._is_ending(service):
                return
            if code >= 0:
                job.status, job.started_at = ("ERROR", None) if code else ("STOPPED", None)
                job.error = _failure(output.read_text("utf-8")) if code else None
                self.world.touch(job)
                return
            await asyncio.sleep(self._takeover)
            job.status, job.started_at = "RESTARTED", _now()
            self.world.touch(job)

    def _is_ending(self, service: _Service) -> bool:
        return service.stopping or self._closing

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _now() -> float:
    """Return the time as a Java service counts it: seconds since the epoch, in whole milliseconds, rounded down.

    More digits would be rounded where a date is written, and what began at .9996 s would be listed a second later.
    """
    return time.time_ns() // 1_000_000 / 1000


def _failure(output: str) -> str:
    """Return the last stack trace of a service's output, or all of it where there is none."""
    return output[max(0, output.rfind(_FAILURE)) :]
