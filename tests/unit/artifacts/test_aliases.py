import pytest
from cultivar_artifacts import Alias, ArtifactMissing, CorruptArtifact, MemoryStore, load_alias, save_alias

CHAMPION = Alias(project="p", alias="champion", adapter="1" * 64, base_model="m", revision=1)


async def test_an_alias_is_read_as_it_was_saved_last() -> None:
    store = MemoryStore()
    moved = CHAMPION.model_copy(update={"adapter": "2" * 64, "revision": 2})
    for alias in (CHAMPION, moved):
        await save_alias(store, alias)
    assert await load_alias(store, "p", "champion") == moved


async def test_an_alias_of_another_project_is_not_there() -> None:
    store = MemoryStore()
    await save_alias(store, CHAMPION)
    with pytest.raises(ArtifactMissing):
        await load_alias(store, "q", "champion")


@pytest.mark.parametrize("document", [b"", b"[]", b'{"alias": "champion"}', CHAMPION.model_dump_json().encode()])
async def test_an_object_that_is_no_alias_or_another_one_is_refused(document: bytes) -> None:
    store = MemoryStore()
    await store.put_alias("p", "challenger", document)
    with pytest.raises(CorruptArtifact, match="set the alias again"):
        await load_alias(store, "p", "challenger")
