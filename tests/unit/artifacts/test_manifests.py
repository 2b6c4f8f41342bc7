"""Manifests: what their digest is over, and what a document may hold."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from cultivar_artifacts import (
    ArtifactInvalid,
    ArtifactMissing,
    CorruptArtifact,
    File,
    Manifest,
    MemoryStore,
    load_manifest,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

A, B, C = "a" * 64, "b" * 64, "c" * 64
SHARD = File(name="part-00000.parquet", sha256=A, size=10, rows=3, rows_digest=B)
WEIGHTS = File(name="adapter/adapter_model.safetensors", sha256=C, size=20)


def _manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "project": "support",
        "kind": "candidates",
        "run": "projects/support/generationRuns/r1",
        "rows": 3,
        "files": (SHARD, WEIGHTS),
        "config": {"temperature": 0.7, "stop": ["\n"], "seed": None},
        "parents": (A,),
    }
    return Manifest(**fields | changes)


def test_the_digest_can_be_computed_from_its_definition_alone() -> None:
    document: dict[str, Any] = {
        "project": "support",
        "kind": "candidates",
        "run": "projects/support/generationRuns/r1",
        "files": [
            {"name": "part-00000.parquet", "rows": 3, "rows_digest": B},
            {"name": "adapter/adapter_model.safetensors", "sha256": C, "size": 20, "rows": 0},
        ],
        "config": {"temperature": 0.7, "stop": ["\n"], "seed": None},
        "parents": [A],
    }
    assert _manifest().digest == hashlib.sha256(rfc8785.dumps(document)).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"project": "support-2"},
        {"kind": "kept"},
        {"run": ""},
        {"files": (WEIGHTS, SHARD)},
        {"files": (SHARD,)},
        {"files": (SHARD.model_copy(update={"rows_digest": C}), WEIGHTS)},
        {"files": (SHARD.model_copy(update={"name": "other.parquet"}), WEIGHTS)},
        {"files": (SHARD, WEIGHTS.model_copy(update={"sha256": A}))},
        {"config": {}},
        {"config": {"temperature": 0.8, "stop": ["\n"], "seed": None}},
        {"parents": ()},
        {"parents": (A, B)},
    ],
)
def test_another_result_has_another_digest(change: dict[str, Any]) -> None:
    assert _manifest(**change).digest != _manifest().digest


def test_the_same_rows_packed_otherwise_have_the_same_digest() -> None:
    repacked = SHARD.model_copy(update={"sha256": C, "size": 99})
    assert _manifest(files=(repacked, WEIGHTS)).digest == _manifest().digest


def test_parents_are_a_set_and_key_order_does_not_matter() -> None:
    config = {"seed": None, "stop": ["\n"], "temperature": 0.7}
    assert _manifest(parents=(C, A, B, A)).digest == _manifest(parents=(A, B, C), config=config).digest


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), JSON, max_size=4))
def test_a_manifest_survives_its_document(config: dict[str, Any]) -> None:
    manifest = _manifest(config=config)
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.digest == manifest.digest
    assert again.to_json() == manifest.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"project": "Support"},
        {"kind": "Kept ones"},
        {"kind": ""},
        {"rows": 4},
        {"rows": -1},
        {"parents": ("abc",)},
        {"files": (SHARD, SHARD), "rows": 6},
        {"config": {"seed": 2**53}},
        {"config": {"rate": float("nan")}},
        {"config": {"when": b"bytes"}},
    ],
)
def test_a_manifest_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _manifest(**change)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".hidden", "a b", "a\n", "a\\b"])
def test_a_file_name_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        File(name=name, sha256=A, size=1)


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b'{"project":"support"}', b"\xff", b"[" * 99999])
def test_a_document_that_is_no_manifest_is_refused_by_its_fields(document: bytes) -> None:
    with pytest.raises(ArtifactInvalid, match=r"not a manifest: (wrong in (document|kind)|the document is not JSON)"):
        Manifest.from_json(document)


def test_an_error_names_the_field_and_never_its_text() -> None:
    document = json.loads(_manifest().to_json()) | {"kind": "A Private Text"}
    with pytest.raises(ArtifactInvalid) as caught:
        Manifest.from_json(json.dumps(document).encode())
    assert "kind" in str(caught.value) and "Private" not in str(caught.value)


def test_a_document_of_a_later_version_is_read() -> None:
    document = json.loads(_manifest().to_json()) | {"note": "a field of tomorrow"}
    assert Manifest.from_json(json.dumps(document).encode()) == _manifest()


async def test_a_stored_manifest_is_loaded_and_a_damaged_one_is_not() -> None:
    store, manifest = MemoryStore(), _manifest()
    with pytest.raises(ArtifactMissing):
        await load_manifest(store, "support", manifest.digest)
    await store.put_document("support", manifest.digest, manifest.to_json())
    assert await load_manifest(store, "support", manifest.digest) == manifest
    for damaged in (_manifest(config={}).to_json(), manifest.to_json()[:-1], b"{}"):
        await store.put_document("support", manifest.digest, damaged)
        with pytest.raises(CorruptArtifact, match=manifest.digest):
            await load_manifest(store, "support", manifest.digest)
