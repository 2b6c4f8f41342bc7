"""Somebody at a terminal who types commands of the program."""

import asyncio
from dataclasses import dataclass

import pytest
from cultivar.cli.main import app
from cultivar_service.serving import Host
from typer.testing import CliRunner, Result


@dataclass(frozen=True)
class Terminal:
    """Types commands; its environment lasts as long as the test."""

    environment: pytest.MonkeyPatch

    def at(self, host: Host, token: str = "") -> None:
        """Lets commands go to a host, with its own token or another."""
        self.environment.setenv("CULTIVAR_ADDRESS", host.listening.address)
        self.environment.setenv("CULTIVAR_TOKEN", token or host.token)
        # Tables are cut to the width.
        self.environment.setenv("COLUMNS", "200")

    async def __call__(self, *words: str) -> Result:
        """Types a command, and returns what it printed and its status."""
        return await asyncio.to_thread(CliRunner().invoke, app, [*words])
