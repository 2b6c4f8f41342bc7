"""Artifacts as services meet them: by resource name, read as examples, and written part by part."""

from collections.abc import AsyncIterator

import pyarrow as pa
from cultivar_artifacts import (
    ArtifactStore,
    File,
    Manifest,
    load_manifest,
    read_shards,
    write_shard,
)
from cultivar_artifacts.tables import add_part, commit_manifest, list_parts, numbered_parts, replace_part
from cultivar_records import Example, from_table
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service.errors import InvalidArgument
from cultivar_service.holds import Hold
from cultivar_service.names import resource_name, split_name

COLLECTION = "artifacts"


def artifact_name(project: str, digest: str) -> str:
    """Returns the resource name of a manifest; the empty digest gives the empty name."""
    return resource_name(project, COLLECTION, digest)


def artifact_digest(project: str, name: str, field: str) -> str:
    """Returns the digest in an artifact's name; raises InvalidArgument for another form or another project."""
    owner, digest = split_name(name, COLLECTION, field)
    if owner != project:
        raise InvalidArgument(f"{field} is of projects/{owner}, and the request is for projects/{project}", field=field)
    return digest


async def open_artifact(store: ArtifactStore, project: str, name: str, field: str) -> Manifest:
    """Reads the manifest of a name; raises InvalidArgument or ArtifactMissing where there is none."""
    return await load_manifest(store, project, artifact_digest(project, name, field))


async def read_examples(store: ArtifactStore, manifest: Manifest) -> AsyncIterator[Example]:
    """Yields the examples of an artifact, shard by shard."""
    async for table in read_shards(store, manifest):
        for example in from_table(table):
            yield example


class Output:
    """What a run writes: shards by kind and part, committed with the cursor, and one manifest a kind at the end."""

    def __init__(self, store: ArtifactStore, hold: Hold) -> None:
        self._store = store
        self._run = hold.run

    async def put(self, kind: str, number: int, rows: pa.Table) -> dict[str, File]:
        """Stores the shard of a part; nothing where it has no rows. It counts only once `add` has committed."""
        if rows.num_rows == 0:
            return {}
        return {kind: await write_shard(self._store, self._run.project, f"{kind}-{number:05d}.parquet", rows)}

    async def add(self, connection: AsyncConnection, number: int, files: dict[str, File]) -> None:
        """Adds the shards of a part to the run, in the transaction that advances the cursor past it."""
        for kind, file in files.items():
            await add_part(connection, self._run.project, self._run.id, kind, number, file)

    async def files(self, connection: AsyncConnection, kind: str) -> tuple[File, ...]:
        """Returns the shards of a kind that were committed, in the order of their parts."""
        return await list_parts(connection, self._run.id, kind)

    async def numbered(self, connection: AsyncConnection, kind: str) -> dict[int, File]:
        """Returns the shards of a kind that were committed, each by the number of its part."""
        return await numbered_parts(connection, self._run.id, kind)

    async def replace(self, connection: AsyncConnection, kind: str, number: int, files: dict[str, File]) -> None:
        """Puts the shard of a kind, or nothing, in the place of what a part had."""
        await replace_part(connection, self._run.project, self._run.id, kind, number, files.get(kind))

    async def commit(
        self, connection: AsyncConnection, kind: str, config: dict[str, JsonValue], parents: tuple[str, ...]
    ) -> Manifest:
        """Commits the manifest of a kind; its shards may be none."""
        files = await self.files(connection, kind)
        manifest = Manifest(
            project=self._run.project,
            kind=kind,
            run=self._run.id,
            rows=sum(file.rows for file in files),
            files=files,
            config=config,
            parents=parents,
        )
        await commit_manifest(connection, self._store, manifest)
        return manifest
