import asyncio

import pytest
from cultivar_artifacts import Alias, MemoryStore, save_alias
from cultivar_artifacts.errors import StoreUnavailable
from cultivar_generation.teachers.alias_book import AliasBook
from cultivar_generation.teachers.errors import BadRequest, StoreDown, UnknownModel

FIRST, SECOND = "1" * 64, "2" * 64


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.down = False

    async def read_alias(self, project: str, alias: str) -> bytes:
        self.reads += 1
        if self.down:
            raise StoreUnavailable("gone")
        await asyncio.sleep(0)
        return await super().read_alias(project, alias)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(store: CountingStore, clock: Clock) -> AliasBook:
    return AliasBook(lambda: store, "m", 2.0, clock)


async def promote(store: MemoryStore, adapter: str, base_model: str = "m", revision: int = 1) -> None:
    alias = Alias(project="p", alias="champion", adapter=adapter, base_model=base_model, revision=revision)
    await save_alias(store, alias)


async def test_an_alias_moves_within_the_seconds_for_which_it_is_remembered(
    book: AliasBook, store: CountingStore, clock: Clock
) -> None:
    await promote(store, FIRST)
    assert await book.digest("p", "champion") == FIRST
    await promote(store, SECOND, revision=2)
    clock.now += 1.9
    assert await book.digest("p", "champion") == FIRST
    clock.now += 0.2
    assert await book.digest("p", "champion") == SECOND


async def test_many_who_ask_at_once_read_the_store_once(book: AliasBook, store: CountingStore) -> None:
    await promote(store, FIRST)
    assert set(await asyncio.gather(*[book.digest("p", "champion") for _ in range(50)])) == {FIRST}
    assert store.reads == 1


async def test_an_alias_is_found_as_soon_as_it_is_first_set(book: AliasBook, store: CountingStore) -> None:
    with pytest.raises(UnknownModel, match="no alias p/champion"):
        await book.digest("p", "champion")
    await promote(store, FIRST)
    assert await book.digest("p", "champion") == FIRST


async def test_an_adapter_for_another_base_model_is_refused_with_what_to_set(
    book: AliasBook, store: CountingStore
) -> None:
    await promote(store, FIRST, base_model="larger")
    with pytest.raises(UnknownModel, match="CULTIVAR_TEACHERS_MODEL"):
        await book.digest("p", "champion")


async def test_nothing_is_answered_from_memory_once_the_store_is_away_and_the_seconds_are_over(
    book: AliasBook, store: CountingStore, clock: Clock
) -> None:
    await promote(store, FIRST)
    await book.digest("p", "champion")
    store.down = True
    assert await book.digest("p", "champion") == FIRST
    clock.now += 2
    with pytest.raises(StoreDown):
        await book.digest("p", "champion")


async def test_a_damaged_alias_says_what_to_do(book: AliasBook, store: CountingStore) -> None:
    await store.put_alias("p", "champion", b"{")
    with pytest.raises(BadRequest, match="set the alias again"):
        await book.digest("p", "champion")


async def test_without_a_store_no_alias_is_served() -> None:
    with pytest.raises(UnknownModel, match="CULTIVAR_ARTIFACTS"):
        await AliasBook(lambda: None, "m").digest("p", "champion")
