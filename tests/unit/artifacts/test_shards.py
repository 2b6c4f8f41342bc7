"""Shards: bounds, order, digests over rows, single rows, and verification of what is stored."""

import hashlib
import os
from datetime import datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rfc8785
from cultivar_artifacts import (
    SHARD_ROWS,
    ArtifactInvalid,
    ArtifactStore,
    CorruptArtifact,
    File,
    FileStore,
    Manifest,
    MemoryStore,
    decode_shard,
    encode_shard,
    read_shards,
    rows_digest,
    shards,
    split_rows,
    verify,
    write_shard,
    write_shards,
)
from cultivar_artifacts.digests import canonical_without_floats
from cultivar_artifacts.rows import find_row
from hypothesis import given, settings
from hypothesis import strategies as st

PROJECT = "support"


def _id(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def _rows(count: int) -> list[dict[str, Any]]:
    spans = [{"start": 0, "end": 3, "label": "x"}]
    return [{"id": _id(n), "text": f"text {n} ü", "score": n / 3, "label": None, "spans": spans} for n in range(count)]


def _manifest(files: tuple[File, ...]) -> Manifest:
    return Manifest(project=PROJECT, kind="candidates", rows=sum(file.rows for file in files), files=files)


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return FileStore(tmp_path / "store") if request.param == "files" else MemoryStore()


def test_the_rows_digest_can_be_computed_from_its_definition_alone() -> None:
    rows = sorted(_rows(700), key=lambda row: row["id"])
    joined = b"".join(hashlib.sha256(rfc8785.dumps(row)).digest() for row in rows)
    assert encode_shard(pa.Table.from_pylist(_rows(700))).rows_digest == hashlib.sha256(joined).hexdigest()


WITHOUT_FLOATS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
)


@given(WITHOUT_FLOATS)
def test_the_quick_form_of_what_holds_no_float_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical_without_floats(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), b"bytes", datetime(2026, 1, 2), datetime(2026, 1, 2).date(), {1: 2}]
)
def test_the_quick_form_refuses_what_rfc_8785_refuses(value: Any) -> None:
    with pytest.raises(ArtifactInvalid):
        canonical_without_floats([value])


ROW = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(codec="utf-8"), max_size=6),
        "text": st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "count": st.integers(-(2**53) + 1, 2**53 - 1),
        "tags": st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=3),
    }
)
SCHEMA = pa.schema(
    {"id": pa.string(), "text": pa.string(), "score": pa.float64(), "count": pa.int64(), "tags": pa.list_(pa.string())}
)


@settings(max_examples=50)
@given(st.lists(ROW, max_size=20))
def test_packing_loses_no_row_and_changes_no_digest(rows: list[dict[str, Any]]) -> None:
    shard = encode_shard(pa.Table.from_pylist(rows, schema=SCHEMA))
    unpacked = decode_shard(shard.data)
    assert unpacked.schema == SCHEMA
    assert unpacked.to_pylist() == sorted(rows, key=lambda row: row["id"])
    assert rows_digest(unpacked) == shard.rows_digest
    assert (shard.first_id, shard.last_id) == (
        min([r["id"] for r in rows] or [""]),
        max([r["id"] for r in rows] or [""]),
    )


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(200, 4000))
def test_cutting_gives_bounded_pieces_of_the_same_rows(count: int, most_rows: int, most_bytes: int) -> None:
    rows = [{"id": _id(n), "text": "x" * (37 * n)} for n in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_ROWS", most_rows)
        patch.setattr(shards, "SHARD_BYTES", most_bytes)
        schema = pa.schema({"id": pa.string(), "text": pa.string()})
        pieces = list(split_rows(pa.Table.from_pylist(rows, schema=schema)))
        assert [row for piece in pieces for row in piece.to_pylist()] == sorted(rows, key=lambda row: row["id"])
        assert all(piece.num_rows <= most_rows for piece in pieces)
        assert all(piece.nbytes <= most_bytes or piece.num_rows == 1 for piece in pieces)
        assert len(pieces) == 1 or all(piece.num_rows for piece in pieces)
        assert [encode_shard(piece).rows for piece in pieces] == [piece.num_rows for piece in pieces]


def test_a_shard_of_too_many_rows_is_refused() -> None:
    with pytest.raises(ArtifactInvalid, match="write_shards"):
        encode_shard(pa.table({"n": range(SHARD_ROWS + 1)}))
    assert encode_shard(pa.table({"n": range(SHARD_ROWS)})).rows == SHARD_ROWS


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, b"bytes", datetime(2024, 1, 1)])
def test_a_row_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ArtifactInvalid, match="canonical JSON"):
        encode_shard(pa.table({"id": ["a"], "value": [value]}))


def test_a_shard_has_row_groups_with_statistics_of_sorted_ids() -> None:
    shard = encode_shard(pa.Table.from_pylist(_rows(2000)))
    metadata = pq.ParquetFile(BytesIO(shard.data)).metadata
    ranges = []
    for group in range(metadata.num_row_groups):
        column = metadata.row_group(group).column(0)
        assert column.path_in_schema == "id" and column.compression == "ZSTD"
        ranges.append((column.statistics.min, column.statistics.max))
    assert len(ranges) == 4
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert (shard.first_id, shard.last_id) == (ranges[0][0], ranges[-1][1])


def test_rows_without_an_id_keep_their_order() -> None:
    shard = encode_shard(pa.table({"n": [3, 1, 2]}))
    assert decode_shard(shard.data).to_pylist() == [{"n": 3}, {"n": 1}, {"n": 2}]
    assert (shard.first_id, shard.last_id) == ("", "")


def test_bytes_that_are_no_parquet_are_corrupt() -> None:
    with pytest.raises(CorruptArtifact, match="not readable"):
        decode_shard(b"PAR1 but no more")


async def test_shards_are_read_in_order_and_other_files_passed_over(store: ArtifactStore) -> None:
    rows = _rows(SHARD_ROWS + 100)
    files = await write_shards(store, PROJECT, pa.Table.from_pylist(rows))
    note = await store.put(PROJECT, b"a note")
    plain = File(name="note.txt", sha256=note.sha256, size=note.size)
    manifest = _manifest((plain, *files))
    tables = [table async for table in read_shards(store, manifest)]
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet"]
    assert [table.num_rows for table in tables] == [SHARD_ROWS, 100]
    assert [row for table in tables for row in table.to_pylist()] == sorted(rows, key=lambda row: row["id"])


async def test_writing_the_same_rows_in_another_order_gives_the_same_file(store: ArtifactStore) -> None:
    first = await write_shard(store, PROJECT, "part", pa.Table.from_pylist(_rows(300)))
    assert await write_shard(store, PROJECT, "part", pa.Table.from_pylist(_rows(300)[::-1])) == first


async def test_no_rows_make_one_shard_that_keeps_the_columns(store: ArtifactStore) -> None:
    files = await write_shards(store, PROJECT, SCHEMA.empty_table())
    manifest = _manifest(files)
    assert [table.schema async for table in read_shards(store, manifest)] == [SCHEMA]
    assert await find_row(store, manifest, "a") is None


async def test_one_row_is_found_by_its_id(store: ArtifactStore, tmp_path: Path) -> None:
    rows = _rows(3000)
    one = await write_shard(store, PROJECT, "a.parquet", pa.Table.from_pylist(rows[:1500]))
    other = await write_shard(store, PROJECT, "b.parquet", pa.Table.from_pylist(rows[1500:]))
    manifest = _manifest((one, other))
    for number in (0, 1499, 1500, 2999):
        assert await find_row(store, manifest, _id(number)) == rows[number]
        assert await find_row(store, manifest, _id(number), tmp_path / "cache") == rows[number]
    for absent in (_id(3000), "", "~", "' OR 1=1 --"):
        assert await find_row(store, manifest, absent) is None


async def test_only_a_shard_whose_range_holds_the_id_is_read(tmp_path: Path) -> None:
    store, rows = MemoryStore(), sorted(_rows(SHARD_ROWS * 3), key=lambda row: row["id"])
    manifest = _manifest(await write_shards(store, PROJECT, pa.Table.from_pylist(rows)))
    assert await find_row(store, manifest, rows[SHARD_ROWS + 5]["id"], tmp_path) == rows[SHARD_ROWS + 5]
    assert os.listdir(tmp_path) == [manifest.files[1].sha256]


async def test_rows_about_an_example_are_not_taken_for_it(store: ArtifactStore) -> None:
    about = pa.table({"example": [_id(1), _id(2)], "keep": [True, False]})
    file = await write_shard(store, PROJECT, "verdicts.parquet", about)
    file = file.model_copy(update={"first_id": _id(1), "last_id": _id(2)})
    assert await find_row(store, _manifest((file,)), _id(1)) is None


async def test_a_row_of_a_damaged_shard_is_never_given(store: ArtifactStore) -> None:
    file = await write_shard(store, PROJECT, "a", pa.Table.from_pylist(_rows(10)))
    other = encode_shard(pa.Table.from_pylist(_rows(11)))
    _damage(store, file.sha256, other.data)
    with pytest.raises(CorruptArtifact, match=file.sha256):
        await find_row(store, _manifest((file,)), _id(3))


async def _verified(store: ArtifactStore) -> Manifest:
    shard = await write_shard(store, PROJECT, "part.parquet", pa.Table.from_pylist(_rows(20)))
    blob = await store.put(PROJECT, b"weights")
    manifest = _manifest((shard, File(name="weights", sha256=blob.sha256, size=blob.size)))
    await store.put_document(PROJECT, manifest.digest, manifest.to_json())
    assert await verify(store, manifest) == ()
    return manifest


async def test_verification_names_every_file_that_is_missing_or_damaged(store: ArtifactStore) -> None:
    manifest = await _verified(store)
    _damage(store, manifest.files[0].sha256, b"not parquet")
    await store.delete(PROJECT, manifest.files[1].sha256)
    await store.delete_document(PROJECT, manifest.digest)
    assert [problem.file for problem in await verify(store, manifest)] == ["manifest.json", "part.parquet", "weights"]


@pytest.mark.parametrize(
    ("index", "changes", "reason"),
    [
        (0, {"rows": 19}, "20 rows"),
        (0, {"rows_digest": "f" * 64}, "digest"),
        (0, {"size": 1}, "bytes"),
        (1, {"size": 6}, "7 bytes"),
        (1, {"rows_digest": "f" * 64}, "not readable Parquet"),
    ],
)
async def test_verification_notices_a_manifest_that_says_something_else(
    store: ArtifactStore, index: int, changes: dict[str, Any], reason: str
) -> None:
    files = list((await _verified(store)).files)
    files[index] = files[index].model_copy(update=changes)
    lying = _manifest(tuple(files))
    await store.put_document(PROJECT, lying.digest, lying.to_json())
    [problem] = await verify(store, lying)
    assert problem.file == files[index].name and reason in problem.reason


def _damage(store: ArtifactStore, sha256: str, content: bytes) -> None:
    if isinstance(store, MemoryStore):
        store.objects[f"{PROJECT}/blobs/{sha256}"] = content
    elif isinstance(store, FileStore):
        (store.root / PROJECT / "blobs" / sha256[:2] / sha256).write_bytes(content)
