"""`cultivar adapter …`: list what training made, fetch one, and promote one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import uuid4

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
    table = Table("adapter", "alias", "base model", "validation loss", "made", "trained by", box=None)
    with connected(project) as client:
        aliases = names_of_adapters(client)
        for adapter in all_adapters(client):
            loss = adapter.measures.get("validation_loss", adapter.measures.get("loss", 0.0))
            made = adapter.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
            shown, named = digest(adapter)[:SHOWN_DIGITS], ", ".join(aliases.get(adapter.name, []))
            table.add_row(shown, named, adapter.base_model, f"{loss:.4f}", made, adapter.training_run)
    Console().print(table)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="The adapter: the beginning of its digest, as `list` shows it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder; its digest if not given.")] = None,
    project: Project = "default",
) -> None:
    """Fetches an adapter in the PEFT layout; what is there already is not fetched again."""
    with connected(project) as client:
        found = find_adapter(client, name)
        artifact = client.datasets.GetArtifact(datasets_pb2.GetArtifactRequest(name=found.name))
        folder = output or Path(digest(found)[:SHOWN_DIGITS])
        for file in artifact.files:
            fetch(client, artifact.name, file, folder)
        typer.echo(f"the adapter for {found.base_model} is in {folder}")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="The adapter: the beginning of its digest, as `list` shows it.")],
    alias: Annotated[
        str, typer.Option(help="The name to give it: lower-case letters, digits and hyphens.")
    ] = "champion",
    project: Project = "default",
) -> None:
    """Makes an alias name an adapter: the teachers application answers under it with this one within seconds."""
    with connected(project) as client:
        found = find_adapter(client, name)
        request = pb.SetAliasRequest(parent=client.parent, alias_id=alias, adapter=found.name, request_id=uuid4().hex)
        made = client.training.SetAlias(request)
    typer.echo(f"{alias} is {digest(found)[:SHOWN_DIGITS]} now, and answers as the model {made.model}")


@app.command()
def history(
    alias: Annotated[str, typer.Argument(help="The alias.")] = "champion",
    project: Project = "default",
) -> None:
    """Shows what an alias names and has named, the newest first, and who moved it."""
    table = Table("revision", "adapter", "since", "set by", box=None)
    with connected(project) as client:
        found = client.training.GetAlias(pb.GetAliasRequest(name=f"{client.parent}/aliases/{alias}"))
    for move in found.moves:
        since = move.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        table.add_row(str(move.revision), move.adapter.rpartition("/")[2][:SHOWN_DIGITS], since, move.principal)
    Console().print(table)


def find_adapter(client: Client, name: str) -> pb.Adapter:
    """Returns the adapter whose digest begins like a name; ends the command where there is not just one."""
    found = [adapter for adapter in all_adapters(client) if digest(adapter).startswith(name.rpartition("/")[2])]
    if len(found) != 1:
        raise failed(f"{len(found)} adapters begin with {name!r}: `cultivar adapter list` shows those that exist")
    return found[0]


def names_of_adapters(client: Client) -> dict[str, list[str]]:
    """Returns the aliases of each adapter that has any, by the adapter's name."""
    found: dict[str, list[str]] = {}
    for alias in client.training.ListAliases(pb.ListAliasesRequest(parent=client.parent)).aliases:
        found.setdefault(alias.adapter, []).append(alias.name.rpartition("/")[2])
    return found


def all_adapters(client: Client) -> Iterator[pb.Adapter]:
    """Yields every adapter of the project, the newest first."""
    return listed(client.training.ListAdapters, pb.ListAdaptersRequest(parent=client.parent, page_size=PAGE))


def digest(adapter: pb.Adapter) -> str:
    """Returns the digest of an adapter."""
    return adapter.name.rpartition("/")[2]
