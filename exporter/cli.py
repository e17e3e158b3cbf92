"""The command line. Each command imports what it needs, so that ``--version`` and ``--help`` stay quick."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

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


def _service(command: Command) -> Command:
    """Let SIGTERM end the start of a service as SIGINT does, which process 1 of a container would ignore until then."""

    @functools.wraps(command)
    def start(*arguments: Any, **options: Any) -> Any:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return command(*arguments, **options)

    return cast("Command", start)


class _Unusable(click.ClickException):
    """Input that cannot be used; every line of the message names its place."""


def _configured(command: Command) -> Command:
    """Tell what is wrong with a configuration; commands without one do not import all that checks it."""

    @functools.wraps(command)
    def tell(*arguments: Any, **options: Any) -> Any:
        from exporter.config import ConfigError

        try:
            return command(*arguments, **options)
        except ConfigError as error:
            raise _Unusable(str(error)) from None

    return cast("Command", tell)


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
@_service
@_configured
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
@_service
@_configured
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


def _path(name: str, description: str) -> Callable[[Command], Command]:
    """Return the option for a file."""
    return click.option(f"--{name}", type=click.Path(path_type=Path), help=description)


@cli.command()
@click.argument("url")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the answer may take.",
)
@_path("ca-file", "Trust the authorities in this file (PEM), instead of the system's.")
@click.option("--server-name", metavar="NAME", help="Expect a certificate for this name, instead of the URL's host.")
@_path("cert-file", "Show this certificate (PEM) to a service that asks for one.")
@_path("key-file", "Its key (PEM), where it stands in another file.")
@_common
def health(
    url: str,
    *,
    timeout: float,
    ca_file: Path | None,
    server_name: str | None,
    cert_file: Path | None,
    key_file: Path | None,
) -> None:
    """Ask a health endpoint: exit with 0 where it answers 200, or with 1 and what it did instead."""
    from exporter.health import Unhealthy, ask, parse_url, tls_context

    try:
        endpoint, context = parse_url(url), tls_context(ca_file, cert_file, key_file)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        asyncio.run(ask(endpoint, within=timeout, context=context, server_name=server_name))
    except Unhealthy as unhealthy:
        click.echo(f"{url}: {unhealthy}")
        raise click.exceptions.Exit(1) from None


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
@_path("token-file", "Accept the bearer token in this file, instead of a random one.")
@_common
@_service
def simulate(
    *,
    addresses: tuple[ListenAddress, ...],
    jobs: int,
    seed: int,
    dialect: str,
    faults: tuple[str, ...],
    token_file: Path | None,
) -> None:
    """Run a stand-in for Cockpit and Dumbella, with real processes."""
    from exporter.simulator import DIALECTS, SimulatorOptions
    from exporter.simulator import simulate as run_simulator

    if dialect not in DIALECTS:
        raise click.BadParameter(f"{dialect!r} is not one of {', '.join(DIALECTS)}", param_hint="'--dialect'")
    token = "" if token_file is None else _secret(token_file)
    options = SimulatorOptions(listen=addresses, jobs=jobs, seed=seed, dialect=dialect, faults=faults, token=token)
    asyncio.run(run_simulator(options))


def _secret(file: Path) -> str:
    from exporter.secret import SecretFile

    try:
        return SecretFile(file).read()
    except OSError as error:
        raise _Unusable(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _Unusable(f"{file}: {error}") from None


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
@_service
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
    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = 2
    except (_Unusable, ListenError) as error:
        click.echo(str(error), err=True)
        code = 2
    except click.ClickException as error:
        click.echo(f"{PROGRAM}: {error.format_message()}", err=True)
        code = 2
    except click.Abort:
        code = 0
    sys.exit(code or 0)
