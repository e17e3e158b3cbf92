"""How often somebody may do something: sliding windows over moments of an injected clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Final

from exporter.config.kill import KillLimits

_MINUTE: Final = 60.0
_TEN_MINUTES: Final = 600.0
_HOUR: Final = 3600.0
#: Keys after which those that are free again are forgotten.
_MANY_KEYS: Final = 1000


class SlidingWindow:
    """At most ``limit`` events of a key within ``seconds``.

    Args:
        limit: events allowed.
        seconds: the length of the window.
        clock: the time in seconds; it must not go back.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._events: dict[Hashable, deque[float]] = {}

    def wait(self, key: Hashable) -> float:
        """Return the seconds until one more event is allowed; 0 if it is now."""
        now = self._clock()
        events = self._current(key, now)
        if len(events) < self._limit:
            return 0.0
        return events[-self._limit] + self._seconds - now

    def add(self, key: Hashable) -> None:
        """Count an event now."""
        if len(self._events) >= _MANY_KEYS:
            self._forget()
        now = self._clock()
        self._current(key, now)
        self._events.setdefault(key, deque()).append(now)

    def _current(self, key: Hashable, now: float) -> deque[float]:
        events = self._events.get(key, deque())
        while events and events[0] + self._seconds <= now:
            events.popleft()
        return events

    def _forget(self) -> None:
        now = self._clock()
        self._events = {key: events for key, events in self._events.items() if self._current(key, now)}


class Limits:
    """The limits of the configuration, for one process.

    Args:
        settings: the section ``kill.limits``.
        clock: the time in seconds; it must not go back.
    """

    def __init__(self, settings: KillLimits, clock: Callable[[], float]) -> None:
        self._pages = SlidingWindow(settings.pages_per_minute, _MINUTE, clock)
        self._by_user = SlidingWindow(settings.kills_per_user_10m, _TEN_MINUTES, clock)
        self._by_target = SlidingWindow(settings.kills_per_target_10m, _TEN_MINUTES, clock)
        self._all = SlidingWindow(settings.kills_per_hour, _HOUR, clock)

    def page(self, user: Hashable) -> float:
        """Count a page for a user if it is allowed; return the seconds to wait otherwise, else 0."""
        wait = self._pages.wait(user)
        if not wait:
            self._pages.add(user)
        return wait

    def kill(self, user: Hashable, target: str) -> float:
        """Count a kill if all limits allow it; return the seconds to wait otherwise, else 0."""
        wait = max(self._by_user.wait(user), self._by_target.wait(target), self._all.wait(None))
        if not wait:
            self._by_user.add(user)
            self._by_target.add(target)
            self._all.add(None)
        return wait
