"""`cultivar doctor`: what is found, line by line."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from cultivar_service.doctor import examine
from cultivar_service.settings import Settings

from cultivar_standalone.mounts import SCHEMAS

MARKS = {"fine": "✓", "wrong": "✗", "skipped": "–"}


@dataclass
class Doctor:
    """Looks at everything that the settings name; `wrong` counts what is."""

    settings: Settings
    project: str
    wrong: int = 0

    async def run(self, say: Callable[[str], None]) -> None:
        """Says what is found, and how much of it is wrong."""
        say(f"cultivar {version('cultivar')}")
        async for finding in examine(self.settings, SCHEMAS, self.project):
            self.wrong += finding.state == "wrong"
            say(f"{MARKS[finding.state]} {finding.what}: {finding.said}")
        say(f"{self.wrong} wrong" if self.wrong else "nothing is wrong")
