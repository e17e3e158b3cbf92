"""Put the exporter together and run it until a signal."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from exporter import __version__
from exporter.cockpit import CockpitClient
from exporter.config import Config, Target, warnings
from exporter.logs import fields
from exporter.publisher import Publisher
from exporter.reader import TargetReader
from exporter.server import ListenAddress, bind, serve
from exporter.server.passwords import PasswordCheck
from exporter.server.webaccess import WebAccess, WebConfigFile
from exporter.state import StateFile, States
from exporter.telemetry import Telemetry
from exporter.web import Exporter, create_app

log = logging.getLogger(__name__)

#: Seconds after which a thread that computes lets another one run: a scrape takes turns with reads, and at Python's
#: usual 5 ms it would wait longer for its turns than for anything else.
SWITCH_INTERVAL = 0.001
#: Seconds between two looks at whether the state file is out of date.
STATE_INTERVAL = 5.0


async def serve_exporter(config: Config, addresses: Sequence[ListenAddress], web: WebConfigFile | None = None) -> None:
    """Read all targets and answer scrapes on ``addresses`` until SIGTERM or SIGINT.

    Args:
        config: the configuration.
        addresses: where to listen.
        web: TLS, users and response headers; plain HTTP for everyone without.

    Raises:
        ListenError: an address cannot be listened on.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    listeners = [bind(address) for address in addresses]
    state_file = None if config.state_file is None else StateFile(config.state_file)
    states: States = {} if state_file is None else await asyncio.to_thread(state_file.load)
    telemetry = Telemetry()
    telemetry.targets.set(len(config.targets))
    telemetry.reload_successful.set(1)
    telemetry.reload_timestamp.set_to_current_time()
    telemetry.read_interval.set(config.global_.interval)
    telemetry.read_timeout.set(config.global_.timeout)
    for target in config.targets:
        telemetry.prepare(target.name, _endpoints(config, target))
    publisher = Publisher(telemetry, [target.name for target in config.targets])
    for warning in warnings(config):
        log.warning("configuration is unwise", extra=fields(warning=warning))
    log.info("starting", extra=fields(version=__version__, targets=len(config.targets)))
    async with AsyncExitStack() as stack:
        readers = []
        for target in config.targets:
            client = await stack.enter_async_context(_client(config, target, telemetry))
            readers.append(
                TargetReader(config, target, client, telemetry, publisher.publish, states=states.get(target.name))
            )
        tasks = [
            asyncio.create_task(reader.run(offset=config.global_.interval * (i + 1) / len(readers)))
            for i, reader in enumerate(readers)
        ]
        tasks.append(asyncio.create_task(_spare_the_collector(readers)))
        if state_file is not None:
            tasks.append(asyncio.create_task(_keep_state(state_file, readers)))
        app = create_app(Exporter(config, publisher, readers), clock=time.time)
        if web is None:
            server = asyncio.create_task(serve(app, listeners))
        else:
            server = asyncio.create_task(serve(WebAccess(app, web, PasswordCheck()), listeners, tls=web.tls()))
        # A reader ends only through a bug; an exporter that no longer reads must not look alive.
        await asyncio.wait([server, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (server, *tasks):
            task.cancel()
        outcomes = await asyncio.gather(server, *tasks, return_exceptions=True)
        if state_file is not None:
            await asyncio.to_thread(state_file.save, {reader.target.name: reader.states for reader in readers})
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    log.info("stopped")


def _client(config: Config, target: Target, telemetry: Telemetry) -> CockpitClient:
    return CockpitClient(
        target, config.profile(target), observe_request=functools.partial(telemetry.request, target.name)
    )


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


async def _spare_the_collector(readers: Sequence[TargetReader]) -> None:
    """Tell the cyclic garbage collector to leave alone what the first reads made.

    Jobs, rows and rendered lines form no cycles and are freed without it, but there are so many that each of its full
    passes would hold up reads and scrapes alike.
    """
    await asyncio.gather(*(reader.first_read.wait() for reader in readers))
    gc.collect()
    gc.freeze()
    await asyncio.Future()


async def _keep_state(state_file: StateFile, readers: Sequence[TargetReader]) -> None:
    while True:
        await asyncio.sleep(STATE_INTERVAL)
        await asyncio.to_thread(state_file.save, {reader.target.name: reader.states for reader in readers})
