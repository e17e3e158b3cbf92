"""The command ``simulate``: serve a simulated installation until a signal asks to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator

from exporter.logs import fields
from exporter.server import bind, serve
from exporter.simulator.app import application
from exporter.simulator.processes import adopt_orphans
from exporter.simulator.simulation import Simulator, SimulatorOptions

log = logging.getLogger(__name__)


async def simulate(options: SimulatorOptions) -> None:
    """Serve a simulated installation until SIGTERM or SIGINT; then end all its processes.

    Raises:
        ListenError: an address cannot be listened on.
    """
    with contextlib.ExitStack() as open_sockets:
        listeners = [open_sockets.enter_context(bind(address)) for address in options.listen]
        adopt_orphans()
        simulator = Simulator(options)
        if not options.token:
            log.info("accepts this bearer token", extra=fields(token=simulator.token))
        try:
            # Started by the loop, once ``serve`` has taken over the signals: from then on nothing can be left behind.
            asyncio.get_running_loop().call_soon(simulator.start)
            await serve(application(simulator), listeners, drain=1)
        finally:
            with _signals_ignored():
                await simulator.close()


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Let an impatient second signal not interrupt the end of the processes, which takes a second or two."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, log.info, "already stopping")
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
