"""The tables of datasets, and what it reads of the shared table of manifests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from cultivar_artifacts.store import is_digest
from cultivar_artifacts.tables import Committed, find_manifest, manifest_table
from cultivar_service import tables
from cultivar_service.audit import record_change
from cultivar_service.errors import InvalidArgument
from cultivar_service.names import resource_name
from cultivar_service.paging import Page, decode_token, encode_token
from cultivar_service.principal import Principal
from cultivar_service.runs import SUCCEEDED, Run
from sqlalchemy.dialects.postgresql import TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_datasets.errors import ArtifactUnknown, FileUnknown, SourceUnusable, VersionUnknown

VERSION = "datasetVersion"
metadata = sa.MetaData()

files = sa.Table(
    "file",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger),
    sa.Column("file_name", sa.Text),
    sa.Column("artifact", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("create_time", TIMESTAMP(timezone=True)),
)
versions = sa.Table(
    "version",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("run", sa.Text),
)


@dataclass(frozen=True)
class FileRow:
    """A file that was uploaded."""

    project: str
    sha256: str
    size: int
    file_name: str
    artifact: str
    principal: str
    create_time: datetime


@dataclass(frozen=True)
class Version:
    """A dataset version: its place in the dataset, and its run."""

    dataset: str
    number: int
    run: Run


async def add_file(
    connection: AsyncConnection, principal: Principal, project: str, sha256: str, size: int, name: str, artifact: str
) -> FileRow:
    """Adds a file; one that is there already keeps its first name."""
    values = {"project": project, "sha256": sha256, "size": size, "file_name": name, "artifact": artifact}
    row = insert(files).values(**values, principal=principal.name).on_conflict_do_nothing().returning(files.c.sha256)
    if (await connection.execute(row)).first() is not None:
        await record_change(connection, principal, project, "upload file", resource_name(project, "files", sha256))
    return await get_file(connection, project, sha256)


async def find_file(connection: AsyncConnection, project: str, sha256: str) -> FileRow | None:
    """Returns a file that is still kept; None where there is none."""
    found = sa.select(files).where(files.c.project == project, files.c.sha256 == sha256)
    row = (await connection.execute(found)).mappings().first()
    if row is None:
        return None
    kept = await find_manifest(connection, project, row["artifact"])
    return FileRow(**row) if kept is not None and kept.erased_at is None else None


async def get_file(connection: AsyncConnection, project: str, sha256: str) -> FileRow:
    """Returns a file; raises FileUnknown."""
    file = await find_file(connection, project, sha256)
    if file is None:
        raise FileUnknown(resource_name(project, "files", sha256))
    return file


async def list_files(connection: AsyncConnection, project: str) -> list[FileRow]:
    """Returns every file of a project."""
    rows = await connection.execute(sa.select(files).where(files.c.project == project))
    return [FileRow(**row) for row in rows.mappings()]


async def get_artifact(connection: AsyncConnection, project: str, digest: str) -> Committed:
    """Returns the row of an artifact that is kept; raises ArtifactUnknown, and SourceUnusable for an erased one."""
    name = resource_name(project, "artifacts", digest)
    row = await find_manifest(connection, project, digest) if is_digest(digest) else None
    if row is None:
        raise ArtifactUnknown(name)
    if row.erased_at is not None:
        raise SourceUnusable(f"{name} was erased on {row.erased_at:%Y-%m-%d}: {row.erased_reason}")
    return row


async def known_digests(connection: AsyncConnection, project: str) -> set[str]:
    """Returns the digests of all artifacts of a project, tombstones too."""
    return set(await connection.scalars(sa.select(manifest_table.c.digest).where(manifest_table.c.project == project)))


async def number_version(connection: AsyncConnection, project: str, dataset: str, run: str) -> int:
    """Gives the version of a run its number, the next of its dataset; the same again for the same run."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{project}/{dataset}"))))
    number = await connection.scalar(sa.select(versions.c.number).where(versions.c.run == run))
    if number is None:
        mine = versions.c.project == project, versions.c.dataset == dataset
        number = (await connection.scalar(sa.select(sa.func.max(versions.c.number)).where(*mine)) or 0) + 1
        await connection.execute(insert(versions).values(project=project, dataset=dataset, number=number, run=run))
    return int(number)


def joined(project: str) -> sa.Select[tuple[object, ...]]:
    """Selects the versions of a project with the rows of their runs."""
    columns = (versions.c.dataset, versions.c.number, *tables.run.c)
    both = sa.select(*columns).join(tables.run, tables.run.c.id == versions.c.run)
    return both.where(versions.c.project == project, tables.run.c.project == project)


async def get_version(connection: AsyncConnection, project: str, dataset: str, number: str) -> Version:
    """Returns a version by its number, or the newest that succeeded by `latest`; raises VersionUnknown."""
    found = joined(project).where(versions.c.dataset == dataset)
    if number == "latest":
        found = found.where(tables.run.c.state == SUCCEEDED)
    else:
        found = found.where(sa.cast(versions.c.number, sa.Text) == number)
    row = (await connection.execute(found.order_by(versions.c.number.desc()).limit(1))).mappings().first()
    if row is None:
        raise VersionUnknown(f"projects/{project}/datasets/{dataset}/versions/{number}")
    return Version(row["dataset"], row["number"], Run.of(row))


async def list_versions(
    connection: AsyncConnection, project: str, dataset: str, size: int, page_token: str
) -> Page[Version]:
    """Returns a page of the versions of a dataset, or of all for the empty name, the newest first."""
    before = decode_token(page_token, VERSION)
    found = joined(project).order_by(tables.run.c.id.desc()).limit(size + 1)
    if dataset:
        found = found.where(versions.c.dataset == dataset)
    if before:
        found = found.where(tables.run.c.id < before)
    rows = (await connection.execute(found)).mappings()
    items = [Version(row["dataset"], row["number"], Run.of(row)) for row in rows]
    more = len(items) > size
    return Page(items[:size], encode_token(items[size - 1].run.id, VERSION) if more else "")


async def all_versions(connection: AsyncConnection, project: str) -> list[Version]:
    """Returns every version of every dataset of a project, the oldest first."""
    rows = (await connection.execute(joined(project).order_by(tables.run.c.id))).mappings()
    return [Version(row["dataset"], row["number"], Run.of(row)) for row in rows]


async def versions_of(connection: AsyncConnection, project: str, digests: Sequence[str]) -> list[Version]:
    """Returns the versions whose artifact is one of some, the oldest first."""
    artifact = tables.run.c.result["artifact"].astext
    found = joined(project).where(artifact.in_(digests)).order_by(tables.run.c.id)
    return [Version(row["dataset"], row["number"], Run.of(row)) for row in (await connection.execute(found)).mappings()]


async def page_of_artifacts(
    connection: AsyncConnection, project: str, page_token: str, collection: str = "artifacts"
) -> Committed | None:
    """Returns the artifact that a page token says was the last; None for the first page."""
    last = decode_token(page_token, collection)
    row = await find_manifest(connection, project, last) if is_digest(last) else None
    if last and row is None:
        raise InvalidArgument(
            "page_token is not one that this list returned: begin at the first page", field="page_token"
        )
    return row
