"""Failures in the log: one line when something begins to fail, a summary while it goes on, one line when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.cockpit.errors import CockpitError
from exporter.logs import fields

log = logging.getLogger(__name__)

#: Seconds between two summaries of the same failure.
SUMMARY_INTERVAL = 600.0
#: How often within that time something may begin to fail again before it is only summarised.
SPELLS = 3


@dataclass(slots=True)
class _Failing:
    """What keeps failing, or did until not long ago.

    Attributes:
        cause: tells one failure from another: reason and HTTP status.
        since: when it began.
        count: failures since then.
        spells: when lines said that it began to fail.
        told_at: when a line last said anything.
        over_at: when a request succeeded again; ``None`` while it fails.
        told: whether a line said that it fails at present.
    """

    cause: tuple[str, int | None]
    since: float
    count: int = 0
    spells: list[float] = field(default_factory=list)
    told_at: float = float("-inf")
    over_at: float | None = float("-inf")
    told: bool = False

    def is_past(self, now: float) -> bool:
        """Tell whether it has been over for so long that failing again is news."""
        return self.over_at is not None and now - self.over_at >= SUMMARY_INTERVAL


class FailureLog:
    """What of one target is failing.

    Args:
        clock: a monotonic time in seconds.
    """

    def __init__(self, target: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._clock = clock
        self._failing: dict[tuple[str, str], _Failing] = {}

    def failed(self, application: str, endpoint: str, error: CockpitError) -> None:
        """Note a failure; a line appears if it is new, has another cause than before, or was not told of for long."""
        now = self._clock()
        cause = (error.reason, error.status)
        failing = self._failing.get((application, endpoint))
        if failing is None or failing.cause != cause or failing.is_past(now):
            failing = self._failing[application, endpoint] = _Failing(cause, now)
        failing.count += 1
        if failing.over_at is not None:
            failing.over_at = None
            failing.spells = [moment for moment in failing.spells if now - moment < SUMMARY_INTERVAL]
            if len(failing.spells) < SPELLS:
                failing.spells.append(now)
                self._tell("request failed", application, endpoint, error, failing)
        if now - failing.told_at >= SUMMARY_INTERVAL:
            self._tell("request still failing", application, endpoint, error, failing)

    def _tell(self, message: str, application: str, endpoint: str, error: CockpitError, failing: _Failing) -> None:
        failing.told_at = self._clock()
        failing.told = True
        seconds = round(failing.told_at - failing.since)
        log.warning(
            message,
            extra=fields(
                target=self._target,
                application=application or None,
                endpoint=endpoint,
                reason=error.reason,
                failures=failing.count if failing.count > 1 else None,
                seconds=seconds if failing.count > 1 else None,
                detail=error.detail,
                remedy=error.remedy,
            ),
        )

    def succeeded(self, application: str, endpoint: str) -> None:
        """Note a success; a line appears if it ends a failure that a line told of."""
        failing = self._failing.get((application, endpoint))
        if failing is None or failing.over_at is not None:
            return
        failing.over_at = self._clock()
        if not failing.told:
            return
        failing.told = False
        log.info(
            "request succeeds again",
            extra=fields(
                target=self._target,
                application=application or None,
                endpoint=endpoint,
                failures=failing.count,
                seconds=round(self._clock() - failing.since),
            ),
        )
