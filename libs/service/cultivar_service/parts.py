"""What services are wired from, and what a service gives to be served."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import grpc
from cultivar_artifacts import ArtifactStore, BucketMissing, S3Settings, StoreUnavailable, open_store
from cultivar_launchers import Launcher
from cultivar_models import Endpoint

from cultivar_service.database import Database
from cultivar_service.engine import Engine
from cultivar_service.errors import StartError
from cultivar_service.identity import Identity
from cultivar_service.logs import log
from cultivar_service.migration import ARTIFACTS, migrate
from cultivar_service.peers import open_channel
from cultivar_service.schemas import require_newest, require_usable
from cultivar_service.settings import Settings
from cultivar_service.tokens import PersonTokens, Tokens


class Models(Protocol):
    """Knows where the models of Cultivar's own teachers application are served."""

    async def endpoint(self, model: str) -> Endpoint:
        """Returns the endpoint of a model, starting the application at its first use."""
        ...


STORE_SECONDS = 3.0


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
    """The stores and connections that services are built from; each is opened when a service first asks for it."""

    settings: Settings
    address: str
    identity: Identity
    models: Models
    launcher: Launcher | None = None
    # Where the web pages listen, once they do so in this process.
    console: str = ""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _channel: grpc.aio.Channel | None = None

    @cached_property
    def store(self) -> ArtifactStore:
        """The artifact store; raises StartError where none is set."""
        settings = self.settings
        if not settings.artifacts:
            raise StartError("no artifact store is set: give CULTIVAR_ARTIFACTS as a folder or s3://bucket/prefix")
        s3 = S3Settings(
            endpoint=settings.s3_endpoint,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key.get_secret_value(),
            tls=settings.s3_tls,
        )
        return open_store(settings.artifacts, s3)

    async def require_bucket(self) -> None:
        """Raises StartError where the store that a service asked for has no bucket; one that is away may come back."""
        if "store" not in self.__dict__:
            return
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self.store.exists("default", "0" * 64)
        except BucketMissing as error:
            raise StartError(str(error)) from error
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("store_away", error=type(error).__name__)

    @property
    def channel(self) -> grpc.aio.Channel:
        """What reaches all services, those of this process too unless the settings say where they are."""
        if self._channel is None:
            self._channel = self._open_channel(self.identity.own)
        return self._channel

    def person_channel(self) -> grpc.aio.Channel:
        """Returns the channel for calls on behalf of who is signed in; with the local token there is one for all."""
        if self.identity.oidc is None:
            return self.channel
        channel = self._open_channel(PersonTokens())
        self.stack.push_async_callback(channel.close)
        return channel

    def _open_channel(self, tokens: Tokens | None) -> grpc.aio.Channel:
        ca, address = self.settings.tls_ca, self.settings.peers or self.address
        named = {"tls_ca": str(ca) if ca else "", "tls_name": self.settings.tls_name}
        return open_channel(address, self.identity.token, tokens, **named)

    async def close_channel(self) -> None:
        """Closes what reaches the services; calls under way end."""
        if self._channel is not None:
            await self._channel.close()

    def console_url(self) -> str:
        """Returns where reviewers reach the web pages; empty where nobody knows."""
        settings = self.settings
        # A host of every interface is no address that a person could open.
        here = settings.console_port and settings.host not in ("0.0.0.0", "::")
        fixed = f"http://{settings.host}:{settings.console_port}" if here else ""
        return settings.console_url.rstrip("/") or self.console or fixed

    async def database(self, schema: str, *chains: Path) -> Database:
        """Opens the schema of a service with the tables of its chains; closed with the process.

        Raises StartError for a role that may not use the schema, and for a schema that is older than this program.
        """
        if not self.settings.database_url:
            raise StartError("no database is set: give CULTIVAR_DATABASE_URL as postgresql://user@host/database")
        if self.settings.migrate:
            await migrate(self.settings.database_url, {schema: chains})
        database = Database(self.settings.database_url, schema, connections=self.settings.database_connections)
        self.stack.push_async_callback(database.close)
        await require_usable(database, ARTIFACTS)
        await require_usable(database, schema)
        await require_newest(database, *chains)
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


def open_parts(settings: Settings, address: str, identity: Identity) -> Parts:
    """Returns the parts of a process that listens at an address."""
    models = ServedModels(settings.teachers_url, settings.teachers_key.get_secret_value())
    parts = Parts(settings, address, identity, models)
    parts.stack.push_async_callback(identity.close)
    return parts
