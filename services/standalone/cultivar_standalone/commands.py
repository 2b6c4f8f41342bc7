"""The commands that this package adds to the command line: `cultivar up`, `demo`, `migrate`, `doctor` and `token`.

The command line loads this file for every command, so what the services need is imported when one of them runs.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from cultivar.connection import default_data_dir

if TYPE_CHECKING:
    from cultivar_service.serving import Host
    from cultivar_service.settings import Settings

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="The gRPC port; 0 takes any free one.")]
EXAMPLE = Path("examples/support/campaign.yaml")
DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept.")]


def up(
    data_dir: DataDir = None,
    port: Port = None,
    metrics_port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port of /metrics.")] = None,
    console_port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port of the web pages.")] = None,
    only: Annotated[str, typer.Option(help="Services to run, separated by commas; all when empty.")] = "",
    database_url: Annotated[str, typer.Option(help="A PostgreSQL to use instead of the embedded one.")] = "",
    artifacts: Annotated[str, typer.Option(help="A folder or s3://bucket/prefix to keep artifacts in.")] = "",
    ray_address: Annotated[str, typer.Option(help="A Ray cluster to use instead of a local one.")] = "",
    teachers_url: Annotated[str, typer.Option(help="A teachers application to use, ending in /v1.")] = "",
    cpus: Annotated[int, typer.Option(min=0, help="Cores for teachers and training; 0 for all.")] = 0,
) -> None:
    """Runs all services on this machine until Ctrl-C; data stays in the data folder."""
    from cultivar_service.logs import configure_logs
    from cultivar_service.settings import Settings

    from cultivar_standalone.up import Up, run_up

    ports = {"port": port, "metrics_port": metrics_port, "console_port": console_port}
    texts = {"database_url": database_url, "artifacts": artifacts, "teachers_url": teachers_url}
    given = {name: value for name, value in {**ports, **texts}.items() if value not in (None, "")}
    settings = found(Settings).model_copy(update=given)
    configure_logs(settings.log_format)
    run(run_up(Up(data_dir or default_data_dir(), only, ray_address, cpus), settings, announce))


def demo(
    campaign: Annotated[Path, typer.Argument(help="The campaign file.")] = EXAMPLE,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the report.")] = Path("report.html"),
    review: Annotated[
        Literal["stand-in", "me"], typer.Option(help="Who reviews: a program that stands in, or you in the console.")
    ] = "stand-in",
    data_dir: DataDir = None,
) -> None:
    """Runs one campaign through the whole loop on this machine, in a quarter of an hour, and writes its report."""
    from cultivar_service.settings import Settings

    from cultivar_standalone.demo import Demo

    if not campaign.is_file():
        typer.echo(
            f"cultivar: {campaign} does not exist: run this in a clone of the repository, or name a file", err=True
        )
        raise typer.Exit(1)
    folder = (data_dir or default_data_dir().with_name("cultivar-demo")).expanduser().absolute()
    settings = found(Settings).model_copy(update={"port": 0, "metrics_port": 0, "console_port": 0})
    run(Demo(campaign, output, review == "me", folder).run(settings, announce))


def migrate(
    database_url: Annotated[
        str, typer.Option(envvar="CULTIVAR_DATABASE_URL", help="PostgreSQL, with a role that owns the database.")
    ],
    role_prefix: Annotated[
        str, typer.Option(help="The role of each service is this and its name; empty to let no role in.")
    ] = "cultivar_",
    make_roles: Annotated[bool, typer.Option(help="Makes roles that are not there.")] = False,
    passwords: Annotated[
        Path | None, typer.Option(help="A folder with a file for each service that holds its role's password.")
    ] = None,
) -> None:
    """Brings the schema of every service to its newest revision, and lets the role of each service into its own."""
    from cultivar_standalone.migrating import Migration

    run(Migration(database_url, role_prefix, make_roles, passwords).run(typer.echo))


def doctor(
    project: Annotated[str, typer.Option(envvar="CULTIVAR_PROJECT", help="The project to read in.")] = "default",
) -> None:
    """Looks at database, clock, schemas, store, issuer, services, versions and token; status 1 when one is wrong."""
    from cultivar_service.settings import Settings

    from cultivar_standalone.doctoring import Doctor

    doctor = Doctor(found(Settings), project)
    run(doctor.run(typer.echo))
    if doctor.wrong:
        raise typer.Exit(1)


def token() -> None:
    """Prints a token for CULTIVAR_TOKEN: one of CULTIVAR_OIDC_CLIENT_ID at the issuer, or that of this machine."""
    from cultivar.cli.calling import failed
    from cultivar.errors import NotConnected
    from cultivar_service.doctor import own_token
    from cultivar_service.settings import Settings

    try:
        typer.echo(asyncio.run(own_token(found(Settings))))
    except NotConnected as error:
        raise failed(str(error)) from error


def found(settings: "type[Settings]") -> "Settings":
    """Reads the settings from environment and file; what is wrong ends the program with one sentence and status 1."""
    from cultivar_service.errors import StartError

    try:
        return settings.from_environment()
    except StartError as error:
        typer.echo(f"cultivar: {error}", err=True)
        raise typer.Exit(1) from error


def run(program: Coroutine[Any, Any, None]) -> None:
    """Runs a program to its end; what is missing at its start ends it with one sentence and status 1."""
    from cultivar_service.errors import StartError

    try:
        asyncio.run(program)
    except StartError as error:
        typer.echo(f"cultivar: {error}", err=True)
        raise typer.Exit(1) from error


def announce(host: "Host") -> None:
    """Prints where the process listens."""
    typer.echo(f"cultivar is up: gRPC at {host.listening.address}, metrics at http://{host.listening.metrics}/metrics")
    for service in host.services:
        if service.url:
            typer.echo(f"{service.name}: {service.link() if service.link else service.url}")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(up)
    app.command()(demo)
    app.command()(migrate)
    app.command()(doctor)
    app.command()(token)
