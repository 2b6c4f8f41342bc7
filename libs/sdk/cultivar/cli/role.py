"""`cultivar role …`: who may do what in a project."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cultivar.auth.v1 import auth_pb2
from cultivar.cli.calling import Project, connected, failed
from cultivar.client import listed
from cultivar.identity.v1 import identity_pb2 as pb

PAGE = 100
app = typer.Typer(help="Role bindings: who may do what, beside the roles in people's tokens.", no_args_is_help=True)
Principal = Annotated[str, typer.Argument(help="Who: the principal, as tokens name it.")]


class Role(StrEnum):
    """The roles, each with the rights of those before it."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADJUDICATOR = "adjudicator"
    ENGINEER = "engineer"
    ADMIN = "admin"


@app.command("list")
def list_bindings(project: Project = "default") -> None:
    """Lists the role bindings of a project, the newest first."""
    table = Table("principal", "role", "made", "by", box=None)
    with connected(project) as client:
        for binding in listed(client.identity.ListRoleBindings, asked(client.parent)):
            made = binding.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
            # A name is text: what looks like markup in it is not.
            table.add_row(
                Text(binding.principal), word_of(binding), made, "invitation" if binding.invitation else "an admin"
            )
    Console().print(table)


@app.command()
def grant(principal: Principal, role: Role, project: Project = "default") -> None:
    """Gives a role in a project to a principal."""
    with connected(project) as client:
        binding = pb.RoleBinding(principal=principal, role=auth_pb2.Role.Value(f"ROLE_{role.upper()}"))
        client.identity.CreateRoleBinding(pb.CreateRoleBindingRequest(parent=client.parent, role_binding=binding))
    typer.echo(f"{principal} is {role} of {project} now")


@app.command()
def revoke(principal: Principal, role: Role, project: Project = "default") -> None:
    """Takes a role in a project from a principal; it counts nowhere after five seconds."""
    with connected(project) as client:
        bindings = listed(client.identity.ListRoleBindings, asked(client.parent))
        found = [one for one in bindings if (one.principal, word_of(one)) == (principal, role)]
        if not found:
            raise failed(
                f"{principal} has no binding as {role} in {project}: `cultivar role list` shows those that exist"
            )
        client.identity.DeleteRoleBinding(pb.DeleteRoleBindingRequest(name=found[0].name))
    typer.echo(f"{principal} is {role} of {project} no more, unless their token says so")


def asked(parent: str) -> pb.ListRoleBindingsRequest:
    """Returns the request for the first page of bindings."""
    return pb.ListRoleBindingsRequest(parent=parent, page_size=PAGE)


def word_of(binding: pb.RoleBinding) -> str:
    """Returns the word for the role of a binding."""
    return auth_pb2.Role.Name(binding.role).removeprefix("ROLE_").lower()
