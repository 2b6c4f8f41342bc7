"""A repeated `request_id` gives the first answer and one effect, for calls that make no run."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import tables
from cultivar_service.database import Database
from cultivar_service.errors import InvalidArgument
from cultivar_service.names import project_of
from cultivar_service.runs import digest_of_request

KEPT = timedelta(days=7)
Response = TypeVar("Response", bound=Message)


async def once(
    database: Database,
    request: Message,
    response_type: type[Response],
    effect: Callable[[AsyncConnection], Awaitable[Response]],
    secrets: tuple[str, ...] = (),
) -> Response:
    """Performs an effect in a transaction, and once alone for each `request_id` of the request's project.

    The answer is kept for 7 days, without the fields that are secrets. Raises InvalidArgument where the id was used
    with another body.
    """
    request_id = str(getattr(request, "request_id", ""))
    async with database.begin() as connection:
        if not request_id:
            return await effect(connection)
        key = key_of(request, request_id)
        digest = digest_of_request(request)
        # The row is taken before the effect, so that the same request sent twice at once waits here for the first.
        placed = insert(tables.request).values(**key, digest=digest, response=b"").on_conflict_do_nothing()
        if (await connection.execute(placed.returning(tables.request.c.digest))).first() is None:
            return await _first_answer(connection, key, digest, response_type)
        response = await effect(connection)
        kept = response_type.FromString(response.SerializeToString())
        for secret in secrets:
            kept.ClearField(secret)
        mine = [tables.request.c[name] == value for name, value in key.items()]
        await connection.execute(sa.update(tables.request).where(*mine).values(response=kept.SerializeToString()))
        await connection.execute(sa.delete(tables.request).where(tables.request.c.create_time < sa.func.now() - KEPT))
        return response


async def first_answer(database: Database, request: Message, response_type: type[Response]) -> Response | None:
    """Returns the first answer to a request that is repeated, None where it is new.

    For a call that does something dear before its effect. Raises InvalidArgument as `once` does.
    """
    request_id = str(getattr(request, "request_id", ""))
    if not request_id:
        return None
    key = key_of(request, request_id)
    async with database.begin() as connection:
        mine = [tables.request.c[name] == value for name, value in key.items()]
        if (await connection.execute(sa.select(tables.request.c.digest).where(*mine))).first() is None:
            return None
        return await _first_answer(connection, key, digest_of_request(request), response_type)


def key_of(request: Message, request_id: str) -> dict[str, str]:
    """Returns what a repeated request is known by."""
    return {
        "project": project_of(str(getattr(request, "parent", "") or getattr(request, "name", ""))),
        "method": request.DESCRIPTOR.name,
        "request_id": request_id,
    }


async def _first_answer(
    connection: AsyncConnection, key: dict[str, str], digest: str, response_type: type[Response]
) -> Response:
    mine = [tables.request.c[name] == value for name, value in key.items()]
    row = (await connection.execute(sa.select(tables.request).where(*mine))).mappings().one()
    if row["digest"] != digest:
        raise InvalidArgument(
            f"request_id {key['request_id']!r} was used for another request: take a new id",
            field="request_id",
            reason="REQUEST_ID_REUSED",
        )
    return response_type.FromString(bytes(row["response"]))
