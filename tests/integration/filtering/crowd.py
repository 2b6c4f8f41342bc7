"""A crowd of messages to filter, and how its runs are followed."""

import random
from typing import Any

from cultivar.filtering.v1 import filtering_pb2 as pb
from cultivar_artifacts import ArtifactStore, File, load_manifest
from cultivar_records import Example, Message, Provenance, TaskKind, example_id

PARENT = "projects/default"
THINGS = ["lamp", "chair", "table", "vase", "sofa", "mirror", "kettle", "towel", "carpet", "shelf", "clock", "stool"]
TOLD = ["late", "gone", "broken", "wet", "lost", "torn", "here", "again", "never", "came", "twice", "today"]


def crowd(number: int) -> list[Example]:
    """Messages of 8 to 12 words, some of which are near others."""
    chance = random.Random(number)
    made: list[Example] = []
    for place in range(number):
        text = " ".join(chance.choices(THINGS + TOLD, k=chance.randint(8, 12)))
        if place % 3 == 2:
            text = f"{made[chance.randrange(place)].text} please"
        made.append(
            Example(
                id=example_id("crowd", str(place), 0),
                task=TaskKind.CLASSIFICATION,
                messages=(Message(role="user", content=text), Message(role="assistant", content="refund")),
                label="refund",
                provenance=Provenance(origin="candidate", family="a" * 32),
            )
        )
    return made


async def until(stub: Any, run: pb.FilterRun, rows: int) -> pb.FilterRun:
    """Follows a run until it has committed so many rows."""
    async for change in stub.WatchFilterRun(pb.WatchFilterRunRequest(name=run.name)):
        run = change
        if run.run.progress.done >= rows and run.run.progress.counts:
            break
    return run


async def finish(stub: Any, run: pb.FilterRun) -> pb.FilterRun:
    """Follows a run to its end."""
    async for change in stub.WatchFilterRun(pb.WatchFilterRunRequest(name=run.name)):
        run = change
    return run


async def files(store: ArtifactStore, artifact: str) -> list[File]:
    """The shards of an artifact."""
    return list((await load_manifest(store, "default", artifact.split("/")[-1])).files)
