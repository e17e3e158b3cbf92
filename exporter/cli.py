"""The command line. Each command imports what it needs, so that ``--version`` and ``--help`` stay quick."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from exporter import __version__, logs
from exporter.server import ListenAddress, ListenError

PROGRAM = "dumbella-exporter"

Command = TypeVar("Command", bound=Callable[..., Any])


class _Listen(click.ParamType[ListenAddress]):
    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ListenAddress:
        if isinstance(value, ListenAddress):
            return value
        try:
            return ListenAddress.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _configure_logs(ctx: click.Context, _param: click.Parameter, value: str) -> str:
    # Whichever of the two options is processed last has both.
    ctx.meta[f"{PROGRAM}.{_param.name}"] = value
    logs.configure(ctx.meta.get(f"{PROGRAM}.log_level", "info"), ctx.meta.get(f"{PROGRAM}.log_format", "logfmt"))
    return value


def _common(command: Command) -> Command:
    """Add the options that every command has."""
    options = (
        click.option(
            "--log.level",
            "log_level",
            type=click.Choice(logs.LEVELS),
            default="info",
            show_default=True,
            expose_value=False,
            callback=_configure_logs,
            help="Log events of this level and above.",
        ),
        click.option(
            "--log.format",
            "log_format",
            type=click.Choice(logs.FORMATS),
            default="logfmt",
            show_default=True,
            expose_value=False,
            callback=_configure_logs,
            help="Form of the log lines, which go to standard error.",
        ),
        click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s"),
        click.help_option("--help", "-h"),
    )
    for option in reversed(options):
        command = option(command)
    return command


_config_file = click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    required=True,
    help="The configuration file (YAML).",
)


@click.group(context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Jobs and running executions of Dumbella for Prometheus."""


@cli.command()
@_config_file
@click.option(
    "--web.listen-address",
    "addresses",
    type=_Listen(),
    multiple=True,
    default=[":9877"],
    show_default=True,
    help="Where to answer scrapes; repeat it for several addresses.",
)
@_common
def serve(config_file: Path, addresses: tuple[ListenAddress, ...]) -> None:
    """Run the exporter."""
    from exporter.config import load
    from exporter.serve import serve_exporter

    config = load(config_file, purpose="serve")
    asyncio.run(serve_exporter(config, addresses))


@cli.command()
@_config_file
@click.option("--online", is_flag=True, help="Also ask every target, and tell what it answered, field by field.")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["serve", "sidecar"]),
    help="Check only what this command needs; both by default.",
)
@_common
def check(config_file: Path, *, online: bool, purpose: Literal["serve", "sidecar"] | None) -> None:
    """Check the configuration file: exit with 0, or with 1 and every problem."""
    from exporter.check import check as check_file

    raise click.exceptions.Exit(check_file(config_file, purpose or "all", online=online))


@cli.command()
@_common
def metrics() -> None:
    """Print the metric catalogue as Markdown."""
    from exporter.catalogue import markdown

    click.echo(markdown(), nl=False)


def main() -> None:
    """Run the command line: exit with 0 when done or stopped, 1 for problems found, 2 for unusable input."""
    from exporter.config import ConfigError

    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = 2
    except click.ClickException as error:
        click.echo(f"{PROGRAM}: {error.format_message()}", err=True)
        code = 2
    except (ConfigError, ListenError) as error:
        click.echo(str(error), err=True)
        code = 2
    except click.Abort:
        code = 0
    sys.exit(code or 0)
