"""Put the sidecar together and run it until a signal."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from exporter import __version__
from exporter.config import Config, sidecar_warnings
from exporter.config.kill import Kill, refusals
from exporter.logs import fields
from exporter.server import ListenAddress, bind, serve
from exporter.server.passwords import PasswordCheck
from exporter.server.webaccess import WebAccess, WebConfigFile
from exporter.sidecar.annotations import Annotator
from exporter.sidecar.audit import AuditFailed, AuditLog, AuditUnusable, Entry, Unfinished
from exporter.sidecar.auth import Authentication
from exporter.sidecar.kills import Kills, Rules
from exporter.sidecar.limits import Limits, SlidingWindow
from exporter.sidecar.pagetoken import PageTokens
from exporter.sidecar.policy import Policy
from exporter.sidecar.sidecar import Sidecar
from exporter.sidecar.telemetry import KillTelemetry
from exporter.sidecar.upstream import Upstream
from exporter.sidecar.web import create_app

log = logging.getLogger(__name__)

#: Failed authentications a minute that are recorded.
_FAILURES_RECORDED = 60


class StartRefused(Exception):
    """The sidecar must not start the way it was asked to; each line of the message is one reason."""


async def serve_sidecar(
    config: Config, address: ListenAddress, web: WebConfigFile | None = None, *, insecure_no_auth: bool = False
) -> None:
    """Serve pages and API on ``address`` until SIGTERM or SIGINT.

    Args:
        config: the configuration, read for the sidecar.
        address: where to listen.
        web: TLS, users and response headers.
        insecure_no_auth: let everyone in although the sidecar listens off this machine.

    Raises:
        StartRefused: for where it listens and what it would leave open, or for its audit file.
        ListenError: the address cannot be listened on.
    """
    settings = config.sidecar
    loopback = _is_loopback(address)
    tls = None if web is None else web.tls()
    refused = [*refusals(settings, loopback=loopback, tls=tls is not None, insecure_no_auth=insecure_no_auth)]
    if any(entry.type == "basic" for entry in settings.auth) and (web is None or not web.config.basic_auth_users):
        refused.append("kill.auth: has type basic, expected --web.config.file with basic_auth_users")
    if refused:
        raise StartRefused("\n".join(refused))
    telemetry = _telemetry(settings)
    audit = AuditLog(
        settings.audit.file,
        clock=time.time,
        copy=_to_stdout if settings.audit.stdout else None,
        failed=telemetry.audit_write_failed,
    )
    try:
        unfinished = audit.open()
        audit.write_now(Entry("start", mode=settings.mode))
    except (AuditUnusable, AuditFailed) as error:
        audit.close()
        raise StartRefused(f"kill.audit.file: {error}") from None
    for warning in sidecar_warnings(config):
        log.warning("configuration is unwise", extra=fields(warning=warning))
    try:
        listener = bind(address)
        async with AsyncExitStack() as stack:
            sidecar = await _assembled(config, audit, telemetry, stack, web)
            await _take_up(sidecar, unfinished)
            log.info("starting", extra=fields(version=__version__, mode=settings.mode, targets=len(settings.targets)))
            app = create_app(sidecar, loopback=loopback)
            if web is not None:
                # Pages and API find out themselves who asks; monitoring is for the users of the web configuration.
                app = WebAccess(app, web, PasswordCheck(), demands_login=lambda path: path == "/metrics")
            await serve(app, [listener], drain=settings.timeouts.drain, tls=tls)
            await sidecar.kills.close(settings.timeouts.drain)
            # A full disk is no reason to end with a traceback: the error has been logged and counted.
            with contextlib.suppress(AuditFailed):
                audit.write_now(Entry("stop", mode=settings.mode))
    finally:
        audit.close()
    log.info("stopped")


async def _take_up(sidecar: Sidecar, unfinished: Sequence[Unfinished]) -> None:
    try:
        await sidecar.kills.resume(unfinished)
    except AuditFailed as error:
        raise StartRefused(f"kill.audit.file: {sidecar.settings.audit.file}: {error}") from None


def _is_loopback(address: ListenAddress) -> bool:
    if address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False


def _to_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _telemetry(settings: Kill) -> KillTelemetry:
    providers: list[str] = [entry.type for entry in settings.auth]
    return KillTelemetry(
        settings.public_url, settings.targets, providers or ["local"], dry_run=settings.mode == "dry_run"
    )


async def _assembled(
    config: Config, audit: AuditLog, telemetry: KillTelemetry, stack: AsyncExitStack, web: WebConfigFile | None
) -> Sidecar:
    """Return a sidecar whose connections end with ``stack``."""
    settings = config.sidecar
    authentication = await stack.enter_async_context(Authentication.configured(settings, web, telemetry.authentication))
    upstreams = await _upstreams(config, telemetry, stack)
    policy = Policy(settings.policy, settings.view)
    limits = Limits(settings.limits, time.monotonic)
    annotator = await stack.enter_async_context(Annotator(settings))
    rules = Rules(policy, limits, settings.mode, settings.timeouts.confirm)
    return Sidecar(
        config=config,
        settings=settings,
        authentication=authentication,
        policy=policy,
        limits=limits,
        tokens=PageTokens(settings.secret_file, settings.timeouts.page_token, time.time),
        upstreams=upstreams,
        kills=Kills(upstreams, rules, audit, telemetry, on_confirmed=annotator.note),
        audit=audit,
        failures=SlidingWindow(_FAILURES_RECORDED, 60.0, time.monotonic),
        telemetry=telemetry,
        clock=time.time,
    )


async def _upstreams(config: Config, telemetry: KillTelemetry, stack: AsyncExitStack) -> Mapping[str, Upstream]:
    settings = config.sidecar
    upstreams = {}
    for target in config.targets:
        if target.name in settings.targets:
            observe: Callable[[str, float], None] = functools.partial(telemetry.upstream, target.name)
            upstream = Upstream(
                target, settings.targets[target.name], config.profile(target), settings.timeouts, observe
            )
            upstreams[target.name] = await stack.enter_async_context(upstream)
    return upstreams
