"""`cultivar demo`: all services in this process, one campaign through the whole loop, and its report."""

import asyncio
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from cultivar.cli.calling import calling_errors
from cultivar.cli.campaign import end, follow, read, start
from cultivar.client import Client
from cultivar.connection import find_connection
from cultivar_service.logs import configure_logs
from cultivar_service.serving import Host, until_signal
from cultivar_service.settings import Settings

from cultivar_standalone.up import Up, run_up

LOG_FILE = "demo.log"


@dataclass
class Demo:
    """One campaign from its file to its report."""

    file: Path
    output: Path
    person: bool
    data_dir: Path

    def config(self) -> dict[str, Any]:
        """Reads the campaign file; with a person, it is that person who reviews."""
        config = read(self.file)
        by = {"by": "person"} if self.person else {}
        return {**config, "review": {**config.get("review", {}), **by}}

    def play(self, client: Client) -> None:
        """Runs the campaign and writes its report."""
        with calling_errors():
            campaign = start(client, self.config(), self.file.parent)
            typer.echo(
                f"The campaign {campaign.name.rpartition('/')[2]} goes through the whole loop; Ctrl-C ends it.\n"
            )
            end(client, follow(client, campaign.name), self.output)

    async def until_done(self) -> None:
        """Waits for the campaign's end, or for a signal, which ends the demonstration."""
        client = Client(find_connection(self.data_dir))
        playing = asyncio.create_task(asyncio.to_thread(self.play, client))
        stopped = asyncio.create_task(until_signal())
        await asyncio.wait({playing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        client.channel.close()
        if playing.done():
            stopped.cancel()
            return playing.result()
        # What the closed channel raises in the thread is not the person's concern: it was they who stopped it.
        await asyncio.gather(playing, return_exceptions=True)
        typer.echo(f"\nStopped. `cultivar up --data-dir {self.data_dir}` lets the campaign go on.")

    async def run(self, settings: Settings, ready: Callable[[Host], None]) -> None:
        """Starts everything, plays, and ends everything. Raises StartError."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / LOG_FILE).open("a") as log:
            # Log lines would tear what is watched.
            with redirect_stderr(log):
                configure_logs(settings.log_format)
            await run_up(Up(self.data_dir), settings, ready, self.until_done)
