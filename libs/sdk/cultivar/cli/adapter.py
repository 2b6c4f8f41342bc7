"""`cultivar adapter …`: list what training made, and fetch one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cultivar.cli.calling import Project, connected, failed
from cultivar.cli.dataset import fetch
from cultivar.client import Client, listed
from cultivar.datasets.v1 import datasets_pb2
from cultivar.training.v1 import training_pb2 as pb

PAGE = 100
SHOWN_DIGITS = 12
app = typer.Typer(help="Adapters: what training made.", no_args_is_help=True)


@app.command("list")
def list_adapters(project: Project = "default") -> None:
    """Lists the adapters of a project, the newest first."""
    table = Table("adapter", "base model", "validation loss", "made", "trained by", box=None)
    with connected(project) as client:
        for adapter in all_adapters(client):
            loss = adapter.measures.get("validation_loss", adapter.measures.get("loss", 0.0))
            made = adapter.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
            table.add_row(digest(adapter)[:SHOWN_DIGITS], adapter.base_model, f"{loss:.4f}", made, adapter.training_run)
    Console().print(table)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="The adapter: the beginning of its digest, as `list` shows it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder; its digest if not given.")] = None,
    project: Project = "default",
) -> None:
    """Fetches an adapter in the PEFT layout; what is there already is not fetched again."""
    with connected(project) as client:
        found = [adapter for adapter in all_adapters(client) if digest(adapter).startswith(name.rpartition("/")[2])]
        if len(found) != 1:
            raise failed(f"{len(found)} adapters begin with {name!r}: `cultivar adapter list` shows those that exist")
        artifact = client.datasets.GetArtifact(datasets_pb2.GetArtifactRequest(name=found[0].name))
        folder = output or Path(digest(found[0])[:SHOWN_DIGITS])
        for file in artifact.files:
            fetch(client, artifact.name, file, folder)
        typer.echo(f"the adapter for {found[0].base_model} is in {folder}")


def all_adapters(client: Client) -> Iterator[pb.Adapter]:
    """Yields every adapter of the project, the newest first."""
    return listed(client.training.ListAdapters, pb.ListAdaptersRequest(parent=client.parent, page_size=PAGE))


def digest(adapter: pb.Adapter) -> str:
    """Returns the digest of an adapter."""
    return adapter.name.rpartition("/")[2]
