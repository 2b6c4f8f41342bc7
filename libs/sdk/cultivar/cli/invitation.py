"""`cultivar invitation …`: links that make whoever signs in through them a reviewer."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cultivar.cli.calling import Project, connected, failed
from cultivar.client import listed
from cultivar.identity.v1 import identity_pb2 as pb

PAGE = 100
app = typer.Typer(help="Invitations: links that make reviewers.", no_args_is_help=True)


@app.command()
def create(
    hours: Annotated[int, typer.Option(min=1, max=168, help="For how many hours it may be accepted.")] = 72,
    project: Project = "default",
) -> None:
    """Prints a link, once: whoever signs in through it becomes a reviewer of the project."""
    with connected(project) as client:
        made = client.identity.CreateInvitation(pb.CreateInvitationRequest(parent=client.parent, hours=hours))
        if not made.secret:
            # The answer was lost on its way and the call was made again: its secret is told once.
            client.identity.DeleteInvitation(pb.DeleteInvitationRequest(name=made.name))
            raise failed("the link was lost on its way, and its invitation was deleted: create another")
    typer.echo(made.link or f"/{made.name}?secret={made.secret}")
    where = "" if made.link else "Put the console's address before it: the service does not know it. "
    until = made.expire_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    typer.echo(f"{where}For one person, until {until} UTC; it is not shown again.", err=True)


@app.command("list")
def list_invitations(project: Project = "default") -> None:
    """Lists the invitations of a project, the newest first."""
    table = Table("invitation", "made", "until", "accepted by", box=None)
    with connected(project) as client:
        request = pb.ListInvitationsRequest(parent=client.parent, page_size=PAGE)
        for one in listed(client.identity.ListInvitations, request):
            times = (time.ToDatetime().strftime("%Y-%m-%d %H:%M") for time in (one.create_time, one.expire_time))
            table.add_row(one.name.rpartition("/")[2], *times, Text(one.accepted_by))
    Console().print(table)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="The invitation, as `list` shows it.")], project: Project = "default"
) -> None:
    """Deletes an invitation, whose link then opens nothing; who accepted it stays a reviewer."""
    with connected(project) as client:
        wanted = client.name("invitations", name.rpartition("/")[2])
        client.identity.DeleteInvitation(pb.DeleteInvitationRequest(name=wanted))
    typer.echo(f"{name} opens nothing now")
