"""The command ``check``: is the configuration file usable, and do the targets answer as it says?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import httpx

from exporter.check.inquiry import Inquiry, inquire
from exporter.check.report import about_expectations, about_target, printable, table
from exporter.cockpit.client import CockpitClient
from exporter.config import Config, ConfigError, Purpose, Target, load, warnings
from exporter.config.units import format_duration


def check(path: Path, purpose: Purpose = "all", *, online: bool = False) -> int:
    """Check a configuration file: problems and warnings to standard error, a summary to standard output.

    Args:
        path: the configuration file.
        purpose: the command that is to use it; ``all`` checks what any of them needs.
        online: also ask every target.

    Returns:
        The exit code: 0, or 1 if the file has problems or a target failed.
    """
    try:
        config = load(path, purpose=purpose)
    except ConfigError as error:
        click.echo(str(error), err=True)
        return 1
    for warning in warnings(config):
        click.echo(f"warning: {warning}", err=True)
    click.echo(summary(path, config), nl=False)
    if not online:
        return 0
    click.echo()
    return check_online(config)


def summary(path: Path, config: Config) -> str:
    """Return what a valid configuration amounts to."""
    targets = [("target", "applications", "profile", "url")]
    targets += [(target.name, _applications(target), target.profile, target.url) for target in config.targets]
    lines = [f"{path}: no problems", "", *table(targets)]
    if config.expectations:
        rules = [("expectation", "target", "application", "job", "max_runtime", "success_every")]
        rules += [
            (str(position), rule.target, rule.application, rule.job, _due(rule.max_runtime), _due(rule.success_every))
            for position, rule in enumerate(config.expectations)
        ]
        lines += ["", *table(rules)]
    return "".join(f"{printable(line)}\n" for line in lines)


def check_online(config: Config, *, transport: httpx.AsyncBaseTransport | None = None) -> int:
    """Ask every target what the exporter would ask, and print what it answered, field by field.

    Args:
        config: a valid configuration.
        transport: replaces the network in tests.

    Returns:
        The exit code: 0, or 1 if any target failed.
    """
    inquiries = asyncio.run(_inquire_all(config, transport))
    for inquiry in inquiries:
        click.echo(about_target(inquiry))
    click.echo(about_expectations(config, inquiries), nl=False)
    failed = [inquiry.target.name for inquiry in inquiries if inquiry.failed]
    if failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
    return 1 if failed else 0


async def _inquire_all(config: Config, transport: httpx.AsyncBaseTransport | None) -> list[Inquiry]:
    async def ask(target: Target) -> Inquiry:
        profile = config.profile(target)
        async with CockpitClient(target, profile, transport=transport) as client:
            return await inquire(target, profile, client, config.global_.timeout)

    return await asyncio.gather(*(ask(target) for target in config.targets))


def _applications(target: Target) -> str:
    return "discover" if target.applications == "discover" else ", ".join(target.applications)


def _due(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)
