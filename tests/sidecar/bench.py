"""Measure how long a kill takes on its way: ``python -m tests.sidecar.bench``.

What counts is the time from the form's POST until Cockpit has the kill: a look at the list, a record on the disk, and
the kill. It is compared with a bare HTTP client that does the same two requests, both taking turns in one run against
the same made-up Cockpit. The exit code is 1 if the sidecar takes more than twice as long.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from exporter.server import ListenAddress, bind, bound_url
from tests.loopback import free_port
from tests.processes import COMMAND, running
from tests.sidecar.running import SAME_ORIGIN, configure, form

ROUNDS = 60
WARM_UP = 10
#: The bar: the sidecar's time is at most so many times the bare client's.
BAR = 2.0

_STARTED = 1_700_000_000
_KILL = """\
  mode: live
  targets: {simulated: {bearer_token_file: cockpit-key}}
  policy: [{name: all, effect: allow, principals: ["user:local"]}]
  limits: {pages_per_minute: 100000, kills_per_user_10m: 100000, kills_per_target_10m: 100000, kills_per_hour: 100000}
"""


class Cockpit:
    """Lists one run, which is another one after each kill, and notes when a kill arrives."""

    def __init__(self) -> None:
        self.number = 0
        self.arrived = 0.0

    def app(self) -> Starlette:
        """Return it as an application."""
        listing = "/cockpit/api/rest/application/{application}/services/jobs/executions"
        return Starlette(
            routes=[
                Route(listing, self._list),
                Route("/cockpit/api/rest/services/jobs/execution/{id}/kill", self._kill, methods=["POST"]),
                Route("/cockpit/api/rest/application/{application}/services/jobs", self._jobs),
            ]
        )

    async def _list(self, _: Request) -> Response:
        row = {"executionId": f"e-{self.number}", "jobId": 4711, "name": "etl_0.1", "startDate": _STARTED * 1000}
        return JSONResponse([row])

    async def _jobs(self, _: Request) -> Response:
        return JSONResponse([])

    async def _kill(self, _: Request) -> Response:
        self.arrived = time.monotonic()
        self.number += 1
        return Response()


@contextmanager
def _serving(cockpit: Cockpit) -> Iterator[str]:
    """Serve a made-up Cockpit in a thread; yield its address."""
    listener = bind(ListenAddress("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def run() -> None:
        config = uvicorn.Config(cockpit.app(), log_config=None, lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve(sockets=[listener]))
        await done.wait()
        server.should_exit = True
        await serving

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    yield bound_url(listener)
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


async def _bare(client: httpx.AsyncClient, cockpit: Cockpit) -> float:
    """Return the seconds until a bare client's kill arrives."""
    base = "/cockpit/api/rest"
    begun = time.monotonic()
    (row,) = (await client.get(f"{base}/application/K7SALES/services/jobs/executions")).json()
    await client.post(f"{base}/services/jobs/execution/{row['executionId']}/kill")
    return cockpit.arrived - begun


def _ours(client: httpx.Client, sender: http.client.HTTPConnection, cockpit: Cockpit) -> float:
    """Return the seconds until the sidecar's kill arrives, the confirmation page having been opened before."""
    values = {"target": "simulated", "application": "K7SALES", "execution": f"e-{cockpit.number}", "from": ""}
    page = client.get("/kill", params={**values, "started": str(_STARTED * 1000)})
    body = urllib.parse.urlencode({**form(page), "reason": ""})
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {**SAME_ORIGIN, "Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    # The browser's own work is not the sidecar's: the plainest client there is sends the form.
    begun = time.monotonic()
    sender.request("POST", "/kill", body, headers)
    answer = sender.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    return cockpit.arrived - begun


def main() -> None:
    """Measure and print."""
    cockpit = Cockpit()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as name, _serving(cockpit) as upstream:
        folder = Path(name)
        arguments = configure(folder, url, upstream, "key", _KILL, web=False)
        command = [COMMAND, "sidecar", *arguments, "--web.listen-address", f"127.0.0.1:{port}"]
        with (
            running(command, folder, name="sidecar") as process,
            httpx.Client(base_url=url, trust_env=False) as people,
            asyncio.Runner() as runner,
        ):
            process.listening_url()
            direct = httpx.AsyncClient(base_url=upstream, trust_env=False)
            sender = http.client.HTTPConnection("127.0.0.1", port)
            for number in range(WARM_UP + ROUNDS):
                took = runner.run(_bare(direct, cockpit)), _ours(people, sender, cockpit)
                if number >= WARM_UP:
                    bare.append(took[0])
                    ours.append(took[1])
            sender.close()
            runner.run(direct.aclose())
            metrics = people.get("/metrics").text
    killed = re.search(r'outcome="confirmed",target="simulated"} (\S+)', metrics)
    print(f"{killed[1] if killed else 0} kills confirmed")  # noqa: T201 - a benchmark's output
    ratio = statistics.median(ours) / statistics.median(bare)
    figures = f"{statistics.median(ours) * 1000:.2f} ms, bare {statistics.median(bare) * 1000:.2f} ms"
    print(f"from POST to the kill: {ratio:.2f} times a bare client, at most {BAR} ({figures})")  # noqa: T201 - likewise
    sys.exit(ratio > BAR)


if __name__ == "__main__":
    main()
