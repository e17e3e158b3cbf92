"""Limits: sliding windows on a clock of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.config.kill import KillLimits
from exporter.sidecar.limits import Limits, SlidingWindow


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class TestSlidingWindow:
    """So many events in so many seconds."""

    def test_window_slides(self) -> None:
        """An event is allowed again as soon as the oldest one is out of the window, and the wait says when."""
        clock = Clock()
        window = SlidingWindow(2, 60, clock)
        waits = []
        for now in (1000, 1020, 1030, 1060):
            clock.now = now
            waits.append(window.wait("alice"))
            if not waits[-1]:
                window.add("alice")
        assert [0, 0, 30, 0] == waits

    def test_keys_do_not_share(self) -> None:
        """One user's events are no other user's."""
        window = SlidingWindow(1, 60, Clock())
        window.add("alice")
        assert (60, 0) == (window.wait("alice"), window.wait("bob"))

    def test_free_keys_are_forgotten(self) -> None:
        """Thousands of users who were here once leave nothing behind."""
        clock = Clock()
        window = SlidingWindow(1, 60, clock)
        for number in range(5000):
            clock.now += 1
            window.add(number)
        assert len(window._events) <= 1061

    @given(
        limit=st.integers(1, 5),
        steps=st.lists(st.floats(0, 30, allow_nan=False), max_size=60),
    )
    def test_no_window_ever_holds_more_than_the_limit(self, limit: int, steps: list[float]) -> None:
        """Whatever the pace, no 60 seconds see more events than allowed."""
        clock = Clock()
        window = SlidingWindow(limit, 60, clock)
        taken: list[float] = []
        for step in steps:
            clock.now += step
            if not window.wait("x"):
                window.add("x")
                taken.append(clock.now)
        assert [] == [moment for moment in taken if sum(moment <= other < moment + 60 for other in taken) > limit]


class TestLimits:
    """The limits of the configuration."""

    @staticmethod
    def limits(**settings: int) -> Limits:
        """Return limits that are wide but for ``settings``."""
        wide = {"pages_per_minute": 99, "kills_per_user_10m": 99, "kills_per_target_10m": 99, "kills_per_hour": 99}
        return Limits(KillLimits(**{**wide, **settings}), Clock())

    def test_pages_are_limited_per_user(self) -> None:
        """The next page of a user waits, another user's does not."""
        limits = self.limits(pages_per_minute=1)
        assert [0, 60, 0] == [limits.page("alice"), limits.page("alice"), limits.page("bob")]

    def test_kills_are_limited_per_user(self) -> None:
        """A user's next kill waits on every target."""
        limits = self.limits(kills_per_user_10m=1)
        assert [0, 600, 0] == [limits.kill("alice", "a"), limits.kill("alice", "b"), limits.kill("bob", "a")]

    def test_kills_are_limited_per_target(self) -> None:
        """A target's next kill waits for every user."""
        limits = self.limits(kills_per_target_10m=1)
        assert [0, 600, 0] == [limits.kill("alice", "a"), limits.kill("bob", "a"), limits.kill("bob", "b")]

    def test_breaker_holds_for_everybody(self) -> None:
        """After so many kills in an hour nobody kills anything."""
        limits = self.limits(kills_per_hour=1)
        assert [0, 3600] == [limits.kill("alice", "a"), limits.kill("bob", "b")]

    def test_refused_kill_counts_nowhere(self) -> None:
        """What one limit refuses does not use up the others."""
        limits = self.limits(kills_per_target_10m=1, kills_per_user_10m=2)
        assert [0, 600, 600, 0] == [limits.kill("alice", target) for target in ("a", "a", "a", "b")]
