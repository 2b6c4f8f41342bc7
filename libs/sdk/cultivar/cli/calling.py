"""What every command that calls a server does: connect, and end with one sentence where something is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import grpc
import typer

from cultivar.client import Client, RunFailed
from cultivar.errors import NotConnected, explain
from cultivar.files import TransferFailed

INTERRUPTED = 130
Project = Annotated[str, typer.Option(envvar="CULTIVAR_PROJECT", help="The project.")]


@contextmanager
def connected(project: str) -> Iterator[Client]:
    """Opens a client; what goes wrong is printed as one sentence and ends the program with status 1."""
    with calling_errors(), Client(project=project) as client:
        yield client


@contextmanager
def calling_errors() -> Iterator[None]:
    """Prints what goes wrong in calls as one sentence, and ends the program with status 1."""
    try:
        yield
    except grpc.RpcError as error:
        raise failed(explain(error)) from error
    except (NotConnected, RunFailed, TransferFailed) as error:
        raise failed(str(error)) from error
    except OSError as error:
        raise failed(f"{error.filename or 'a file'}: {error.strerror}") from error


def failed(sentence: str) -> typer.Exit:
    """Prints what went wrong and returns the exit with status 1."""
    typer.echo(f"cultivar: {sentence}", err=True)
    return typer.Exit(1)
