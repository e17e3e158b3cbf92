"""Put the exporter together and run it until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Sequence

from exporter import __version__
from exporter.config import Config, ConfigError
from exporter.lifecycle import Exporter
from exporter.logs import fields
from exporter.server import ListenAddress, bind, serve
from exporter.server.passwords import PasswordCheck
from exporter.server.webaccess import WebAccess, WebConfigFile
from exporter.telemetry import Telemetry
from exporter.web import create_app

log = logging.getLogger(__name__)

#: Seconds after which a thread that computes lets another one run: a scrape takes turns with reads, and at Python's
#: usual 5 ms it would wait longer for its turns than for anything else.
SWITCH_INTERVAL = 0.001


async def serve_exporter(config: Config, addresses: Sequence[ListenAddress], web: WebConfigFile | None = None) -> None:
    """Read all targets and answer scrapes on ``addresses`` until SIGTERM or SIGINT; SIGHUP reloads the configuration.

    Args:
        config: the configuration.
        addresses: where to listen.
        web: TLS, users and response headers; plain HTTP for everyone without.

    Raises:
        ListenError: an address cannot be listened on.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    listeners = [bind(address) for address in addresses]
    log.info("starting", extra=fields(version=__version__, targets=len(config.targets)))
    exporter = await asyncio.to_thread(Exporter, config, Telemetry())
    app = create_app(exporter, clock=time.time)
    if web is None:
        serving = serve(app, listeners)
    else:
        serving = serve(WebAccess(app, web, PasswordCheck()), listeners, tls=web.tls())
    reading, server = asyncio.create_task(exporter.run()), asyncio.create_task(serving)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        reloads.add(task := asyncio.create_task(_reload(exporter)))
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    # Reading ends only through a bug; an exporter that no longer reads must not look alive.
    await asyncio.wait([server, reading], return_when=asyncio.FIRST_COMPLETED)
    for task in (server, reading, *reloads):
        task.cancel()
    outcomes = await asyncio.gather(server, reading, *reloads, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    log.info("stopped")


async def _reload(exporter: Exporter) -> None:
    # What was wrong stands in the log.
    with contextlib.suppress(ConfigError):
        await exporter.reload()
