"""The tables of review.

Leases come and go and leave no audit row; a queue, each review and each close leave one.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cultivar_records import Example
from cultivar_service import leases
from cultivar_service.audit import record_change
from cultivar_service.errors import InvalidArgument, StaleLease
from cultivar_service.names import new_id
from cultivar_service.paging import Page, decode_token, encode_token
from cultivar_service.principal import Principal
from cultivar_service.tables import change
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_review.errors import AlreadyReviewed, QueueClosed, QueueExists, QueueUnknown, TaskUnknown
from cultivar_review.queues import Counts, Queue, QueueSpec
from cultivar_review.reviews import Review, Reviewed, edits

TIME = TIMESTAMP(timezone=True)
OPEN, CLOSING, CLOSED = "OPEN", "CLOSING", "CLOSED"
OUTPUTS = ("accepted", "declined", "unreviewed", "reviews")
INSERTED_AT_ONCE = 500
SUBMIT = "submit review"

metadata = sa.MetaData()
queues = sa.Table(
    "queue",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("uid", sa.Text),
    sa.Column("project", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("request_digest", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("spec", JSONB),
    sa.Column("state", sa.Text),
    sa.Column("examples", sa.BigInteger),
    sa.Column("tasks", sa.BigInteger),
    sa.Column("failed_closes", sa.Integer),
    *(sa.Column(output, sa.Text) for output in OUTPUTS),
    sa.Column("create_time", TIME),
    sa.Column("close_time", TIME),
)
tasks = sa.Table(
    "task",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("project", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("position", sa.Integer),
    sa.Column("example", JSON),
    sa.Column("seeds", JSON),
    sa.Column("reviewed", sa.Boolean),
    sa.Column("holder", sa.Text),
    sa.Column("released_by", ARRAY(sa.Text)),
    sa.Column("lease_time", TIME),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_token", sa.BigInteger),
    sa.Column("lease_until", TIME),
)
reviews = sa.Table(
    "review",
    metadata,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("project", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("example", sa.Text),
    sa.Column("lease_token", sa.BigInteger),
    sa.Column("reviewer", sa.Text),
    sa.Column("body", JSONB),
    sa.Column("decision", sa.Text),
    sa.Column("edited", sa.Boolean),
    sa.Column("label", sa.Text),
    sa.Column("strategy", sa.Text),
    sa.Column("prompt", sa.Text),
    sa.Column("seconds", sa.Double),
    sa.Column("submit_time", TIME),
)


async def add_queue(
    connection: AsyncConnection,
    principal: Principal,
    name: str,
    request: tuple[str, str],
    spec: QueueSpec,
    rows: int,
    drawn: Sequence[Example],
    seeds: Mapping[str, Example],
) -> None:
    """Adds a queue of `request` (id, digest) with its tasks; has no effect where the same request made it before.

    Raises QueueExists where the name is taken, InvalidArgument where the request's id is.
    """
    project = name.split("/")[1]
    values = {
        "name": name,
        "uid": new_id(),
        "project": project,
        "request_id": request[0] or None,
        "request_digest": request[1],
        "principal": principal.name,
        "spec": spec.model_dump(mode="json"),
        "examples": rows,
        "tasks": len(drawn),
    }
    placed = insert(queues).values(values).on_conflict_do_nothing().returning(queues.c.name)
    if (await connection.execute(placed)).first() is None:
        await repeated(connection, name, request)
        return
    for start in range(0, len(drawn), INSERTED_AT_ONCE):
        some = enumerate(drawn[start : start + INSERTED_AT_ONCE], start)
        rows_of_tasks = [task_row(name, project, position, example, seeds) for position, example in some]
        await connection.execute(sa.insert(tasks), rows_of_tasks)
    await record_change(connection, principal, project, "create queue", name)


def task_row(queue: str, project: str, position: int, example: Example, seeds: Mapping[str, Example]) -> dict[str, Any]:
    """Returns the row of a task that nobody has leased yet."""
    shown = [seeds[seed].model_dump(mode="json") for seed in example.provenance.seeds if seed in seeds]
    return {
        "name": f"{queue}/tasks/{example.id}",
        "project": project,
        "queue": queue,
        "position": position,
        "example": example.model_dump(mode="json"),
        "seeds": shown,
    }


async def repeated(connection: AsyncConnection, name: str, request: tuple[str, str]) -> bool:
    """Tells whether a request has made its queue; raises where the queue's name or the request's id is another's."""
    project, (request_id, digest) = name.split("/")[1], request
    same = sa.and_(queues.c.project == project, queues.c.request_id == request_id)
    found = (await connection.execute(sa.select(queues).where(sa.or_(queues.c.name == name, same)))).mappings().all()
    for row in found:
        if request_id and row["request_id"] == request_id:
            if row["request_digest"] == digest:
                return True
            raise InvalidArgument(
                f"request_id {request_id!r} was used for another queue: take a new id for another request",
                field="request_id",
                reason="REQUEST_ID_REUSED",
            )
    if found:
        raise QueueExists(name)
    return False


async def get_queue(connection: AsyncConnection, name: str, *, keep: bool = False) -> Queue:
    """Returns a queue, whose state cannot change before the transaction ends if `keep`; raises QueueUnknown."""
    found = sa.select(queues).where(queues.c.name == name)
    row = (await connection.execute(found.with_for_update(read=True) if keep else found)).mappings().first()
    if row is None:
        raise QueueUnknown(name)
    return Queue.of(row)


async def get_open_queue(connection: AsyncConnection, name: str) -> Queue:
    """Returns a queue that stays open until the transaction ends; raises QueueUnknown or QueueClosed."""
    queue = await get_queue(connection, name, keep=True)
    if queue.state != OPEN:
        raise QueueClosed(name)
    return queue


async def list_queues(connection: AsyncConnection, project: str, size: int, token: str) -> Page[Queue]:
    """Returns a page of the queues of a project, the newest first."""
    found = sa.select(queues).where(queues.c.project == project).order_by(queues.c.uid.desc()).limit(size + 1)
    if before := decode_token(token, "queues"):
        found = found.where(queues.c.uid < before)
    page = [Queue.of(row) for row in (await connection.execute(found)).mappings()]
    return Page(page[:size], encode_token(page[size - 1].uid, "queues") if len(page) > size else "")


async def count(connection: AsyncConnection, found: Iterable[Queue]) -> dict[str, Counts]:
    """Returns how far some queues are, by name; what it costs grows with the reviews and leases, not the tasks."""
    known, number = {queue.name: queue for queue in found}, sa.func.count()
    held = sa.and_(sa.not_(tasks.c.reviewed), tasks.c.lease_until >= sa.func.now())
    leased = sa.select(tasks.c.queue, number.label("leased")).where(tasks.c.queue.in_(known), held)
    decided = sa.select(
        reviews.c.queue,
        number.label("reviewed"),
        number.filter(reviews.c.decision == "accept").label("accepted"),
        number.filter(reviews.c.decision == "decline").label("declined"),
        number.filter(reviews.c.edited).label("edited"),
    ).where(reviews.c.queue.in_(known))
    rows = {name: {"examples": queue.examples, "tasks": queue.tasks} for name, queue in known.items()}
    for statement, key in ((leased, tasks.c.queue), (decided, reviews.c.queue)):
        for row in (await connection.execute(statement.group_by(key))).mappings():
            rows[row["queue"]] |= {name: value for name, value in row.items() if name != "queue"}
    return {name: Counts(**counted) for name, counted in rows.items()}


async def lease(connection: AsyncConnection, queue: Queue, principal: Principal, seat: str) -> sa.RowMapping | None:
    """Leases the task that a seat holds, else one that it let lapse, else a fresh one, else one that it gave back."""
    owner = f"{principal.name}/{seat}" if seat else principal.name
    # Two windows of one seat that ask at once must not get a task each.
    await connection.execute(
        sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"{queue.name} {owner}", 0)))
    )
    column, seconds = tasks.c, float(queue.spec.lease_seconds)
    waiting = sa.and_(column.queue == queue.name, sa.not_(column.reviewed))
    own = sa.and_(waiting, column.lease_owner == owner, column.holder == principal.name)
    live = sa.select(column.name, column.lease_token).where(own, sa.not_(leases.lapsed(tasks))).with_for_update()
    held = (await connection.execute(live)).first()
    if held is not None:
        return await leases.renew(connection, tasks, column.name == held.name, held.lease_token, seconds)
    fresh = sa.and_(waiting, sa.literal(owner) != sa.all_(column.released_by))
    values = {"holder": principal.name, "lease_time": sa.func.now()}
    for where in (own, fresh, waiting):
        taken = await leases.take(
            connection, tasks, where=where, order=column.position, owner=owner, seconds=seconds, values=values
        )
        if taken is not None:
            return taken
    return None


async def free_time(connection: AsyncConnection, queue: str) -> datetime | None:
    """Returns when the first lease of a queue lapses; None where every task is reviewed."""
    waiting = sa.and_(tasks.c.queue == queue, sa.not_(tasks.c.reviewed))
    if not (await connection.execute(sa.select(sa.exists().where(waiting)))).scalar_one():
        return None
    found = sa.select(sa.func.coalesce(sa.func.min(tasks.c.lease_until), sa.func.now())).where(waiting)
    time: datetime = (await connection.execute(found)).scalar_one()
    return time


async def extend(
    connection: AsyncConnection, queue: Queue, name: str, principal: Principal, token: int
) -> sa.RowMapping:
    """Holds a task for longer; raises TaskUnknown or StaleLease."""
    await get_task(connection, name)
    return await leases.renew(connection, tasks, held_by(name, principal), token, float(queue.spec.lease_seconds))


async def release(connection: AsyncConnection, name: str, principal: Principal, token: int) -> None:
    """Gives a task back, to be offered to the same seat again last; raises TaskUnknown or StaleLease."""
    await get_task(connection, name)
    given = sa.func.array_append(tasks.c.released_by, tasks.c.lease_owner)
    values = {**leases.RELEASED, "holder": "", "released_by": given}
    await leases.change_held(connection, tasks, held_by(name, principal), token, values)


def held_by(name: str, principal: Principal) -> sa.ColumnElement[bool]:
    """Returns the condition that picks a task that a principal leased last."""
    return sa.and_(tasks.c.name == name, tasks.c.holder == principal.name)


async def get_task(connection: AsyncConnection, name: str) -> sa.RowMapping:
    """Returns a task, which nobody else changes before the transaction ends; raises TaskUnknown."""
    row = (await connection.execute(sa.select(tasks).where(tasks.c.name == name).with_for_update())).mappings().first()
    if row is None:
        raise TaskUnknown(name)
    return row


async def find_own_review(connection: AsyncConnection, name: str, principal: Principal, token: int) -> Reviewed | None:
    """Returns the review that a lease has submitted before; raises StaleLease where another lease has."""
    row = (await connection.execute(sa.select(reviews).where(reviews.c.task == name))).mappings().first()
    if row is None:
        return None
    if row["lease_token"] != token or row["reviewer"] != principal.name:
        raise StaleLease(
            "the lease has lapsed and another review of the task stands; nothing was changed: ask for the next task"
        )
    return Reviewed.of(row)


async def submit(
    connection: AsyncConnection, queue: Queue, task: sa.RowMapping, principal: Principal, token: int, review: Review
) -> Reviewed:
    """Stores the review of a task that is held; the same again is returned.

    Raises AlreadyReviewed where the lease submitted another review, StaleLease, or QueueClosed.
    """
    earlier = await find_own_review(connection, task["name"], principal, token)
    if earlier is not None and earlier.review != review:
        raise AlreadyReviewed(task["name"])
    if earlier is not None:
        return earlier
    if queue.state != OPEN:
        raise QueueClosed(queue.name)
    held = held_by(task["name"], principal)
    await leases.change_held(connection, tasks, held, token, {**leases.RELEASED, "reviewed": True})
    example = Example.model_validate(task["example"])
    values = {
        **{name: task[name] for name in ("project", "queue")},
        "task": task["name"],
        "example": example.id,
        "lease_token": token,
        "reviewer": principal.name,
        "body": review.model_dump(mode="json"),
        "decision": review.decision,
        "edited": edits(review),
        "label": (example.label or "").replace("\x00", ""),
        "strategy": example.provenance.strategy,
        "prompt": example.provenance.prompt,
        "seconds": sa.extract("epoch", sa.func.clock_timestamp() - task["lease_time"]),
    }
    stored = (await connection.execute(sa.insert(reviews).values(values).returning(reviews))).mappings().one()
    await record_change(connection, principal, task["project"], SUBMIT, task["name"])
    return Reviewed.of(stored)


async def list_reviews(connection: AsyncConnection, queue: str, size: int, token: str) -> Page[Reviewed]:
    """Returns a page of the reviews of a queue, by example id."""
    found = sa.select(reviews).where(reviews.c.queue == queue).order_by(reviews.c.example).limit(size + 1)
    if after := decode_token(token, "reviews"):
        found = found.where(reviews.c.example > after)
    page = [Reviewed.of(row) for row in (await connection.execute(found)).mappings()]
    return Page(page[:size], encode_token(page[size - 1].example, "reviews") if len(page) > size else "")


async def all_reviews(connection: AsyncConnection, queue: str) -> AsyncIterator[Reviewed]:
    """Yields every review of a queue, by example id."""
    found = sa.select(reviews).where(reviews.c.queue == queue).order_by(reviews.c.example)
    async with connection.stream(found) as rows:
        async for row in rows.mappings():
            yield Reviewed.of(row)


async def reviews_of(connection: AsyncConnection, queue: str, examples: Sequence[str]) -> dict[str, Reviewed]:
    """Returns the reviews of some examples, by example id."""
    found = sa.select(reviews).where(
        reviews.c.queue == queue, reviews.c.example == sa.any_(sa.literal(list(examples), ARRAY(sa.Text)))
    )
    return {row["example"]: Reviewed.of(row) for row in (await connection.execute(found)).mappings()}


async def begin_close(connection: AsyncConnection, principal: Principal, name: str) -> Queue:
    """Lets an open queue take no more reviews; every review that was acknowledged is there from now on."""
    mine = sa.and_(queues.c.name == name, queues.c.state == OPEN)
    if (await connection.execute(sa.update(queues).where(mine).values(state=CLOSING))).rowcount:
        await record_change(connection, principal, name.split("/")[1], "close queue", name)
    return await get_queue(connection, name)


async def end_close(connection: AsyncConnection, name: str, digests: Mapping[str, str]) -> None:
    """Closes a queue with the digests of its artifacts."""
    values = {"state": CLOSED, "close_time": sa.func.clock_timestamp(), **digests}
    await connection.execute(sa.update(queues).where(queues.c.name == name).values(values))


async def count_failed_close(connection: AsyncConnection, queue: Queue) -> None:
    """Lets the next close of a queue be a new attempt."""
    mine = sa.and_(queues.c.name == queue.name, queues.c.failed_closes == queue.failed_closes)
    await connection.execute(sa.update(queues).where(mine).values(failed_closes=queue.failed_closes + 1))


async def all_queues(connection: AsyncConnection, project: str) -> list[Queue]:
    """Returns every queue of a project."""
    found = sa.select(queues).where(queues.c.project == project)
    return [Queue.of(row) for row in (await connection.execute(found)).mappings()]


async def unequal_tasks(connection: AsyncConnection, project: str) -> list[str]:
    """Returns the tasks that say they are reviewed and have no review, or the other way round."""
    joined = tasks.outerjoin(reviews, reviews.c.task == tasks.c.name)
    unequal = tasks.c.reviewed != reviews.c.task.is_not(None)
    found = sa.select(tasks.c.name).select_from(joined).where(tasks.c.project == project, unequal)
    return list((await connection.execute(found)).scalars())


async def unrecorded(connection: AsyncConnection, project: str) -> list[str]:
    """Returns the reviews without the audit row of who made them."""
    row = change.c
    told = sa.exists().where(row.project == project, row.action == SUBMIT, row.resource == reviews.c.task)
    found = sa.select(reviews.c.task).where(reviews.c.project == project, sa.not_(told))
    return list((await connection.execute(found)).scalars())
