"""`cultivar migrate`: the schemas of all services, and the roles that may use them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cultivar_service.database import no_database
from cultivar_service.errors import StartError, Unavailable
from cultivar_service.migration import let_in, migrate

from cultivar_standalone.mounts import SCHEMAS


@dataclass(frozen=True)
class Migration:
    """What `cultivar migrate` was told."""

    database_url: str
    role_prefix: str
    make_roles: bool
    passwords: Path | None

    async def run(self, say: Callable[[str], None]) -> None:
        """Migrates, lets roles in, and says what was done; raises StartError."""
        roles = {schema: f"{self.role_prefix}{schema}" for schema in SCHEMAS} if self.role_prefix else {}
        passwords = self._read_passwords()
        try:
            await migrate(self.database_url, SCHEMAS)
            await let_in(self.database_url, roles, passwords, make=self.make_roles)
        except Unavailable as error:
            raise StartError(no_database(error)) from error
        say(f"{len(SCHEMAS)} schemas are at their newest revision" + (f", {len(roles)} roles let in" if roles else ""))

    def _read_passwords(self) -> dict[str, str]:
        if self.passwords is None:
            return {}
        files = {schema: self.passwords / schema for schema in SCHEMAS}
        try:
            return {schema: file.read_text().strip() for schema, file in files.items() if file.exists()}
        except OSError as error:
            raise StartError(f"{error.filename} cannot be read: {error.strerror}; check --passwords") from error
