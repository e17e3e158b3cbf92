"""A mark in Grafana for each confirmed kill, so that graphs tell why a run ended; nothing depends on it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Self

import httpx

from exporter.config.kill import Kill as Settings
from exporter.logs import fields
from exporter.secret import SecretFile
from exporter.sidecar.kills import Kill

log = logging.getLogger(__name__)

_TIMEOUT = 5.0


class Annotator:
    """Marks confirmed kills.

    Args:
        settings: the section ``kill``.
        transport: replaces the network in tests.
    """

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = settings.annotations.url or settings.grafana_url
        file = settings.annotations.token_file
        self._token = SecretFile(file) if settings.annotations.enabled and file is not None else None
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self._token is not None:
            self._client = httpx.AsyncClient(
                transport=self._transport, trust_env=False, follow_redirects=False, timeout=_TIMEOUT
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_TIMEOUT)
        if self._client is not None:
            await self._client.aclose()

    def note(self, kill: Kill) -> None:
        """Mark a kill, some time."""
        if self._client is not None:
            task = asyncio.create_task(self._post(self._client, kill))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _post(self, client: httpx.AsyncClient, kill: Kill) -> None:
        try:
            token = self._token.read() if self._token is not None else ""
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.post(f"{self._url}/api/annotations", json=_annotation(kill), headers=headers)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            log.warning("annotation refused", extra=fields(kill_id=kill.id, status=error.response.status_code))
        except (httpx.HTTPError, OSError, ValueError) as error:
            log.warning("annotation not made", extra=fields(kill_id=kill.id, error=type(error).__name__))


def _annotation(kill: Kill) -> dict[str, Any]:
    subject = kill.subject
    # Grafana shows the text as HTML, cleaned up; a name must not depend on that.
    name = "".join(character if character.isalnum() or character in "._- " else "_" for character in subject.job_name)
    return {
        "time": int((kill.ended_at or kill.requested_at) * 1000),
        "tags": ["dumbella", "kill", f"target:{subject.target}", f"application:{subject.application}"],
        "text": f"Run {subject.execution_id} of {name[:200]} was killed by {kill.principal.login}.",
    }
