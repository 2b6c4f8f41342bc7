"""Seeds that tests share, and how they become an artifact."""

from cultivar.example.v1 import example_pb2
from cultivar_artifacts import ArtifactStore, Manifest, write_shards
from cultivar_artifacts.tables import commit_manifest
from cultivar_records import Example, Message, Provenance, TaskKind, example_id, to_table
from cultivar_service.database import Database

TEXTS = {
    "refund": ["I want my money back for the lamp", "please refund order 12", "the refund has not arrived yet"],
    "delivery": ["where is my parcel", "it should have come on Monday", "the courier never rang the bell"],
}
TASK = example_pb2.Task(
    kind=example_pb2.TASK_KIND_CLASSIFICATION,
    instruction="Sort the message by what the customer wants.",
    labels=list(TEXTS),
)


def seeds(repeat: int = 1) -> list[Example]:
    """Six seeds of two labels, more with `repeat`."""
    made = []
    for number, (label, text) in enumerate((label, text) for label, texts in TEXTS.items() for text in texts * repeat):
        identifier = example_id("seeds", str(number), 0)
        made.append(
            Example(
                id=identifier,
                task=TaskKind.CLASSIFICATION,
                messages=(Message(role="user", content=text), Message(role="assistant", content=label)),
                label=label,
                provenance=Provenance(origin="seed", family=identifier),
            )
        )
    return made


async def commit_examples(
    database_url: str, store: ArtifactStore, examples: list[Example], kind: str = "seeds", project: str = "default"
) -> str:
    """Commits examples as an artifact and returns its name."""
    files = await write_shards(store, project, to_table(examples))
    manifest = Manifest(project=project, kind=kind, rows=len(examples), files=files)
    database = Database(database_url, "artifacts", connections=1)
    async with database.begin() as connection:
        await commit_manifest(connection, store, manifest)
    await database.close()
    return f"projects/{project}/artifacts/{manifest.digest}"
