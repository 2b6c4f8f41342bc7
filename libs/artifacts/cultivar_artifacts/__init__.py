"""Artifacts: immutable, content-addressed files, and the manifests that name them, their making and their parents.

What is named here needs no database, so that a program inside Ray can use it. Commits and lineage are in
`cultivar_artifacts.tables`, garbage collection in `.collect`, single rows through DuckDB in `.rows`.
"""

from cultivar_artifacts.aliases import Alias, load_alias, save_alias
from cultivar_artifacts.errors import (
    ArtifactErased,
    ArtifactError,
    ArtifactInvalid,
    ArtifactMissing,
    BucketMissing,
    CorruptArtifact,
    StoreFull,
    StoreUnavailable,
)
from cultivar_artifacts.files import FileStore
from cultivar_artifacts.manifests import File, Manifest, load_manifest
from cultivar_artifacts.memory import MemoryStore
from cultivar_artifacts.opening import open_store
from cultivar_artifacts.s3 import S3Settings, S3Store
from cultivar_artifacts.shards import (
    SHARD_BYTES,
    SHARD_ROWS,
    EncodedShard,
    decode_shard,
    encode_shard,
    put_shard,
    read_shards,
    rows_digest,
    split_rows,
    write_shard,
    write_shards,
)
from cultivar_artifacts.store import ArtifactStore, Blob, Stored
from cultivar_artifacts.verification import Problem, verify

__all__ = [
    "SHARD_BYTES",
    "SHARD_ROWS",
    "Alias",
    "ArtifactErased",
    "ArtifactError",
    "ArtifactInvalid",
    "ArtifactMissing",
    "ArtifactStore",
    "Blob",
    "BucketMissing",
    "CorruptArtifact",
    "EncodedShard",
    "File",
    "FileStore",
    "Manifest",
    "MemoryStore",
    "Problem",
    "S3Settings",
    "S3Store",
    "StoreFull",
    "StoreUnavailable",
    "Stored",
    "decode_shard",
    "encode_shard",
    "load_alias",
    "load_manifest",
    "open_store",
    "put_shard",
    "read_shards",
    "rows_digest",
    "save_alias",
    "split_rows",
    "verify",
    "write_shard",
    "write_shards",
]
