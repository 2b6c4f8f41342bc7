"""Somebody at a terminal, with a browser, who signs in at a real issuer."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from cultivar_service.serving import Host
from typer.testing import Result

from tests.issuer import RealIssuer
from tests.terminal import Terminal

PROGRAM = str(Path(sys.executable).with_name("cultivar"))
Answered = Callable[[str], str]


@dataclass
class Desk:
    """Somebody at a terminal, with a browser that has signed in at the issuer before."""

    issuer: RealIssuer
    host: Host
    client_id: str
    name: str
    config: Path
    visited: list[httpx2.Response]
    terminal: Terminal

    @property
    def grants(self) -> Path:
        """The file of what was granted."""
        return self.config / "cultivar" / "grants.json"

    def grant(self) -> dict[str, Any]:
        """What the file holds for the server."""
        kept: dict[str, dict[str, Any]] = json.loads(self.grants.read_text())
        return kept[self.host.listening.address]

    def change(self, **changed: object) -> None:
        """Changes what the file holds for the server."""
        kept = {self.host.listening.address: {**self.grant(), **changed}}
        self.grants.write_text(json.dumps(kept))

    async def typed(self, *words: str) -> Result:
        """Types a command."""
        return await self.terminal(*words)

    async def login(self, *words: str) -> None:
        """Signs in, and fails the test where that fails."""
        done = await self.typed("login", *words)
        assert done.exit_code == 0, done.output

    def browse(self, url: str, answered: Answered = lambda back: back) -> bool:
        """Goes where a browser is sent, in a thread of its own; `answered` may change where the issuer leads back."""

        def going() -> None:
            query = parse_qs(urlsplit(url).query)
            self.issuer.allow(self.client_id, query["redirect_uri"][0])
            back = httpx2.get(url, follow_redirects=False).headers["location"]
            self.visited.append(httpx2.get(answered(back)))

        threading.Thread(target=going).start()
        return True
