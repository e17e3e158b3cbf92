"""The control endpoint: what only a simulator has. It changes the world at once and tells the truth about it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.simulator.api import BadRequest
from exporter.simulator.dialects import DIALECTS
from exporter.simulator.faults import FAULTS, Fault, UnknownFault
from exporter.simulator.runtime import NotFound
from exporter.simulator.simulation import Simulator
from exporter.simulator.spring import json_answer
from exporter.simulator.workspace import context_parameters
from exporter.simulator.world import Behaviour, Execution, Job

_NUMBER = (int, float)
_TEXT_OR_NULL = (str, type(None))
_INTEGER_OR_NULL = (int, type(None))
_NUMBER_OR_NULL = (int, float, type(None))

#: What may be said about a job, and the types that are accepted.
_JOB_FIELDS: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "type": (str,),
    "status": (str,),
    "mode": (str,),
    "current_version": _INTEGER_OR_NULL,
    "published_version": _INTEGER_OR_NULL,
    "last_update": _NUMBER_OR_NULL,
    "started_at": _NUMBER_OR_NULL,
    "error": _TEXT_OR_NULL,
}
#: The last second that a date can be written for.
_LAST_MOMENT = 253_402_300_799
_WHICH: Mapping[str, tuple[type, ...]] = {"application": (str,), "job": (str, int)}


class Control:
    """The routes under ``/-/``, which need no token."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._world = simulator.world
        self._dumbella = simulator.dumbella

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return (
            Route("/-/healthy", self._healthy, methods=["GET"]),
            Route("/-/state", self._state, methods=["GET"]),
            Route("/-/history", self._history, methods=["GET"]),
            Route("/-/faults", self._get_faults, methods=["GET"]),
            Route("/-/faults", self._put_faults, methods=["PUT"]),
            Route("/-/faults", self._post_faults, methods=["POST"]),
            Route("/-/faults", self._delete_faults, methods=["DELETE"]),
            Route("/-/faults/available", self._available_faults, methods=["GET"]),
            Route("/-/faults/{name}", self._delete_fault, methods=["DELETE"]),
            Route("/-/dialect", self._get_dialect, methods=["GET"]),
            Route("/-/dialect", self._put_dialect, methods=["PUT"]),
            Route("/-/scheduler", self._get_scheduler, methods=["GET"]),
            Route("/-/scheduler", self._resume, methods=["POST"]),
            Route("/-/scheduler", self._pause, methods=["DELETE"]),
            Route("/-/run", self._run, methods=["POST"]),
            Route("/-/finish", self._finish, methods=["POST"]),
            Route("/-/publish", self._publish, methods=["POST"]),
            Route("/-/service/{action}", self._service, methods=["POST"]),
            Route("/-/jobs", self._add_job, methods=["POST"]),
            Route("/-/jobs/{application}/{job}", self._alter_job, methods=["PATCH"]),
            Route("/-/jobs/{application}/{job}", self._remove_job, methods=["DELETE"]),
        )

    async def _healthy(self, _: Request) -> Response:
        return PlainTextResponse("OK\n")

    async def _state(self, _: Request) -> Response:
        simulator = self._simulator
        return json_answer(
            {
                "seed": self._world.seed,
                "dialect": simulator.api.dialect_name,
                "faults": [str(fault) for fault in simulator.faults.active],
                "scheduler": {"paused": simulator.scheduler.paused},
                "applications": {
                    code: [_describe_job(job) for job in application.jobs.values()]
                    for code, application in self._world.applications.items()
                },
                "running": [_describe_execution(execution) for execution in self._world.running.values()],
                "waiting": [_describe_execution(execution) for execution in self._world.all_waiting()],
                "ended": len(self._world.ended),
            }
        )

    async def _history(self, request: Request) -> Response:
        every = [*self._world.ended.values(), *self._world.running.values(), *self._world.all_waiting()]
        wanted = request.query_params
        if application := wanted.get("application"):
            every = [execution for execution in every if execution.job.application == application]
        if reference := wanted.get("job"):
            every = [run for run in every if reference in {str(run.job.id), run.job.name, run.job.plain_name}]
        return json_answer([_describe_execution(execution) for execution in every])

    async def _get_faults(self, _: Request) -> Response:
        return self._faults()

    async def _put_faults(self, request: Request) -> Response:
        self._simulator.faults.replace(_faults(await _body(request)))
        return self._faults()

    async def _post_faults(self, request: Request) -> Response:
        self._simulator.faults.add(_faults(await _body(request)))
        return self._faults()

    async def _delete_faults(self, _: Request) -> Response:
        self._simulator.faults.replace(())
        return self._faults()

    async def _delete_fault(self, request: Request) -> Response:
        if not self._simulator.faults.remove(request.path_params["name"]):
            raise NotFound(f"the fault {request.path_params['name']} is not switched on")
        return self._faults()

    async def _available_faults(self, _: Request) -> Response:
        return json_answer(FAULTS)

    def _faults(self) -> Response:
        return json_answer([str(fault) for fault in self._simulator.faults.active])

    async def _get_dialect(self, _: Request) -> Response:
        return json_answer({"dialect": self._simulator.api.dialect_name, "available": list(DIALECTS)})

    async def _put_dialect(self, request: Request) -> Response:
        name = _fields(await _body(request), {"dialect": (str,)}, {"dialect"})["dialect"]
        if name not in DIALECTS:
            raise BadRequest(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}")
        self._simulator.api.dialect_name = name
        return await self._get_dialect(request)

    async def _get_scheduler(self, _: Request) -> Response:
        return json_answer({"paused": self._simulator.scheduler.paused})

    async def _resume(self, request: Request) -> Response:
        self._simulator.scheduler.resume()
        return await self._get_scheduler(request)

    async def _pause(self, request: Request) -> Response:
        self._simulator.scheduler.pause()
        return await self._get_scheduler(request)

    async def _run(self, request: Request) -> Response:
        accepted: dict[str, tuple[type, ...]] = {
            **_WHICH,
            "duration": _NUMBER_OR_NULL,
            "exit_code": (int,),
            "child": (bool,),
            "ignore_term": (bool,),
            "count": (int,),
        }
        asked = _fields(await _body(request), accepted, set(_WHICH))
        job = self._job(asked.pop("application"), asked.pop("job"))
        count = asked.pop("count", 1)
        parameters = context_parameters(Behaviour(**asked))
        executions = [self._dumbella.run(job, parameters=parameters) for _ in range(count)]
        return json_answer([_describe_execution(execution) for execution in executions])

    async def _finish(self, request: Request) -> Response:
        asked = _fields(await _body(request), {"execution_id": (str,)}, {"execution_id"})
        return json_answer(_describe_execution(await self._dumbella.finish(asked["execution_id"])))

    async def _publish(self, request: Request) -> Response:
        asked = _fields(await _body(request), _WHICH, set(_WHICH))
        job = self._job(asked["application"], asked["job"])
        self._dumbella.publish(job)
        return json_answer(_describe_job(job))

    async def _service(self, request: Request) -> Response:
        asked = _fields(await _body(request), _WHICH, set(_WHICH))
        job = self._job(asked["application"], asked["job"])
        match request.path_params["action"]:
            case "start":
                self._dumbella.start_service(job)
            case "stop":
                await self._dumbella.stop_service(job)
            case "crash":
                self._dumbella.crash_service(job)
            case "fail":
                await self._dumbella.fail_service(job)
            case action:
                raise NotFound(f"a service cannot {action}; it can start, stop, crash, fail")
        return json_answer(_describe_job(job))

    async def _add_job(self, request: Request) -> Response:
        identity: dict[str, tuple[type, ...]] = {"application": (str,), "id": (int,)}
        asked = _job_fields(await _body(request), identity, {"application", "name"})
        if asked["application"] not in self._world.applications:
            raise NotFound(f"no application {asked['application']}")
        asked.setdefault("id", self._world.new_job_id())
        try:
            job = self._world.add_job(Job(**asked))
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return json_answer(_describe_job(job), 201)

    async def _alter_job(self, request: Request) -> Response:
        asked = _job_fields(await _body(request), {}, set())
        job = self._job(request.path_params["application"], request.path_params["job"])
        for name, value in asked.items():
            setattr(job, name, value)
        self._world.touch(job)
        return json_answer(_describe_job(job))

    async def _remove_job(self, request: Request) -> Response:
        job = self._job(request.path_params["application"], request.path_params["job"])
        self._world.remove_job(job)
        return json_answer(_describe_job(job))

    def _job(self, code: str, reference: str | int) -> Job:
        application = self._world.applications.get(code)
        if application is None:
            raise NotFound(f"no application {code}")
        job = application.find(str(reference))
        if job is None:
            raise NotFound(f"no job {reference} in application {code}")
        return job


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


def _fields(value: Any, accepted: Mapping[str, tuple[type, ...]], required: set[str]) -> dict[str, Any]:
    """Return ``value`` if it is an object with only accepted keys of accepted types."""
    if not isinstance(value, dict):
        raise BadRequest(f"the body is not an object with {', '.join(accepted)}")
    unknown = sorted(set(value) - set(accepted))
    if unknown:
        raise BadRequest(f"unknown keys {', '.join(unknown)}; accepted are {', '.join(accepted)}")
    missing = sorted(required - set(value))
    if missing:
        raise BadRequest(f"missing keys {', '.join(missing)}")
    for name, part in value.items():
        is_stray_bool = isinstance(part, bool) and bool not in accepted[name]
        if is_stray_bool or not isinstance(part, accepted[name]):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in accepted[name])
            raise BadRequest(f"{name} is {part!r}; expected {expected}")
    return value


def _job_fields(value: Any, identity: Mapping[str, tuple[type, ...]], required: set[str]) -> dict[str, Any]:
    """Return ``value`` if it describes a job by acceptable fields, with moments that can be written as dates."""
    asked = _fields(value, {**identity, **_JOB_FIELDS}, required)
    for name in ("last_update", "started_at"):
        if not 0 <= (asked.get(name) or 0) <= _LAST_MOMENT:
            raise BadRequest(f"{name} is {asked[name]!r}; expected seconds since the epoch, or null")
    return asked


def _faults(value: Any) -> list[Fault]:
    if not isinstance(value, list):
        raise BadRequest('the body is not a list of faults, as in ["slow=5@jobs"]')
    try:
        return [Fault.from_json(item) for item in value]
    except UnknownFault as error:
        raise BadRequest(str(error)) from error


def _describe_job(job: Job) -> dict[str, Any]:
    description = dataclasses.asdict(job)
    del description["behaviour"]
    return description


def _describe_execution(execution: Execution) -> dict[str, Any]:
    return {
        "execution_id": execution.id,
        "application": execution.job.application,
        "job_id": execution.job.id,
        "job_name": execution.job.plain_name,
        "context": execution.context,
        "queued_at": execution.queued_at,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "exit_code": execution.exit_code,
        "outcome": execution.outcome.value.lower() if execution.outcome else None,
        "pid": execution.pid,
    }
