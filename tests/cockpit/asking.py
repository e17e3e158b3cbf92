"""Ask a client one thing, on an event loop of its own, of a server that the test describes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx

from exporter.cockpit import CockpitClient
from exporter.config import Target
from exporter.config.profiles import resolve

T = TypeVar("T")
Handler = Callable[[httpx.Request], httpx.Response]
Question = Callable[[CockpitClient], Awaitable[T]]

BASE = "https://apps.example.com/cockpit"


def target(**settings: Any) -> Target:
    """Return a target that is called production unless ``settings`` say otherwise."""
    return Target(**{"name": "production", "url": BASE, "applications": ("K7SALES",), **settings})


def soon(seconds: float = 20.0) -> float:
    """Return a deadline on the running loop's clock."""
    return asyncio.get_running_loop().time() + seconds


def ask(
    handler: Handler,
    question: Question[T],
    *,
    profile: str = "cockpit",
    profiles: dict[str, Any] | None = None,
    observed: list[tuple[str, str | None]] | None = None,
    **settings: Any,
) -> T:
    """Return the answer to a question that ``handler`` serves.

    Args:
        handler: answers requests in place of the network.
        question: calls one method of the client, or several.
        profile: the name of the target's profile.
        profiles: custom profiles.
        observed: takes endpoint and reason of every request.
        settings: of the target.
    """

    def observe(endpoint: str, seconds: float, reason: str | None) -> None:
        assert seconds >= 0
        if observed is not None:
            observed.append((endpoint, reason))

    async def run() -> T:
        client = CockpitClient(
            target(profile=profile, **settings),
            resolve(profile, profiles or {}),
            transport=httpx.MockTransport(handler),
            observe_request=observe,
        )
        async with client:
            return await question(client)

    return asyncio.run(run())


async def jobs(client: CockpitClient) -> Any:
    """Ask for the jobs of K7SALES."""
    return await client.jobs("K7SALES", soon())


async def executions(client: CockpitClient) -> Any:
    """Ask for the running executions of K7SALES."""
    return await client.executions("K7SALES", soon())
