"""Shards: bounded Parquet files of rows, sorted by `id`, whose digest is over the rows and not their packing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cultivar_artifacts.digests import canonical, canonical_without_floats
from cultivar_artifacts.errors import ArtifactInvalid, CorruptArtifact
from cultivar_artifacts.manifests import File, Manifest
from cultivar_artifacts.store import ArtifactStore

SHARD_ROWS = 4096
"""The most rows in a shard."""
SHARD_BYTES = 64 << 20
"""The most bytes of a shard's rows in memory, unless one row alone has more."""
ROW_GROUP_ROWS = 512
"""Rows in a row group; its statistics tell a reader whether an id can be in it."""

ID = "id"


@dataclass(frozen=True, slots=True)
class EncodedShard:
    """A shard ready to be stored: its Parquet bytes and what a `File` says of its rows."""

    data: bytes
    rows: int
    rows_digest: str
    first_id: str = ""
    last_id: str = ""


def rows_digest(table: pa.Table) -> str:
    """Gives the SHA-256 over the rows' digests in order; a row's is the SHA-256 (32 bytes) of its RFC 8785 JSON.

    Raises `ArtifactInvalid` for values that JSON cannot hold (see `canonical`).
    """
    whole = hashlib.sha256()
    form = canonical if any(_has_floats(field.type) for field in table.schema) else canonical_without_floats
    for batch in table.to_batches(max_chunksize=ROW_GROUP_ROWS):
        for row in batch.to_pylist():
            whole.update(hashlib.sha256(form(row)).digest())
    return whole.hexdigest()


def encode_shard(table: pa.Table) -> EncodedShard:
    """Sorts rows by `id` if they have one and packs them as Parquet (zstd); pure work, fit for a worker process.

    Raises `ArtifactInvalid` for more than `SHARD_ROWS` rows or `SHARD_BYTES` bytes: `split_rows` cuts them.
    """
    if table.num_rows > SHARD_ROWS or (table.num_rows > 1 and table.nbytes > SHARD_BYTES):
        raise ArtifactInvalid(
            f"{table.num_rows} rows of {table.nbytes} bytes are too many for one shard, which holds {SHARD_ROWS} rows "
            f"and {SHARD_BYTES} bytes: store them with write_shards"
        )
    table = _sorted(table)
    sink = BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS, write_statistics=True)
    first, last = _id_range(table)
    return EncodedShard(sink.getvalue(), table.num_rows, rows_digest(table), first, last)


def decode_shard(data: bytes) -> pa.Table:
    """Unpacks a shard's rows; raises `CorruptArtifact` if the bytes are not Parquet."""
    try:
        return pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise CorruptArtifact(
            f"a shard of {len(data)} bytes is not readable Parquet ({type(error).__name__})"
        ) from error


def split_rows(table: pa.Table) -> Iterator[pa.Table]:
    """Sorts rows by `id` if they have one and cuts them into pieces that fit a shard each; at least one piece."""
    table, start = _sorted(table), 0
    while start < table.num_rows or start == 0:
        piece = table.slice(start, SHARD_ROWS)
        while piece.nbytes > SHARD_BYTES and piece.num_rows > 1:
            piece = piece.slice(0, piece.num_rows // 2)
        yield piece
        start += max(1, piece.num_rows)


async def write_shard(store: ArtifactStore, project: str, name: str, table: pa.Table) -> File:
    """Stores rows as one shard and describes it; raises as `encode_shard` and `ArtifactStore.put` do.

    The packing runs in a thread and holds the interpreter; a busy service packs with `encode_shard` in a worker
    process and stores with `put_shard`.
    """
    return await put_shard(store, project, name, await asyncio.to_thread(encode_shard, table))


async def put_shard(store: ArtifactStore, project: str, name: str, shard: EncodedShard) -> File:
    """Stores a shard that is packed already and describes it."""
    blob = await store.put(project, shard.data)
    return File(
        name=name,
        sha256=blob.sha256,
        size=blob.size,
        rows=shard.rows,
        rows_digest=shard.rows_digest,
        first_id=shard.first_id,
        last_id=shard.last_id,
    )


async def write_shards(store: ArtifactStore, project: str, table: pa.Table, prefix: str = "part") -> tuple[File, ...]:
    """Stores any number of rows as shards `{prefix}-00000.parquet` and on, sorted by `id` across all of them."""
    pieces = await asyncio.to_thread(lambda: tuple(split_rows(table)))
    return tuple(
        [await write_shard(store, project, f"{prefix}-{i:05d}.parquet", piece) for i, piece in enumerate(pieces)]
    )


async def read_shards(store: ArtifactStore, manifest: Manifest) -> AsyncIterator[pa.Table]:
    """Reads the shards of a manifest in the order of its files, one at a time; other files are passed over."""
    for file in manifest.files:
        if file.rows_digest:
            data = await store.read(manifest.project, file.sha256)
            yield await asyncio.to_thread(decode_shard, data)


def _has_floats(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or any(_has_floats(kind.field(place).type) for place in range(kind.num_fields))


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by(ID) if ID in table.column_names else table


def _id_range(table: pa.Table) -> tuple[str, str]:
    if table.num_rows == 0 or ID not in table.column_names or not pa.types.is_string(table.schema.field(ID).type):
        return "", ""
    low_high = pc.min_max(table[ID]).as_py()
    return low_high["min"] or "", low_high["max"] or ""
