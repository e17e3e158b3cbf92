"""What Cockpit, Pages and Dumbella answer, operation by operation."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter.simulator.damage import ROW_FAULTS, damage
from exporter.simulator.dialects import DIALECTS, Dialect
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.runtime import Dumbella, NotFound, Refusal
from exporter.simulator.spring import json_answer
from exporter.simulator.wire import (
    Paging,
    Row,
    dumps,
    execution_row,
    job_row,
    write_applications,
    write_executions,
    write_job,
    write_jobs,
)
from exporter.simulator.workspace import CONTEXTS
from exporter.simulator.world import Application, Execution, Job

#: What a simulated App Composer says about itself.
VERSION = {
    "version": "2024.1.3",
    "metadataVersion": "2024.1.0",
    "releasePhase": "GA",
    "widgetApplicationApiLevel": 12,
}

_NUMBER = re.compile(r"[0-9]{1,9}").fullmatch

Handler = Callable[[Request, Mapping[str, Fault]], Awaitable[Response]]


class BadRequest(Refusal):
    """The request cannot be understood."""

    status = 400


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path: what the HTTP server routes and what the OpenAPI document describes.

    Attributes:
        path: below the base URL; parameters in braces.
        endpoint: the name by which faults are limited to it.
        schema: the OpenAPI component that a 200 carries; empty where that is no JSON.
    """

    method: str
    path: str
    endpoint: str
    tag: str
    summary: str
    handler: Handler
    schema: str = ""


class Api:
    """The operations of one simulated installation, in the dialect that is set at the moment."""

    def __init__(self, dumbella: Dumbella, faults: Faults, dialect: str) -> None:
        self._dumbella = dumbella
        self._world = dumbella.world
        self._faults = faults
        self.dialect_name = dialect
        self._lists: dict[str, tuple[object, bytes]] = {}

    @property
    def dialect(self) -> Dialect:
        """The form of every list at the moment."""
        return DIALECTS[self.dialect_name]

    def cockpit(self) -> Sequence[Operation]:
        """Return the operations that Cockpit, Pages and App Composer have."""
        jobs = "/api/rest/application/{application}/services/jobs"
        service = "/api/rest/application/{application}/services/service/{id}"
        return (
            Operation("GET", jobs, "jobs", "Job", "All jobs of one application", self._jobs, "JobList"),
            Operation(
                "GET",
                f"{jobs}/executions",
                "executions",
                "Job",
                "Running executions",
                self._executions,
                "ExecutionList",
            ),
            Operation("PUT", f"{jobs}/{{id}}", "publish", "Job", "Update the published version", self._publish, "Job"),
            Operation(
                "POST",
                "/api/rest/services/jobs/execution/{id}/kill",
                "kill",
                "Job",
                "Kill a running execution",
                self._kill,
            ),
            Operation("POST", f"{service}/start", "service", "Job", "Start a service", self._start_service),
            Operation("POST", f"{service}/stop", "service", "Job", "Stop a service", self._stop_service),
            Operation("POST", f"{jobs}/{{id}}/run", "run", "Job", "Run a job and wait for its end", self._run, "Run"),
            Operation("POST", f"{jobs}/{{id}}/run/async", "run", "Job", "Run a job", self._run_async),
            Operation(
                "GET",
                "/api/rest/application/all",
                "applications",
                "Application",
                "All applications",
                self._applications,
                "ApplicationList",
            ),
            Operation(
                "GET", "/api/rest/instance/version", "version", "Instance", "Release", self._version, "InstanceVersion"
            ),
        )

    def dumbella(self) -> Sequence[Operation]:
        """Return the operations of Dumbella's own service."""
        run = "/application/{application}/job/{id}/run"
        return (
            Operation("POST", run, "run", "Dumbella", "Run a job and wait for its end", self._run, "Run"),
            Operation("POST", f"{run}/async", "run", "Dumbella", "Run a job", self._run_async),
            Operation(
                "GET",
                "/execution/{executionId}/result",
                "results",
                "Dumbella",
                "Result of an execution",
                self._result,
                "Result",
            ),
        )

    async def _jobs(self, request: Request, faults: Mapping[str, Fault]) -> Response:
        application = self._application(request)
        paging = _paging(request)
        if ROW_FAULTS.isdisjoint(faults):
            # The list of 10,000 jobs takes a while to write and rarely changes.
            state = (application.revision, self.dialect_name, paging, request.url.path)
            kept = self._lists.get(application.code)
            if kept is None or kept[0] != state:
                body = self._job_list([job_row(job) for job in application.jobs.values()], paging, request)
                kept = self._lists[application.code] = (state, body)
            return Response(kept[1], media_type="application/json")
        rows = damage([job_row(job) for job in application.jobs.values()], faults)
        return Response(self._job_list(rows, paging, request), media_type="application/json")

    def _job_list(self, rows: Sequence[Row], paging: Paging, request: Request) -> bytes:
        return dumps(write_jobs(self.dialect, rows, paging, request.url.path))

    async def _executions(self, request: Request, faults: Mapping[str, Fault]) -> Response:
        code = self._application(request).code
        listed: list[Execution] = [*self._world.running.values()]
        if self.dialect.waiting_listed:
            listed += self._world.all_waiting()
        rows = damage([execution_row(run) for run in listed if run.job.application == code], faults)
        return json_answer(write_executions(self.dialect, rows, _paging(request), request.url.path))

    async def _kill(self, request: Request, faults: Mapping[str, Fault]) -> Response:
        execution_id = request.path_params["id"]
        if "kill_ignored" not in faults:
            self._dumbella.kill(execution_id)
        elif self._world.execution(execution_id) is None:
            raise NotFound(f"no execution with id {execution_id}")
        return Response()

    async def _publish(self, request: Request, _: Mapping[str, Fault]) -> Response:
        job = self._job(request)
        self._dumbella.publish(job)
        return json_answer(write_job(self.dialect, job_row(job)))

    async def _start_service(self, request: Request, _: Mapping[str, Fault]) -> Response:
        self._dumbella.start_service(self._job(request))
        return Response()

    async def _stop_service(self, request: Request, _: Mapping[str, Fault]) -> Response:
        await self._dumbella.stop_service(self._job(request))
        return Response()

    async def _run(self, request: Request, _: Mapping[str, Fault]) -> Response:
        execution = await self._begin(request)
        await self._dumbella.ended(execution)
        job = execution.job
        answer: dict[str, Any] = {
            "exitCode": execution.exit_code,
            "exitMessage": "success" if execution.exit_code == 0 else "error",
            "executionId": execution.id,
            "jobInfo": {
                "id": job.id,
                "application": job.application,
                "name": job.talend_name,
                "version": job.talend_version,
                "context": execution.context,
            },
        }
        if request.query_params.get("output") == "true":
            answer["output"] = execution.read_output()
        return json_answer(answer)

    async def _run_async(self, request: Request, _: Mapping[str, Fault]) -> Response:
        execution = await self._begin(request)
        url = f"/execution/{execution.id}/result"
        if self.dialect.json_run:
            return json_answer({"jobId": execution.job.id, "executionId": execution.id, "url": url})
        return PlainTextResponse(url)

    async def _result(self, request: Request, _: Mapping[str, Fault]) -> Response:
        execution_id = request.path_params["executionId"]
        execution = self._world.execution(execution_id)
        if execution is None:
            raise NotFound(f"no execution with id {execution_id}")
        return json_answer({"executionId": execution.id, "status": execution.status, "result": execution.read_output()})

    async def _applications(self, _request: Request, _: Mapping[str, Fault]) -> Response:
        gone = {fault.argument for fault in self._faults.active if fault.name == "vanished_application"}
        titles = {code: item.title for code, item in self._world.applications.items() if code not in gone}
        return json_answer(write_applications(self.dialect, titles))

    async def _version(self, _request: Request, _: Mapping[str, Fault]) -> Response:
        return json_answer(VERSION)

    async def _begin(self, request: Request) -> Execution:
        job = self._job(request)
        context, parameters = _run_body(await request.body())
        return self._dumbella.run(job, context, parameters)

    def _application(self, request: Request) -> Application:
        code = request.path_params["application"]
        application = self._world.applications.get(code)
        if application is None:
            raise NotFound(f"no application {code}")
        return application

    def _job(self, request: Request) -> Job:
        application, reference = self._application(request), request.path_params["id"]
        if not (reference.isascii() and reference.isdigit()):
            raise BadRequest(f"{reference!r} is not the id of a job")
        job = application.jobs.get(int(reference))
        if job is None:
            raise NotFound(f"no job {reference} in application {application.code}")
        return job


def _paging(request: Request) -> Paging:
    page, size = (request.query_params.get(name, "") for name in ("page", "size"))
    # Spring falls back to its defaults when a value is no number.
    return Paging(int(page) if _NUMBER(page) else 0, int(size) if _NUMBER(size) else None)


def _run_body(body: bytes) -> tuple[str, dict[str, str]]:
    """Return context and parameters of a run's body; both are optional, and so is the body."""
    try:
        value = json.loads(body) if body.strip() else {}
        context = value.get("jobContext") or CONTEXTS[0]
        parameters = {str(key): str(part) for key, part in (value.get("jobParams") or {}).items()}
        words = [context, *parameters, *parameters.values()]
        usable = all("\0" not in word and word.encode() is not None for word in words)
    except (ValueError, AttributeError) as error:
        raise BadRequest(f"the body is not a run's {{jobContext, jobParams}}: {error}") from error
    if not usable:
        raise BadRequest("a context parameter holds a NUL character")
    return context, parameters
