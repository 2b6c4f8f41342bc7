"""The table of committed manifests: a result exists when its row does, and lineage is its `parents`."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_artifacts.errors import ArtifactErased, ArtifactInvalid, ArtifactMissing
from cultivar_artifacts.manifests import File, Manifest
from cultivar_artifacts.store import ArtifactStore, require_digest, require_project

metadata = MetaData(schema="artifacts")
manifest_table = Table(
    "manifest",
    metadata,
    Column("digest", Text, CheckConstraint("digest ~ '^[0-9a-f]{64}$'"), primary_key=True),
    Column("project", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("rows", BigInteger, CheckConstraint("rows >= 0"), nullable=False),
    Column("parents", ARRAY(Text), nullable=False),
    Column("committed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("erased_at", DateTime(timezone=True)),
    Column("erased_reason", Text),
    CheckConstraint("(erased_at IS NULL) = (erased_reason IS NULL)", name="a_tombstone_has_a_reason"),
    Index("manifest_by_kind", "project", "kind", "committed_at", "digest"),
    Index("manifest_by_parent", "parents", postgresql_using="gin"),
)
part_table = Table(
    "part",
    metadata,
    Column("run", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("project", Text, nullable=False),
    Column("file", JSONB, nullable=False),
    Index("part_by_project", "project"),
)
_columns = manifest_table.c


@dataclass(frozen=True, slots=True)
class Committed:
    """One row of the table; with `erased_at` set it is a tombstone, and its files may be gone."""

    digest: str
    project: str
    kind: str
    run: str
    rows: int
    parents: tuple[str, ...]
    committed_at: datetime
    erased_at: datetime | None
    erased_reason: str | None


async def create_artifact_schema(connection: AsyncConnection) -> None:
    """Makes the schema `artifacts` and its table, which every role may read and insert into, unless they are there.

    Only the role that made them may erase; `GRANT UPDATE (erased_at, erased_reason)` lets another one.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("cultivar artifacts schema", 0))))
    if await connection.scalar(select(func.to_regclass("artifacts.manifest"))) is not None:
        return
    await connection.execute(text("CREATE SCHEMA IF NOT EXISTS artifacts"))
    await connection.run_sync(metadata.create_all)
    await connection.execute(text("GRANT USAGE ON SCHEMA artifacts TO PUBLIC"))
    await connection.execute(text("GRANT SELECT, INSERT ON artifacts.manifest TO PUBLIC"))
    await connection.execute(text("GRANT SELECT, INSERT, DELETE ON artifacts.part TO PUBLIC"))


async def commit_manifest(connection: AsyncConnection, store: ArtifactStore, manifest: Manifest) -> bool:
    """Commits a result in the caller's transaction; True if it is new, False if this digest was committed before.

    Raises `ArtifactMissing` when a file or a parent of the same project is not there, and `ArtifactErased` for a
    digest with a tombstone. Garbage collection of the project waits until the caller's transaction ends.
    """
    await connection.execute(select(func.pg_advisory_xact_lock_shared(project_lock(manifest.project))))
    earlier = await find_manifest(connection, manifest.project, manifest.digest)
    if earlier is not None and earlier.erased_at is not None:
        raise ArtifactErased(f"manifest {manifest.digest} was erased and cannot be committed again: make a new result")
    if earlier is not None:
        return False
    await _require_parents(connection, manifest)
    await _require_files(store, manifest)
    await store.put_document(manifest.project, manifest.digest, manifest.to_json())
    row = manifest.model_dump(include={"project", "kind", "run", "rows", "parents"}) | {"digest": manifest.digest}
    new = insert(manifest_table).values(**row).on_conflict_do_nothing().returning(_columns.digest)
    return (await connection.execute(new)).one_or_none() is not None


async def find_manifest(connection: AsyncConnection, project: str, digest: str) -> Committed | None:
    """Finds a committed manifest or its tombstone; another project's is None."""
    found = select(manifest_table).where(_columns.project == project, _columns.digest == require_digest(digest))
    row = (await connection.execute(found)).one_or_none()
    return None if row is None else _committed(row)


async def list_manifests(
    connection: AsyncConnection,
    project: str,
    kind: str | None = None,
    *,
    run: str | None = None,
    before: Committed | None = None,
    limit: int = 100,
) -> tuple[Committed, ...]:
    """Lists live manifests, newest first, at most `limit`; `before` is the last one of the page before."""
    found = select(manifest_table).where(_columns.project == project, _columns.erased_at.is_(None))
    if kind is not None:
        found = found.where(_columns.kind == kind)
    if run is not None:
        found = found.where(_columns.run == run)
    if before is not None:
        position = tuple_(_columns.committed_at, _columns.digest)
        found = found.where(position < tuple_(before.committed_at, before.digest))
    newest = found.order_by(_columns.committed_at.desc(), _columns.digest.desc()).limit(limit)
    return tuple(_committed(row) for row in await connection.execute(newest))


async def children(connection: AsyncConnection, project: str, digest: str) -> tuple[Committed, ...]:
    """Lists what was made from a manifest, tombstones too, oldest first."""
    made = select(manifest_table).where(
        _columns.project == project, _columns.parents.contains([require_digest(digest)])
    )
    rows = await connection.execute(made.order_by(_columns.committed_at, _columns.digest))
    return tuple(_committed(row) for row in rows)


async def erase_manifest(connection: AsyncConnection, project: str, digest: str, reason: str) -> bool:
    """Turns a manifest into a tombstone; False if it was one. Garbage collection then takes what only it needed.

    `reason` is a short code or sentence, not blank, and never a text of the data. Raises `ArtifactMissing`.
    """
    if not reason.strip():
        raise ArtifactInvalid("an erased manifest keeps a reason: say why")
    earlier = await find_manifest(connection, project, digest)
    if earlier is None:
        raise ArtifactMissing(f"manifest {digest} is not in project {project}: check both")
    erased = await connection.execute(
        update(manifest_table)
        .where(_columns.digest == digest, _columns.erased_at.is_(None))
        .values(erased_at=func.clock_timestamp(), erased_reason=reason)
    )
    return erased.rowcount == 1


async def add_part(connection: AsyncConnection, project: str, run: str, kind: str, number: int, file: File) -> None:
    """Adds a file to what a run under way has made, in the caller's transaction; garbage collection spares it."""
    await connection.execute(select(func.pg_advisory_xact_lock_shared(project_lock(project))))
    row = {"project": project, "run": run, "kind": kind, "number": number, "file": file.model_dump(mode="json")}
    await connection.execute(insert(part_table).values(row))


async def list_parts(connection: AsyncConnection, run: str, kind: str) -> tuple[File, ...]:
    """Lists the files of a kind that a run has made so far, by number."""
    return tuple((await numbered_parts(connection, run, kind)).values())


async def numbered_parts(connection: AsyncConnection, run: str, kind: str) -> dict[int, File]:
    """Returns the files of a kind that a run has made so far, each by its number, in order."""
    mine = part_table.c.run == run, part_table.c.kind == kind
    found = select(part_table.c.number, part_table.c.file).where(*mine).order_by(part_table.c.number)
    return {number: File.model_validate(file) for number, file in await connection.execute(found)}


async def replace_part(
    connection: AsyncConnection, project: str, run: str, kind: str, number: int, file: File | None
) -> None:
    """Puts a file, or nothing, in the place of one that a run had made, in the caller's transaction."""
    mine = part_table.c.run == run, part_table.c.kind == kind, part_table.c.number == number
    await connection.execute(delete(part_table).where(*mine))
    if file is not None:
        await add_part(connection, project, run, kind, number, file)


async def drop_parts(connection: AsyncConnection, runs: str | Select[tuple[str]]) -> None:
    """Forgets the parts of a run that has ended, or of several: their manifests name what is to be kept."""
    mine = part_table.c.run == runs if isinstance(runs, str) else part_table.c.run.in_(runs)
    await connection.execute(delete(part_table).where(mine))


def project_lock(project: str) -> Any:
    """Gives the key of the advisory lock that commits share and garbage collection holds alone."""
    return func.hashtextextended(f"cultivar artifacts of {require_project(project)}", 0)


async def _require_parents(connection: AsyncConnection, manifest: Manifest) -> None:
    known = select(_columns.digest).where(_columns.project == manifest.project, _columns.digest.in_(manifest.parents))
    missing = set(manifest.parents) - set((await connection.scalars(known)).all())
    if missing:
        raise ArtifactMissing(
            f"manifest {manifest.digest} names parents that project {manifest.project} does not have: "
            f"{', '.join(sorted(missing))}; commit them first"
        )


async def _require_files(store: ArtifactStore, manifest: Manifest) -> None:
    found = await asyncio.gather(*(store.exists(manifest.project, file.sha256) for file in manifest.files))
    for file, there in zip(manifest.files, found, strict=True):
        if not there:
            raise ArtifactMissing(
                f"file {file.name} ({file.sha256}) of manifest {manifest.digest} is not stored: store it, then commit"
            )


def _committed(row: Row[Any]) -> Committed:
    values = dict(row._mapping)
    return Committed(**values | {"parents": tuple(values["parents"])})
