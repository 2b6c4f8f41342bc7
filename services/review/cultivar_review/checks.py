"""What an audit checks of queues, tasks and reviews."""

from cultivar_artifacts.tables import find_manifest
from cultivar_service.audit import Finding
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_review import store
from cultivar_review.queues import Queue

PARTS = ("accepted", "declined", "unreviewed")


async def audit(connection: AsyncConnection, project: str) -> tuple[list[Finding], dict[str, int]]:
    """Returns what was checked of a project, and the rows of the artifacts that its queues made."""
    queues = await store.all_queues(connection, project)
    counts = await store.count(connection, queues)
    rows: dict[str, int] = {}
    for queue in queues:
        rows |= await rows_of(connection, queue)
    closed = [queue for queue in queues if queue.state == store.CLOSED]
    lost = [
        queue.name for queue in closed if sum(rows.get(getattr(queue, kind), 0) for kind in PARTS) != queue.examples
    ]
    unlike = [
        queue.name
        for queue in closed
        if (rows.get(queue.accepted), rows.get(queue.declined), rows.get(queue.reviews))
        != (counts[queue.name].accepted, counts[queue.name].declined, counts[queue.name].reviewed)
    ]
    tasks = sum(counted.tasks for counted in counts.values())
    reviews = sum(counted.accepted + counted.declined for counted in counts.values())
    findings = [
        Finding("every reviewed task has one review", tasks, await store.unequal_tasks(connection, project)),
        Finding("every review has the audit row of who made it", reviews, await store.unrecorded(connection, project)),
        Finding("the artifacts of a closed queue hold each of its examples once", len(closed), lost),
        Finding("the artifacts of a closed queue hold what its reviews decided", len(closed), unlike),
    ]
    return findings, {f"{digest}/rows": number for digest, number in rows.items()}


async def rows_of(connection: AsyncConnection, queue: Queue) -> dict[str, int]:
    """Returns the rows of the artifacts that a closed queue made, by digest."""
    digests = [digest for kind in store.OUTPUTS if (digest := getattr(queue, kind))]
    found = [await find_manifest(connection, queue.project, digest) for digest in digests]
    return {manifest.digest: manifest.rows for manifest in found if manifest is not None}
