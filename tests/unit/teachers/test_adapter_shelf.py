import asyncio
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from cultivar_artifacts import ArtifactStore, File, Manifest, MemoryStore
from cultivar_artifacts.errors import StoreUnavailable
from cultivar_generation.teachers import adapter_shelf
from cultivar_generation.teachers.adapter_shelf import AdapterShelf
from cultivar_generation.teachers.adapters import AdapterInvalid, CheckedAdapter
from cultivar_generation.teachers.errors import BadRequest, Overloaded, StoreDown, UnknownModel

FILES = ("adapter_config.json", "adapter_model.safetensors")


class Engine:
    """Runs calls at once, or while it is held when it is let go: by then they have begun, and nobody can stop them."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.held = False
        self.begun: list[Any] = []

    def call(self, action: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self.begun.append(lambda: carry_out(action, future))
        if not self.held:
            self.let_go()
        return future

    def let_go(self) -> None:
        self.held = False
        begun, self.begun = self.begun, []
        for each in begun:
            each()

    def forget(self, adapter: str) -> None:
        self.forgotten.append(adapter)


def carry_out(action: Any, future: Future[Any]) -> None:
    try:
        future.set_result(action())
    except Exception as error:
        future.set_exception(error)


class Switch:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, int]] = {}
        self.loaded: list[str] = []
        self.loads = 0

    def load(self, name: str, adapter: CheckedAdapter) -> None:
        if adapter.config.get("broken"):
            raise AdapterInvalid("it has no place")
        self.loaded.append(name)
        self.loads += 1

    def unload(self, name: str) -> None:
        self.loaded.remove(name)


class DownStore(MemoryStore):
    async def read_document(self, project: str, digest: str) -> bytes:
        raise StoreUnavailable("gone")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture(autouse=True)
def read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_adapter(folder: Path, _: Any) -> CheckedAdapter:
        content = (folder / FILES[1]).read_bytes()
        if content == b"bad":
            raise AdapterInvalid("its tensors are wrong")
        return CheckedAdapter({"broken": content == b"broken"}, {})

    monkeypatch.setattr(adapter_shelf, "read_adapter", read_adapter)


def shelf_of(switch: Switch, store: ArtifactStore | None, bound: int = 2, engine: Engine | None = None) -> AdapterShelf:
    return AdapterShelf(engine or Engine(), switch, lambda: store, bound)  # type: ignore[arg-type]


async def put(store: MemoryStore, content: bytes, kind: str = "adapter", names: tuple[str, ...] = FILES) -> str:
    files = []
    for name in names:
        blob = await store.put("p", content)
        files.append(File(name=name, sha256=blob.sha256, size=blob.size))
    manifest = Manifest(project="p", kind=kind, files=tuple(files))
    await store.put_document("p", manifest.digest, manifest.to_json())
    return f"p/{manifest.digest}"


async def use(shelf: AdapterShelf, name: str) -> None:
    async with shelf.using(name):
        pass


async def test_an_adapter_is_fetched_once_however_many_ask(store: MemoryStore, switch: Switch) -> None:
    shelf = shelf_of(switch, store)
    name = await put(store, b"a")
    await asyncio.gather(*[use(shelf, name) for _ in range(10)])
    assert (switch.loaded, switch.loads, shelf.loaded) == ([name], 1, [name])


async def test_the_least_recently_used_leaves_for_a_new_one(store: MemoryStore, switch: Switch) -> None:
    shelf = shelf_of(switch, store)
    first, second, third = [await put(store, content) for content in (b"a", b"b", b"c")]
    for name in (first, second, first, third):
        await use(shelf, name)
    assert switch.loaded == [first, third]
    await use(shelf, second)
    assert switch.loaded == [third, second]


async def test_an_adapter_that_is_used_is_not_unloaded(store: MemoryStore, switch: Switch) -> None:
    shelf = shelf_of(switch, store)
    first, second, third = [await put(store, content) for content in (b"a", b"b", b"c")]
    async with shelf.using(first):
        await use(shelf, second)
        await use(shelf, third)
        assert switch.loaded == [first, third]
        async with shelf.using(third):
            with pytest.raises(Overloaded):
                await use(shelf, second)
    await use(shelf, second)
    assert switch.loaded == [third, second]


async def left(shelf: AdapterShelf, engine: Engine, name: str) -> None:
    """Asks for an adapter and goes away while the model loads it."""
    engine.held = True
    asking = asyncio.create_task(use(shelf, name))
    async with asyncio.timeout(5):
        while not engine.begun:
            await asyncio.sleep(0.001)
    asking.cancel()
    await asyncio.wait({asking})


async def settled(shelf: AdapterShelf, *names: str) -> None:
    """Waits until the shelf holds these adapters."""
    async with asyncio.timeout(5):
        while shelf.loaded != list(names):
            await asyncio.sleep(0.001)


async def test_one_who_goes_away_during_a_swap_leaves_the_shelf_knowing_what_is_loaded(
    store: MemoryStore, switch: Switch
) -> None:
    engine = Engine()
    shelf = shelf_of(switch, store, engine=engine)
    first, second, third, fourth = [await put(store, content) for content in (b"a", b"b", b"c", b"d")]
    await use(shelf, first)
    await use(shelf, second)
    await left(shelf, engine, third)
    engine.let_go()
    await settled(shelf, second, third)
    assert switch.loaded == [second, third]
    await use(shelf, fourth)
    await use(shelf, first)
    assert (switch.loaded, shelf.loaded) == ([fourth, first], [fourth, first])


async def test_nobody_swaps_beside_a_swap_that_was_left(store: MemoryStore, switch: Switch) -> None:
    engine = Engine()
    shelf = shelf_of(switch, store, bound=1, engine=engine)
    first, second = [await put(store, content) for content in (b"a", b"b")]
    await left(shelf, engine, first)
    next_one = asyncio.create_task(use(shelf, second))
    await asyncio.sleep(0.05)
    assert len(engine.begun) == 1
    engine.let_go()
    await next_one
    assert (switch.loaded, shelf.loaded) == ([second], [second])


async def test_a_swap_that_fails_after_it_was_left_is_nobodys(
    store: MemoryStore, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine()
    shelf = shelf_of(switch, store, engine=engine)
    await left(shelf, engine, await put(store, b"broken"))
    engine.let_go()
    await use(shelf, await put(store, b"a"))
    assert len(shelf.loaded) == 1
    assert "never retrieved" not in caplog.text


async def test_a_missing_adapter_is_not_found(store: MemoryStore, switch: Switch) -> None:
    for name in (f"p/{'0' * 64}", f"NO PROJECT/{'0' * 64}"):
        with pytest.raises(UnknownModel):
            await use(shelf_of(switch, store), name)


async def test_another_projects_adapter_is_not_found(store: MemoryStore, switch: Switch) -> None:
    name = await put(store, b"a")
    with pytest.raises(UnknownModel):
        await use(shelf_of(switch, store), name.replace("p/", "q/"))


async def test_without_a_store_no_adapter_is_served(switch: Switch) -> None:
    with pytest.raises(UnknownModel, match="CULTIVAR_ARTIFACTS"):
        await use(shelf_of(switch, None), f"p/{'0' * 64}")


async def test_a_store_that_does_not_answer_is_told_as_such(switch: Switch) -> None:
    with pytest.raises(StoreDown):
        await use(shelf_of(switch, DownStore()), f"p/{'0' * 64}")


@pytest.mark.parametrize(
    ("content", "kind", "names"),
    [
        (b"bad", "adapter", FILES),
        (b"broken", "adapter", FILES),
        (b"a", "dataset", FILES),
        (b"a", "adapter", FILES[:1]),
        (b"a", "adapter", ("adapter_config.json", "adapter_model.bin")),
    ],
)
async def test_an_adapter_that_cannot_be_used_says_why_and_is_not_kept(
    store: MemoryStore, switch: Switch, content: bytes, kind: str, names: tuple[str, ...]
) -> None:
    shelf = shelf_of(switch, store)
    with pytest.raises(BadRequest, match="cannot be used"):
        await use(shelf, await put(store, content, kind, names))
    assert shelf.loaded == []


async def test_an_adapter_above_the_size_bound_is_not_fetched(
    store: MemoryStore, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_shelf, "LARGEST_FILE", 2)
    with pytest.raises(BadRequest, match="larger than"):
        await use(shelf_of(switch, store), await put(store, b"abc"))
