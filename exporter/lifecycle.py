"""What runs under one load of the configuration, and how the next load takes its place."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
from contextlib import AsyncExitStack

import httpx

from exporter.cockpit import CockpitClient
from exporter.config import Config, ConfigError, Target, load, warnings
from exporter.exposition import Format, Page
from exporter.logs import fields
from exporter.publisher import Publisher
from exporter.reader import TargetReader
from exporter.state import StateFile, States
from exporter.telemetry import Telemetry

log = logging.getLogger(__name__)

#: Seconds between two looks at whether the state file is out of date.
STATE_INTERVAL = 5.0


class Generation:
    """A reader for each target of one configuration, and the pages that they publish.

    Args:
        config: the configuration.
        telemetry: the exporter's metrics about itself, which outlive it.
        states: what was observed before, per target and application.
        transport: replaces the network in tests.
    """

    def __init__(
        self,
        config: Config,
        telemetry: Telemetry,
        states: States,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        for target in config.targets:
            telemetry.prepare(target.name, _endpoints(config, target))
        self.publisher = Publisher(telemetry, [target.name for target in config.targets])
        self._clients = [
            CockpitClient(
                target,
                config.profile(target),
                transport=transport,
                observe_request=functools.partial(telemetry.request, target.name),
            )
            for target in config.targets
        ]
        self.readers = [
            TargetReader(config, target, client, telemetry, self.publisher.publish, states=states.get(target.name))
            for target, client in zip(config.targets, self._clients, strict=True)
        ]

    @property
    def ready(self) -> bool:
        """Whether the first read of every target has been attempted, whatever came of it."""
        return all(reader.report is not None for reader in self.readers)

    @property
    def states(self) -> States:
        """What was observed, per target and application."""
        return {reader.target.name: reader.states for reader in self.readers}

    async def run(self) -> None:
        """Read every target once per interval, spread over it, until cancelled."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for client in self._clients:
                stack.push_async_callback(client.aclose)
            for number, reader in enumerate(self.readers, 1):
                tasks.create_task(reader.run(offset=self.config.global_.interval * number / len(self.readers)))
            tasks.create_task(self._spare_the_collector())

    async def first_reads(self) -> None:
        """Wait until every target was read once, or could not be."""
        for reader in self.readers:
            await reader.first_read.wait()

    async def _spare_the_collector(self) -> None:
        """Tell the cyclic garbage collector to leave alone what the first reads made.

        Jobs, rows and rendered lines form no cycles and are freed without it, but there are so many that each of its
        full passes would hold up reads and scrapes alike.
        """
        await self.first_reads()
        gc.collect()
        gc.freeze()


class Exporter:
    """One running exporter: the generation that is shown, and the state file.

    Args:
        config: the configuration to begin with.
        telemetry: its metrics about itself.
        transport: replaces the network in tests.

    Attributes:
        current: the generation whose pages are handed out.
    """

    def __init__(
        self, config: Config, telemetry: Telemetry, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._telemetry = telemetry
        self._transport = transport
        self._state_file = None if config.state_file is None else StateFile(config.state_file)
        states = {} if self._state_file is None else self._state_file.load()
        self.current = Generation(config, telemetry, states, transport=transport)
        self._reloading = asyncio.Lock()
        self._tasks = asyncio.TaskGroup()
        self._accept(config)

    def page(self, format_: Format) -> Page:
        """Return the current page, without waiting for anything."""
        return self.current.publisher.page(format_)

    async def run(self) -> None:
        """Read all targets and keep the state file until cancelled; when a part of it fails, all of it ends."""
        try:
            async with self._tasks:
                self._reading = self._tasks.create_task(self.current.run())
                self._tasks.create_task(self._keep_state())
        finally:
            await self._save_state()

    async def reload(self) -> None:
        """Load the configuration file again and go on as it says; with a bad one, go on as before.

        The new readers have read everything before their pages replace the old ones, so that no series is missing in
        between, and they know what was observed.

        Raises:
            ConfigError: the file cannot be used; everything is as before.
        """
        async with self._reloading:
            before = self.current
            try:
                config = await asyncio.to_thread(load, before.config.path, purpose="serve")
            except ConfigError as error:
                self._telemetry.reload_successful.set(0)
                before.publisher.refresh()
                for problem in error.problems:
                    log.error(
                        "configuration not reloaded, the one before stays in force", extra=fields(problem=problem)
                    )
                raise
            following = await asyncio.to_thread(
                Generation, config, self._telemetry, before.states, transport=self._transport
            )
            reading = self._tasks.create_task(following.run())
            try:
                await following.first_reads()
            except asyncio.CancelledError:
                reading.cancel()
                raise
            self.current = following
            self._reading.cancel()
            await asyncio.wait([self._reading])
            self._reading = reading
            for name in before.states.keys() - following.states.keys():
                self._telemetry.forget(name)
            if config.state_file != before.config.state_file:
                self._state_file = None if config.state_file is None else StateFile(config.state_file)
            self._accept(config)
            following.publisher.refresh()
            log.info("configuration reloaded", extra=fields(targets=len(config.targets)))

    def _accept(self, config: Config) -> None:
        self._telemetry.configured(config.global_.interval, config.global_.timeout, targets=len(config.targets))
        for warning in warnings(config):
            log.warning("configuration is unwise", extra=fields(warning=warning))

    async def _keep_state(self) -> None:
        while True:
            await asyncio.sleep(STATE_INTERVAL)
            await self._save_state()

    async def _save_state(self) -> None:
        if self._state_file is not None:
            await asyncio.to_thread(self._state_file.save, self.current.states)


def _endpoints(config: Config, target: Target) -> list[str]:
    """Name the endpoints that a target's reader asks."""
    endpoints = ["jobs"]
    if config.profile(target).executions == "supported":
        endpoints.append("executions")
    if target.results is not None:
        endpoints.append("results")
    if target.applications == "discover":
        endpoints.append("applications")
    return endpoints
