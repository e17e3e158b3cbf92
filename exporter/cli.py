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


_web_config_file = click.option(
    "--web.config.file",
    "web_config_file",
    type=click.Path(path_type=Path),
    help="TLS, users and response headers, as for all Prometheus exporters (YAML).",
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
@_web_config_file
@_common
def serve(config_file: Path, addresses: tuple[ListenAddress, ...], web_config_file: Path | None) -> None:
    """Run the exporter."""
    from exporter.config import load
    from exporter.serve import serve_exporter
    from exporter.server.webaccess import WebConfigFile

    config = load(config_file, purpose="serve")
    web = None if web_config_file is None else WebConfigFile(web_config_file)
    asyncio.run(serve_exporter(config, addresses, web))


@cli.command()
@_config_file
@click.option(
    "--web.listen-address",
    "address",
    type=_Listen(),
    default="127.0.0.1:9878",
    show_default=True,
    help="Where to serve pages and API.",
)
@_web_config_file
@click.option(
    "--insecure-no-auth", is_flag=True, help="Let everyone in, off this machine too, where kill.auth is empty."
)
@_common
def sidecar(config_file: Path, address: ListenAddress, web_config_file: Path | None, *, insecure_no_auth: bool) -> None:
    """Run the kill sidecar."""
    from exporter.config import ConfigError, load
    from exporter.server.webaccess import WebConfigFile
    from exporter.sidecar.serve import StartRefused, serve_sidecar

    config = load(config_file, purpose="sidecar")
    web = None if web_config_file is None else WebConfigFile(web_config_file)
    try:
        asyncio.run(serve_sidecar(config, address, web, insecure_no_auth=insecure_no_auth))
    except StartRefused as refused:
        raise ConfigError([f"{config_file}: {line}" for line in str(refused).splitlines()]) from None


@cli.group()
@click.help_option("--help", "-h")
def audit() -> None:
    """Look into the kill sidecar's audit files."""


@audit.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@_common
def verify(files: tuple[Path, ...]) -> None:
    """Follow the chain through audit files, the oldest first: exit with 0, or with 1 and what is wrong."""
    from exporter.sidecar.chain import verify as verify_files

    verdict = verify_files(files)
    for problem in verdict.problems:
        click.echo(problem)
    if verdict.problems:
        raise click.exceptions.Exit(1)
    position = verdict.position
    click.echo(f"{verdict.records} records, the chain is whole; its last hash is {position.hash if position else ''}")


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


def _known_faults(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from exporter.simulator.faults import Fault, UnknownFault

    for value in values:
        try:
            Fault.parse(value)
        except UnknownFault as error:
            raise click.BadParameter(str(error)) from None
    return values


@cli.command()
@click.option(
    "--web.listen-address",
    "addresses",
    type=_Listen(),
    multiple=True,
    default=["127.0.0.1:9876"],
    show_default=True,
    help="Where to answer; repeat it for several addresses.",
)
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Synthetic jobs besides those of the scenario.")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes ids, names and what happens repeatable.")
@click.option("--dialect", default="default", show_default=True, help="The form of every list; see docs/simulator.md.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[=ARG][@ENDPOINT][@APPLICATION]",
    callback=_known_faults,
    help="Something that is wrong from the start; repeat it for several. See docs/simulator.md.",
)
@_common
def simulate(addresses: tuple[ListenAddress, ...], jobs: int, seed: int, dialect: str, faults: tuple[str, ...]) -> None:
    """Run a stand-in for Cockpit and Dumbella, with real processes."""
    from exporter.simulator import DIALECTS, SimulatorOptions
    from exporter.simulator import simulate as run_simulator

    if dialect not in DIALECTS:
        raise click.BadParameter(f"{dialect!r} is not one of {', '.join(DIALECTS)}", param_hint="'--dialect'")
    options = SimulatorOptions(listen=addresses, jobs=jobs, seed=seed, dialect=dialect, faults=faults)
    asyncio.run(run_simulator(options))


def _part(name: str, default: str) -> Callable[[Command], Command]:
    """Return the option for the address of one part of the demo."""
    return click.option(
        f"--{name}.listen-address",
        name,
        type=_Listen(),
        default=default,
        show_default=True,
        help=f"Where the {name} answers; port 0 lets the system choose.",
    )


@cli.command()
@_part("simulator", "127.0.0.1:9876")
@_part("exporter", "127.0.0.1:9877")
@_part("sidecar", "127.0.0.1:9878")
@_part("alertmanager", "127.0.0.1:9093")
@_part("prometheus", "127.0.0.1:9090")
@_part("grafana", "127.0.0.1:3000")
@_common
def demo(**addresses: ListenAddress) -> None:
    """Run a simulated Dumbella, the exporter, the kill sidecar and, where they are installed, Prometheus,
    Alertmanager and Grafana."""
    from exporter.demo import Addresses
    from exporter.demo import demo as run_demo
    from exporter.demo.child import ChildFailed

    try:
        asyncio.run(run_demo(Addresses(**addresses), click.echo))
    except ChildFailed as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None


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
