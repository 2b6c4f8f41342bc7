"""What must hold after any fault: every service finds its books in order, and no process is left."""

import asyncio
from pathlib import Path

import psutil
from cultivar.cli.audit import ask_all, disagreements
from cultivar.client import Client
from cultivar.connection import find_connection

from tests.processes import Server


async def ends_whole(server: Server) -> None:
    """Lets every service of a server audit itself, ends it, and looks for what it left."""
    await asyncio.to_thread(holds, Client(find_connection(server.data_dir)))
    assert await server.stop() == 0
    assert left_over(server.data_dir) == []


def holds(client: Client) -> None:
    """Asserts what `cultivar audit` asserts of all services, and closes the client."""
    with client:
        reports, _ = ask_all(client)
    assert reports
    broken = [(report.service, finding) for report in reports for finding in report.findings if not finding.holds]
    assert broken == []
    assert disagreements(reports) == []


def left_over(folder: Path) -> list[str]:
    """Processes that name a folder and outlived its server."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in part for part in process.info["cmdline"] or [])
    ]
