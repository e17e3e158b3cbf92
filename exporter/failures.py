"""Failures in the log: one line when something begins to fail, a summary while it goes on, one line when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.cockpit.errors import CockpitError
from exporter.logs import fields

log = logging.getLogger(__name__)

#: Seconds between two summaries of the same failure.
SUMMARY_INTERVAL = 600.0


@dataclass(slots=True)
class _Ongoing:
    reason: str
    since: float
    count: int
    reported_at: float


class FailureLog:
    """What of one target is failing at present.

    Args:
        clock: a monotonic time in seconds.
    """

    def __init__(self, target: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._clock = clock
        self._ongoing: dict[tuple[str, str], _Ongoing] = {}

    def failed(self, application: str, endpoint: str, error: CockpitError) -> None:
        """Note a failure; a line appears if it is new, has another reason than before, or was not told of for long."""
        now = self._clock()
        where = fields(target=self._target, application=application or None, endpoint=endpoint, reason=error.reason)
        ongoing = self._ongoing.get((application, endpoint))
        if ongoing is None or ongoing.reason != error.reason:
            self._ongoing[application, endpoint] = _Ongoing(error.reason, now, 1, now)
            where["fields"].update(detail=error.detail, remedy=error.remedy)
            log.warning("request failed", extra=where)
            return
        ongoing.count += 1
        if now - ongoing.reported_at >= SUMMARY_INTERVAL:
            ongoing.reported_at = now
            where["fields"].update(
                failures=ongoing.count, seconds=round(now - ongoing.since), detail=error.detail, remedy=error.remedy
            )
            log.warning("request still failing", extra=where)

    def succeeded(self, application: str, endpoint: str) -> None:
        """Note a success; a line appears if it ends a failure."""
        ongoing = self._ongoing.pop((application, endpoint), None)
        if ongoing is not None:
            log.info(
                "request succeeds again",
                extra=fields(
                    target=self._target,
                    application=application or None,
                    endpoint=endpoint,
                    failures=ongoing.count,
                    seconds=round(self._clock() - ongoing.since),
                ),
            )
