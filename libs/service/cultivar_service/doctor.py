"""What `cultivar doctor` looks at: what a service or a client needs from outside, and what to do about it."""

import time
from asyncio import gather
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import grpc
from cultivar.campaigns.v1 import campaigns_pb2, campaigns_pb2_grpc
from cultivar.channel import Routes
from cultivar.connection import Connection, find_connection
from cultivar.errors import NotConnected
from cultivar_artifacts import ArtifactError, ArtifactStore, S3Store
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import text

from cultivar_service.database import Database, no_database
from cultivar_service.errors import CultivarError, StartError, Unavailable
from cultivar_service.identity import Identity, open_identity
from cultivar_service.interceptors import VERSION_KEY
from cultivar_service.issuer import Issuer
from cultivar_service.migration import ARTIFACTS, Schemas
from cultivar_service.own_tokens import OwnTokens
from cultivar_service.parts import open_parts
from cultivar_service.peers import PeerRoutes
from cultivar_service.principal import LocalToken
from cultivar_service.schemas import require_newest, require_usable
from cultivar_service.settings import Settings

MOST_SKEW_SECONDS = 5.0
OLDEST_POSTGRES = 14
OURS = version("cultivar")
CALL_SECONDS = 10.0
PROJECT = "cultivar-doctor"
NO_SERVICE = ("failed to connect", "connections to all backends", "errors resolving")
SERVICES = ("campaigns", "datasets", "evaluation", "filtering", "generation", "identity", "review", "training")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; what is wrong says what to do."""

    what: str
    state: Literal["fine", "wrong", "skipped"]
    said: str


class Wrong(Exception):
    """What was looked at is wrong; the message says what to do."""


async def examine(settings: Settings, schemas: Schemas, project: str) -> AsyncIterator[Finding]:
    """Yields what is found of database, clock, schemas, store, issuer, services and token, one after the other."""
    if settings.database_url:
        database = Database(settings.database_url, ARTIFACTS, connections=1)
        yield await found("database", partial(check_database, database))
        yield await found("clock", partial(check_clock, database))
        yield await found("schemas", partial(check_schemas, database, settings.database_url, schemas))
        await database.close()
    else:
        yield Finding("database", "skipped", "CULTIVAR_DATABASE_URL is not set here; `cultivar up` brings its own")
    if settings.artifacts:
        store = open_parts(settings, "", Identity(LocalToken(""))).store
        yield await found("store", partial(check_store, store))
    else:
        yield Finding("store", "skipped", "CULTIVAR_ARTIFACTS is not set here; `cultivar up` keeps artifacts itself")
    if settings.oidc_issuer:
        yield await found("issuer", partial(check_issuer, settings))
    try:
        connection = await connection_of(settings)
    except NotConnected as error:
        yield Finding("services", "skipped", str(error))
        return
    secure: Any = grpc.aio.secure_channel
    routes = PeerRoutes(connection, secure)
    checks = {service: partial(check_health, routes, service) for service in SERVICES}
    checks["token"] = partial(check_token, routes, project)
    # At once, for a call to what is not there is tried for seconds before it fails.
    for finding in await gather(*(found(what, check) for what, check in checks.items())):
        yield finding
    await routes.close()


async def found(what: str, check: Callable[[], Awaitable[str]]) -> Finding:
    """Makes a check, and turns what it raises into what it found."""
    try:
        return Finding(what, "fine", await check())
    except (Wrong, StartError, ArtifactError, NotConnected) as error:
        return Finding(what, "wrong", str(error))
    except Unavailable as error:
        return Finding(what, "wrong", no_database(error))
    except grpc.aio.AioRpcError as error:
        return Finding(what, "wrong", sentence_of(error))


def sentence_of(error: grpc.aio.AioRpcError) -> str:
    """Returns what a failed call says, or what to do where there was no service to say it."""
    said = error.details() or error.code().name
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer within {CALL_SECONDS:.0f} s: see whether it is overloaded, and what its log says"
    if error.code() is not grpc.StatusCode.UNAVAILABLE or not said.startswith(NO_SERVICE):
        return said
    if "SSL" in said or "certificate" in said.lower():
        return "its certificate is not the CA's, or of another name: check CULTIVAR_TLS_CA and CULTIVAR_TLS_NAME"
    return "it does not answer at its address: see that it runs, and check CULTIVAR_PEERS or CULTIVAR_ADDRESS"


async def check_database(database: Database) -> str:
    """Connects; raises Wrong for a server that is too old."""
    async with database.begin() as connection:
        row = (await connection.execute(text("SELECT current_user, current_setting('server_version')"))).one()
    if int(row[1].partition(".")[0]) < OLDEST_POSTGRES:
        raise Wrong(f"PostgreSQL {row[1]} is too old: use {OLDEST_POSTGRES} or newer")
    return f"PostgreSQL {row[1]}, as {row[0]}"


async def check_clock(database: Database) -> str:
    """Compares the database's clock, by which leases lapse, with this machine's; raises Wrong where they differ."""
    async with database.begin() as connection:
        began = time.time()
        theirs = float(await connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)
        skew = theirs - (began + time.time()) / 2
    if abs(skew) > MOST_SKEW_SECONDS:
        raise Wrong(f"the database's clock is {skew:+.1f} s from this machine's: let both follow a time server")
    return f"the database's is {skew:+.3f} s from this machine's"


async def check_schemas(database: Database, url: str, schemas: Schemas) -> str:
    """Looks which schemas the role may use, and whether these are new enough; raises StartError."""
    await require_usable(database, ARTIFACTS)
    mine: list[str] = []
    refused: StartError | None = None
    for schema, chains in schemas.items():
        try:
            await require_usable(database, schema)
        except StartError as error:
            refused = error
            continue
        one = Database(url, schema, connections=1)
        try:
            await require_newest(one, *chains)
        finally:
            await one.close()
        mine.append(schema)
    if not mine and refused is not None:
        raise refused
    return f"at the revision of this program; this role may use {', '.join(mine)}"


async def check_store(store: ArtifactStore) -> str:
    """Writes, reads and removes an object; raises ArtifactError."""
    blob = await store.put(PROJECT, b"written by cultivar doctor")
    await store.read(PROJECT, blob.sha256)
    await store.delete(PROJECT, blob.sha256)
    if not isinstance(store, S3Store):
        return "an object was written, read and removed"
    conditional = "honoured" if await store.honours_conditions() else "ignored, which Cultivar does not mind"
    return f"an object was written, read and removed; conditional writes are {conditional}"


async def check_health(routes: Routes, service: str) -> str:
    """Asks a service how it is and which version; raises Wrong unless it serves and its version goes with ours."""
    stub: Any = health_pb2_grpc.HealthStub(routes.of(service))
    call = stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
    answer = await call
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Wrong(f"{service} does not serve: see whether its database answers, in its log")
    theirs = dict(await call.trailing_metadata()).get(VERSION_KEY, "")
    if apart(theirs, OURS):
        raise Wrong(
            f"serves version {theirs or 'unknown'}, which is more than a minor version from {OURS} here: upgrade the "
            "older of the two"
        )
    return f"serves version {theirs}"


def apart(one: str, other: str) -> bool:
    """Tells whether two versions differ by more than a minor version, or one of them cannot be read."""
    try:
        (major, minor), (other_major, other_minor) = ([int(part) for part in of.split(".")[:2]] for of in (one, other))
    except ValueError:
        return True
    return major != other_major or abs(minor - other_minor) > 1


async def check_token(routes: Routes, project: str) -> str:
    """Makes a call with the token, which needs the least role in the project."""
    channel: Any = routes
    stub: Any = campaigns_pb2_grpc.CampaignsServiceStub(channel)
    request = campaigns_pb2.ListCampaignsRequest(parent=f"projects/{project}", page_size=1)
    await stub.ListCampaigns(request, timeout=CALL_SECONDS)
    return f"the token is valid, and may read projects/{project}"


async def check_issuer(settings: Settings) -> str:
    """Asks the issuer for its keys and for a token of this service, and takes it as another service would.

    Without a client, which a service that calls nobody needs not have, it asks for the keys alone.
    """
    identity = open_identity(settings.model_copy(update={"database_url": ""}))
    assert identity.own is not None and identity.issuer is not None
    try:
        if not settings.oidc_client_id:
            await identity.issuer.metadata()
            return "answers with its keys; CULTIVAR_OIDC_CLIENT_ID is not set here, so this program can call nobody"
        principal = await identity.authenticator.authenticate(await identity.own.token())
    except CultivarError as error:
        raise Wrong(error.message) from error
    return f"answers with its keys, and knows this service as {principal.name}"


async def connection_of(settings: Settings) -> Connection:
    """Returns how the services are reached: as a service does by its peers, else as a client; raises NotConnected."""
    if not settings.peers:
        here = find_connection()
        return here if here.tokens is None else replace(here, token=here.tokens(), tokens=None)
    token = await own_token(settings)
    ca = str(settings.tls_ca) if settings.tls_ca else ""
    return Connection(settings.peers, token, tls_ca=ca, tls_name=settings.tls_name)


async def own_token(settings: Settings) -> str:
    """Returns the token with which a program of these settings calls; raises NotConnected where it has none."""
    try:
        if settings.oidc_issuer:
            return await OwnTokens(settings, Issuer(settings.oidc_issuer, ca=settings.oidc_ca)).token()
        return settings.token_file.read_text().strip()
    except (CultivarError, StartError) as error:
        raise NotConnected(str(error)) from error
    except OSError as error:
        raise NotConnected(
            f"{settings.token_file} cannot be read: {error.strerror}; correct CULTIVAR_TOKEN_FILE"
        ) from error
