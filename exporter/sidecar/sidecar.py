"""Everything that one running sidecar consists of, for its pages and its API."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from exporter.cockpit.errors import CockpitError, RequestTimeout
from exporter.config import Config
from exporter.config.kill import Kill as Settings
from exporter.sidecar.audit import AuditFailed, AuditLog, Entry
from exporter.sidecar.auth import Authentication
from exporter.sidecar.guard import request_id, source
from exporter.sidecar.identity import AuthFailed, Principal
from exporter.sidecar.kills import Kill, Kills
from exporter.sidecar.limits import Limits, SlidingWindow
from exporter.sidecar.outcomes import Outcome
from exporter.sidecar.pagetoken import PageTokens
from exporter.sidecar.policy import Policy
from exporter.sidecar.telemetry import KillTelemetry
from exporter.sidecar.upstream import Upstream

#: The HTTP status of a refusal.
STATUS_OF: Mapping[Outcome, HTTPStatus] = {
    "denied": HTTPStatus.FORBIDDEN,
    "stale": HTTPStatus.CONFLICT,
    "already_finished": HTTPStatus.NOT_FOUND,
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "cooldown": HTTPStatus.TOO_MANY_REQUESTS,
    "audit_failed": HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One running sidecar.

    Attributes:
        config: the whole configuration.
        settings: its section ``kill``.
        authentication: finds out who asks.
        policy: who may kill what, and who may look.
        limits: how often.
        tokens: seals of the confirmation page.
        upstreams: the targets by name.
        kills: all kills.
        audit: where everything is recorded.
        failures: how many failed authentications are recorded.
        telemetry: where everything is counted.
        clock: the time in seconds since the epoch.
    """

    config: Config
    settings: Settings
    authentication: Authentication
    policy: Policy
    limits: Limits
    tokens: PageTokens
    upstreams: Mapping[str, Upstream]
    kills: Kills
    audit: AuditLog
    failures: SlidingWindow
    telemetry: KillTelemetry
    clock: Callable[[], float]

    def shown_to(self, principal: Principal, kill: Kill | None) -> Kill | None:
        """Return the kill if there is one and the principal may see it."""
        if kill is None:
            return None
        run = kill.subject
        return kill if self.policy.may_view(principal, target=run.target, application=run.application) else None

    async def person(self, request: Request, *, fresh: bool) -> Principal:
        """Return who asks for a page; a bad credential is on record.

        Raises:
            AuthFailed: nobody who may enter.
        """
        try:
            return await self.authentication.person(request, fresh=fresh)
        except AuthFailed as failed:
            await self._note_failure(request, failed)
            raise

    async def program(self, request: Request) -> Principal:
        """Return who calls the API; a bad credential is on record.

        Raises:
            AuthFailed: nobody who may enter.
        """
        try:
            return await self.authentication.program(request, fresh=True)
        except AuthFailed as failed:
            await self._note_failure(request, failed)
            raise

    async def _note_failure(self, request: Request, failed: AuthFailed) -> None:
        # Whoever floods us with bad credentials must not fill the disk: the metric counts what is not recorded.
        if self.failures.wait(None):
            return
        self.failures.add(None)
        entry = Entry("auth_failure", request_id=request_id(request), source=source(request), reason=failed.sentence)
        with contextlib.suppress(AuditFailed):
            await self.audit.write(entry)


def status_of(error: CockpitError) -> HTTPStatus:
    """Return the HTTP status that tells a client what is wrong with Cockpit."""
    return HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, RequestTimeout) else HTTPStatus.BAD_GATEWAY
