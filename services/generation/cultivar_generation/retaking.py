"""What a retry takes back of a run: the calls that failed, so that they are made again."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, File, decode_shard
from cultivar_service.artifacts import Output
from cultivar_service.holds import Hold
from cultivar_service.runs import RETRIED
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation import yields
from cultivar_generation.coverage import added
from cultivar_generation.plan import Call, Calls, pick_of


async def take_back(store: ArtifactStore, hold: Hold, kind: str, calls: Calls) -> None:
    """Makes the failed calls of a run's committed parts unmade: their rows and counts go, what they cost stays.

    kind: that of the artifact with the rows of calls.
    """
    output, parts, causes = Output(store, hold), dict[int, dict[str, File]](), dict[str, str]()
    async with hold.database.begin() as connection:
        found = await output.numbered(connection, kind)
    for number, file in found.items():
        table = await asyncio.to_thread(decode_shard, await store.read(hold.run.project, file.sha256))
        failed = pc.equal(table["state"], "failed")
        if gone := table.filter(failed).select(["id", "cause"]).to_pylist():
            causes |= {row["id"]: row["cause"] for row in gone}
            parts[number] = await output.put(kind, number, table.filter(pc.invert(failed)))
    again = await asyncio.to_thread(lambda: [calls.planned(pick_of(identifier)) for identifier in causes])
    cursor: dict[str, Any] = {
        RETRIED: False,
        "unmade": [*hold.cursor.get("unmade", []), *(pick_of(call.id) for call in again)],
        "coverage": added(hold.cursor.get("coverage", {}), ((call.aims, -call.asked, 0) for call in again)),
    }
    async with hold.commit(add={"failed": -len(causes)} if causes else {}, **cursor) as connection:
        for number, files in parts.items():
            await output.replace(connection, kind, number, files)
        await forget_failures(connection, hold, again, causes)


async def forget_failures(
    connection: AsyncConnection, hold: Hold, calls: Iterable[Call], causes: Mapping[str, Any]
) -> None:
    """Takes failed calls out of what is known of their prompts."""
    by_prompt: dict[str, list[Call]] = {}
    for call in calls:
        by_prompt.setdefault(call.prompt.versioned_name, []).append(call)
    for group in by_prompt.values():
        reasons = Counter({cause: -count for cause, count in Counter(causes[call.id] for call in group).items()})
        counts = Counter(failed=-len(group))
        await yields.add_yield(connection, hold.run.project, hold.run.id, group[0].prompt, counts, reasons)
