"""The JSON API for programs, which authenticate with bearer tokens; openapi.yaml describes it."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.cockpit.errors import CockpitError
from exporter.sidecar.audit import moment, seconds_of
from exporter.sidecar.guard import request_id, source
from exporter.sidecar.identity import AuthFailed, Principal
from exporter.sidecar.kills import Kill, Order, Refused, Stopping
from exporter.sidecar.outcomes import WORDS
from exporter.sidecar.parameters import BadParameters, read_page, read_reason
from exporter.sidecar.problem import Problem, json_response
from exporter.sidecar.sidecar import STATUS_OF, Sidecar, status_of
from exporter.sidecar.subject import ID, Subject
from exporter.sidecar.upstream import Upstream

Endpoint = Callable[[Request], Awaitable[Response]]

BASE = "/api/v1"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_REMEMBERED_KEYS = 10_000
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DESCRIPTION = importlib.resources.files("exporter.sidecar").joinpath("openapi.yaml").read_bytes()


def _started_at(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise ValueError("is no moment, expected one such as 2026-06-30T12:00:00Z, or null for a waiting run")
    # datetime knows six digits of a fraction; to the second, the rest does not matter.
    return seconds_of(re.sub(r"\.[0-9]+", "", value.upper()))


def _reason(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is no text")
    try:
        reason = read_reason(value)
    except BadParameters as error:
        raise ValueError(str(error)) from None
    if not reason:
        raise ValueError("is empty, expected why the execution is to be killed")
    return reason


class KillRequest(BaseModel):
    """The body of a request to kill.

    Attributes:
        expected_started_at: the start of the run as the caller knows it, compared to the second.
        reason: why.
        dry_run: do everything but the kill itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    expected_started_at: Annotated[float | None, PlainValidator(_started_at)]
    reason: Annotated[str, PlainValidator(_reason)]
    dry_run: StrictBool = Field(default=False)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """The kill that an idempotency key stands for, and what was asked for with it."""

    asked: tuple[object, ...]
    kill_id: str


class Api:
    """The API of one sidecar.

    Args:
        sidecar: the sidecar.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._kills = sidecar.kills
        self._base = f"{sidecar.settings.prefix}{BASE}"
        self._keys: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return the routes."""
        executions = f"{self._base}/targets/{{target}}/executions"
        return [
            Route(executions, self._answering(self._executions), methods=["GET"]),
            Route(f"{executions}/{{execution}}", self._answering(self._execution), methods=["GET"]),
            Route(f"{executions}/{{execution}}/kill", self._answering(self._kill), methods=["POST"]),
            Route(f"{self._base}/kills/{{kill_id}}", self._answering(self._state), methods=["GET"]),
            Route(f"{self._base}/openapi.yaml", _description, methods=["GET"]),
        ]

    def _answering(self, answer: Endpoint) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if request.method == "HEAD":
                return Response(media_type="application/json")
            try:
                return await answer(request)
            except (Problem, AuthFailed, BadParameters, CockpitError, Refused, Stopping) as reason:
                return self._problem(reason).response()

        return endpoint

    def _problem(self, reason: Problem | AuthFailed | BadParameters | CockpitError | Refused | Stopping) -> Problem:
        match reason:
            case Problem():
                return reason
            case AuthFailed():
                return Problem(reason.status, reason.sentence, headers=self._challenges(reason.status))
            case BadParameters():
                return Problem(HTTPStatus.BAD_REQUEST, str(reason))
            case CockpitError():
                return Problem(status_of(reason), f"Cockpit's lists cannot be read: {reason.detail}")
            case Refused():
                status = HTTPStatus.UNPROCESSABLE_ENTITY if reason.reason_missing else STATUS_OF[reason.outcome]
                return Problem(status, reason.sentence, outcome=reason.outcome, retry_after=reason.retry_after)
            case Stopping():
                return Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE, "The sidecar is about to end; nothing was sent.", retry_after=5
                )

    def _challenges(self, status: HTTPStatus) -> list[tuple[str, str]]:
        if status != HTTPStatus.UNAUTHORIZED:
            return []
        # A 401 has to name a scheme even where no token is configured.
        challenges = self._sidecar.authentication.api_challenges or ("Bearer",)
        return [("WWW-Authenticate", challenge) for challenge in challenges]

    # --- executions --------------------------------------------------------------------------------------------------

    async def _executions(self, request: Request) -> Response:
        principal = await self._caller(request)
        wanted = read_page(request.url.query, ("application",))["application"]
        upstream, codes = await self._visible(principal, request.path_params["target"], wanted)
        listings = await asyncio.gather(*(upstream.running(code) for code in codes), return_exceptions=True)
        found: list[dict[str, Any]] = []
        incomplete = []
        for code, listing in zip(codes, listings, strict=True):
            if isinstance(listing, CockpitError):
                incomplete.append({"application": code, "detail": listing.detail})
            elif isinstance(listing, BaseException):
                raise listing
            else:
                found += [_execution(Subject.of(upstream.target.name, row)) for row in listing.rows]
        failed = next((listing for listing in listings if isinstance(listing, CockpitError)), None)
        if failed is not None and len(incomplete) == len(codes):
            raise failed
        return json_response({"executions": found, "incomplete": incomplete})

    async def _execution(self, request: Request) -> Response:
        principal = await self._caller(request)
        read_page(request.url.query, ())
        found = await self._found(principal, request)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "No such execution is in progress (any more).")
        return json_response(_execution(found))

    async def _caller(self, request: Request) -> Principal:
        """Return who calls, if they may enter and do not call too often."""
        principal = await self._sidecar.program(request)
        if not self._sidecar.policy.may_enter(principal):
            raise Problem(HTTPStatus.FORBIDDEN, "No rule of the policy names this token.")
        wait = self._sidecar.limits.page((principal.provider, principal.id))
        if wait:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.", retry_after=wait)
        return principal

    async def _visible(self, principal: Principal, target: str, wanted: str = "") -> tuple[Upstream, Sequence[str]]:
        """Return a target and the codes of its applications that a caller may see and wants to."""
        upstream = self._sidecar.upstreams.get(target)
        if upstream is None:
            raise Problem(HTTPStatus.NOT_FOUND, "This sidecar serves no target of this name.")
        policy = self._sidecar.policy
        if not policy.may_view_target(principal, target):
            raise Problem(HTTPStatus.FORBIDDEN, "No rule of the policy lets this token see this target.")
        if wanted:
            # One that has just appeared is found at once.
            await upstream.has(wanted)
        codes = [
            code
            for code in await upstream.applications()
            if policy.may_view(principal, target=target, application=code)
        ]
        if wanted and wanted not in codes:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such application, or this token may not see it.")
        return upstream, [wanted] if wanted else codes

    async def _found(self, principal: Principal, request: Request) -> Subject | None:
        """Return the run that a path names, looking through all applications that the caller may see."""
        wanted = request.path_params["execution"]
        upstream, codes = await self._visible(principal, request.path_params["target"])
        if ID.fullmatch(wanted) is None:
            raise Problem(HTTPStatus.NOT_FOUND, "No execution has such an id.")
        found: list[Subject] = []
        failed: CockpitError | None = None
        for listing in await asyncio.gather(*(upstream.running(code) for code in codes), return_exceptions=True):
            if isinstance(listing, CockpitError):
                failed = listing
            elif isinstance(listing, BaseException):
                raise listing
            else:
                found += [Subject.of(upstream.target.name, row) for row in listing.rows if row.id == wanted]
        if not found and failed is not None:
            raise failed
        if len(found) > 1:
            raise Problem(HTTPStatus.CONFLICT, "Several executions have this id; kill them in Cockpit.")
        return found[0] if found else None

    # --- kills -------------------------------------------------------------------------------------------------------

    async def _kill(self, request: Request) -> Response:
        principal = await self._caller(request)
        read_page(request.url.query, ())
        key = _idempotency_key(request)
        asked = await _body(request)
        fingerprint = (request.path_params["target"], request.path_params["execution"], asked)
        kill = self._already(principal, key, fingerprint)
        if kill is None:
            kill = await self._submitted(request, principal, asked)
            self._remember(principal, key, _Remembered(fingerprint, kill.id))
        headers = {"Location": f"{self._base}/kills/{kill.id}"}
        return json_response(_kill(kill), HTTPStatus.ACCEPTED, headers=headers)

    async def _submitted(self, request: Request, principal: Principal, asked: KillRequest) -> Kill:
        def order(subject: Subject) -> Order:
            return Order(principal, source(request), request_id(request), subject, asked.reason, asked.dry_run)

        live = await self._found(principal, request)
        if live is None:
            target, execution = request.path_params["target"], request.path_params["execution"]
            await self._kills.refuse(
                order(Subject(target, "", execution, "", "", asked.expected_started_at)), Refused("already_finished")
            )
            raise self._finished(principal, target, execution, asked.expected_started_at)
        shown = replace(live, started_at=asked.expected_started_at)
        # The caller knows the second; where it fits, the run is the one that is listed.
        return await self._kills.submit(order(live if live.started_second == shown.started_second else shown))

    def _finished(self, principal: Principal, target: str, execution: str, started_at: float | None) -> Problem:
        """Return the answer about a run that is over, with the way to its kill where there was one."""
        kill = self._sidecar.shown_to(principal, self._kills.latest(target, execution, started_at))
        place = "" if kill is None else f"{self._base}/kills/{kill.id}"
        return Problem(HTTPStatus.NOT_FOUND, WORDS["already_finished"], outcome="already_finished", kill=place)

    def _already(self, principal: Principal, key: str, asked: tuple[object, ...]) -> Kill | None:
        remembered = self._keys.get((principal.id, key)) if key else None
        if remembered is None:
            return None
        if remembered.asked != asked:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "This Idempotency-Key stands for another request.")
        return self._kills.get(remembered.kill_id)

    def _remember(self, principal: Principal, key: str, remembered: _Remembered) -> None:
        if key:
            self._keys[principal.id, key] = remembered
            if len(self._keys) > _REMEMBERED_KEYS:
                self._keys.popitem(last=False)

    async def _state(self, request: Request) -> Response:
        principal = await self._sidecar.program(request)
        read_page(request.url.query, ())
        kill = self._sidecar.shown_to(principal, self._kills.get(request.path_params["kill_id"]))
        if kill is None:
            raise Problem(HTTPStatus.NOT_FOUND, "This sidecar knows no such kill (any more).")
        return json_response(_kill(kill))


def _idempotency_key(request: Request) -> str:
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1 or (keys and _IDEMPOTENCY_KEY.fullmatch(keys[0]) is None):
        raise Problem(HTTPStatus.BAD_REQUEST, "Idempotency-Key is not one text of 1 to 128 visible ASCII characters.")
    return keys[0] if keys else ""


async def _body(request: Request) -> KillRequest:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body has to be application/json.")
    try:
        content = json.loads((await request.body()).decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None
    try:
        return KillRequest.model_validate(content)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, part['loc'])) or 'the body'}: {_said(part)}" for part in error.errors()]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(problems)) from None


def _said(part: Any) -> str:
    return str(part["ctx"]["error"]) if part["type"] == "value_error" else str(part["msg"])


def _execution(subject: Subject) -> dict[str, Any]:
    return {
        "target": subject.target,
        "application": subject.application,
        "execution_id": subject.execution_id,
        "job_id": subject.job_id,
        "job_name": subject.job_name,
        "started_at": None if subject.started_at is None else moment(subject.started_at),
    }


def _kill(kill: Kill) -> dict[str, Any]:
    return {
        "id": kill.id,
        "state": kill.outcome,
        "final": kill.ended_at is not None,
        "description": WORDS[kill.outcome],
        "detail": kill.detail,
        "execution": _execution(kill.subject),
        "reason": kill.reason,
        "requested_by": kill.principal.login,
        "requested_at": moment(kill.requested_at),
        "ended_at": None if kill.ended_at is None else moment(kill.ended_at),
        "mode": kill.mode,
    }


async def _description(request: Request) -> Response:
    return Response(b"" if request.method == "HEAD" else _DESCRIPTION, media_type="application/yaml")
