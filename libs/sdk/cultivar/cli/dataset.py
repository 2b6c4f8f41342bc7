"""`cultivar dataset …` and `cultivar gc`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.console import Console
from rich.table import Table

from cultivar.artifact.v1 import artifact_pb2
from cultivar.cli.calling import Project, connected, failed
from cultivar.client import Client, listed
from cultivar.datasets.v1 import datasets_pb2
from cultivar.files import digest_of, download
from cultivar.run.v1 import run_pb2

PAGE = 100
Licences = Annotated[
    list[str] | None,
    typer.Option(help="A licence that what teachers wrote may have, such as Apache-2.0; may be given again."),
]
app = typer.Typer(help="Dataset versions: list them, fetch one.", no_args_is_help=True)


@app.command("list")
def list_versions(project: Project = "default") -> None:
    """Lists the dataset versions of a project, the newest first."""
    table = Table("version", "state", "examples", "made", box=None)
    with connected(project) as client:
        request = datasets_pb2.ListDatasetVersionsRequest(parent=client.parent, page_size=PAGE)
        for version in listed(client.datasets.ListDatasetVersions, request):
            state = run_pb2.RunState.Name(version.run.state).removeprefix("RUN_STATE_").lower()
            made = version.run.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
            table.add_row(short_name(version.name), state, str(version.examples), made)
    Console().print(table)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="The dataset, with @NUMBER for a version; else the newest.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder; NAME when not given.")] = None,
    licence: Licences = None,
    project: Project = "default",
) -> None:
    """Fetches a dataset version: its Parquet files, chat.jsonl and card. What is there already is not fetched again."""
    dataset, _, number = name.partition("@")
    folder = output or Path(name)
    with connected(project) as client:
        wanted = client.name("datasets", f"{dataset}/versions/{number or 'latest'}")
        version = client.datasets.GetDatasetVersion(datasets_pb2.GetDatasetVersionRequest(name=wanted))
        if not version.artifact:
            raise failed(f"{short_name(version.name)} was not made: its run has not succeeded")
        check_licences(version, licence or [])
        artifact = client.datasets.GetArtifact(datasets_pb2.GetArtifactRequest(name=version.artifact))
        for file in artifact.files:
            fetch(client, artifact.name, file, folder)
        typer.echo(f"{short_name(version.name)}: {version.examples} examples in {folder}")
        for name, count in sorted(version.by_licence.items()):
            typer.echo(f"  {count} of a teacher whose licence is {name}")


def check_licences(version: datasets_pb2.DatasetVersion, allowed: list[str]) -> None:
    """Ends the program where a version holds what a teacher wrote under another licence than those allowed."""
    known = {plain(licence) for licence in allowed}
    other = {name: count for name, count in sorted(version.by_licence.items()) if plain(name) not in known}
    if known and other:
        held = ", ".join(f"{count} of the licence {name}" for name, count in other.items())
        raise failed(
            f"{short_name(version.name)} holds examples that --licence does not allow ({held}): nothing was fetched; "
            "make a version with `licences` in its spec, or allow them"
        )


def plain(licence: str) -> str:
    """Returns a licence as it is compared: in any case and spacing."""
    return " ".join(licence.split()).casefold()


def fetch(client: Client, artifact: str, file: artifact_pb2.File, folder: Path) -> None:
    """Fetches one file of an artifact into a folder, unless it is there."""
    path = folder / file.name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise failed(f"the file {file.name!r} would lie outside {folder}: it was not fetched")
    if path.is_file() and digest_of(path) == file.sha256:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    download(client, artifact, file.name, path)


def gc(
    grace_hours: Annotated[float, typer.Option(min=0, help="How long what nobody names is kept.")] = 24.0,
    project: Project = "default",
) -> None:
    """Removes stored bytes that no artifact names."""
    grace = Duration()
    grace.FromTimedelta(timedelta(hours=grace_hours))
    with connected(project) as client:
        request = datasets_pb2.CollectGarbageRequest(parent=client.parent, grace=grace)
        collected = client.datasets.CollectGarbage(request)
    typer.echo(f"removed {collected.blobs} files ({collected.bytes} bytes) and {collected.documents} manifests")
    if not collected.complete:
        typer.echo("commits kept the project busy: run it again to remove the rest")


def short_name(name: str) -> str:
    """Returns `dataset@number` of a version's name."""
    parts = name.split("/")
    return f"{parts[3]}@{parts[5]}"
