"""What services are wired from, and what a service gives to be served."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import grpc
from cultivar_artifacts import ArtifactStore, S3Settings, open_store
from cultivar_artifacts.tables import create_artifact_schema
from cultivar_launchers import Launcher
from cultivar_models import Endpoint

from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.peers import open_channel
from cultivar_service.settings import Settings


class StartError(Exception):
    """Something that a service needs at its start is missing; the message says what to do."""


class Models(Protocol):
    """Knows where the models of Cultivar's own teachers application are served."""

    async def endpoint(self, model: str) -> Endpoint:
        """Returns the endpoint of a model, starting the application at its first use."""
        ...


@dataclass(frozen=True)
class ServedModels:
    """The teachers application at an address that the settings give."""

    url: str
    key: str

    async def endpoint(self, model: str) -> Endpoint:
        """Returns the endpoint of a model of the application."""
        return Endpoint(url=self.url, model=model, api_key=self.key or None)


@dataclass
class Parts:
    """The stores and connections that services are built from."""

    settings: Settings
    store: ArtifactStore
    models: Models
    channel: grpc.aio.Channel
    launcher: Launcher | None = None
    # Where the web pages listen, once they do so in this process.
    console: str = ""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def console_url(self) -> str:
        """Returns where reviewers reach the web pages; empty where nobody knows."""
        settings = self.settings
        fixed = f"http://{settings.host}:{settings.console_port}" if settings.console_port else ""
        return settings.console_url.rstrip("/") or self.console or fixed

    async def database(self, schema: str, *chains: Path) -> Database:
        """Opens the schema of a service, at its newest revision; closed with the process."""
        database = Database(self.settings.database_url, schema)
        self.stack.push_async_callback(database.close)
        await database.migrate(*chains)
        return database


@dataclass
class Service:
    """What one service gives to be served."""

    name: str
    packages: Sequence[str] = ()
    url: str = ""
    # Makes a link that signs whoever opens it in, once.
    link: Callable[[], str] | None = None
    add: Callable[[grpc.aio.Server], None] = lambda server: None
    engine: Engine | None = None
    database: Database | None = None
    start: Callable[[], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None


Build = Callable[[Parts], Awaitable[Service]]


async def open_parts(settings: Settings, address: str, token: str) -> Parts:
    """Opens the store, the shared artifact schema and the channel to the other services."""
    if not settings.database_url:
        raise StartError("no database is set: give CULTIVAR_DATABASE_URL as postgresql://user@host/database")
    if not settings.artifacts:
        raise StartError("no artifact store is set: give CULTIVAR_ARTIFACTS as a folder or s3://bucket/prefix")
    s3 = S3Settings(
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        tls=settings.s3_tls,
    )
    parts = Parts(
        settings=settings,
        store=open_store(settings.artifacts, s3),
        models=ServedModels(settings.teachers_url, settings.teachers_key.get_secret_value()),
        channel=open_channel(settings.peers or address, token),
    )
    parts.stack.push_async_callback(parts.channel.close)
    await make_artifact_schema(settings.database_url)
    return parts


async def make_artifact_schema(database_url: str) -> None:
    """Makes the schema that every service reads and inserts into."""
    database = Database(database_url, "artifacts", pool_size=1)
    try:
        async with database.begin() as connection:
            await create_artifact_schema(connection)
    finally:
        await database.close()
