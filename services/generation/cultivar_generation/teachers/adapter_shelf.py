"""Brings adapters from the artifact store into the model when they are first asked for, and keeps the latest used."""

import asyncio
import logging
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cultivar_artifacts.errors import ArtifactError, ArtifactInvalid, ArtifactMissing, CorruptArtifact, StoreUnavailable
from cultivar_artifacts.manifests import Manifest, load_manifest
from cultivar_artifacts.store import ArtifactStore

from cultivar_generation.teachers.adapters import (
    CONFIG_FILE,
    TENSOR_FILE,
    AdapterInvalid,
    AdapterSwitch,
    CheckedAdapter,
    read_adapter,
)
from cultivar_generation.teachers.engine import Engine
from cultivar_generation.teachers.errors import BadRequest, Overloaded, StoreDown, UnknownModel

LARGEST_FILE = 1 << 30
"""Bytes of an adapter's file, at most."""

_log = logging.getLogger(__name__)


class AdapterShelf:
    """Holds up to `bound` adapters in the model; the one that was used least recently goes first.

    open_store: opens the store at the first use; it is no adapter's fault if there is none.
    """

    def __init__(
        self, engine: Engine, switch: AdapterSwitch, open_store: Callable[[], ArtifactStore | None], bound: int
    ) -> None:
        self._engine = engine
        self._switch = switch
        self._open_store = open_store
        self._bound = bound
        self._loaded: OrderedDict[str, int] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._taking: set[asyncio.Task[None]] = set()

    @property
    def loaded(self) -> list[str]:
        """The adapters that are loaded now, as `project/digest`."""
        return list(self._loaded)

    @asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[None]:
        """Keeps the adapter `project/digest` loaded for a while, after fetching it if need be.

        Raises `UnknownModel`, `BadRequest` for an adapter that cannot be used, `StoreDown`, and `Overloaded` when all
        that are loaded are at work.
        """
        if name in self._loaded:
            self._hold(name)
        else:
            await self._taken(name)
        try:
            yield
        finally:
            self._loaded[name] -= 1

    def _hold(self, name: str) -> None:
        self._loaded.move_to_end(name)
        self._loaded[name] += 1

    async def _taken(self, name: str) -> None:
        """Brings and holds an adapter to the end even if who asked goes away: the model would not stop halfway."""
        taking = asyncio.create_task(self._take(name))
        self._taking.add(taking)
        taking.add_done_callback(self._taking.discard)
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda done: self._left(name, done))
            raise

    def _left(self, name: str, taking: "asyncio.Task[None]") -> None:
        if not taking.cancelled() and taking.exception() is None:
            self._loaded[name] -= 1

    async def _take(self, name: str) -> None:
        async with self._one_at_a_time:
            if name not in self._loaded:
                await self._bring(name)
            self._hold(name)

    async def _bring(self, name: str) -> None:
        adapter = await self._checked(name)
        # Who leaves is settled here and not in the engine's thread, so that nobody can begin to use it meanwhile.
        leaving = None
        if len(self._loaded) >= self._bound:
            leaving = next((loaded for loaded, uses in self._loaded.items() if uses == 0), None)
            if leaving is None:
                raise Overloaded(5)
            del self._loaded[leaving]
        try:
            await asyncio.wrap_future(self._engine.call(lambda: self._swap(leaving, name, adapter)))
        except AdapterInvalid as error:
            raise BadRequest(f"the adapter {name} cannot be used: {error}", "adapter_invalid", "model") from error
        self._loaded[name] = 0
        _log.info("adapter %s is loaded", name)

    def _swap(self, leaving: str | None, name: str, adapter: CheckedAdapter) -> None:
        """Runs in the engine's thread: nothing else uses the model meanwhile."""
        if leaving is not None:
            self._engine.forget(leaving)
            self._switch.unload(leaving)
        self._switch.load(name, adapter)

    async def _checked(self, name: str) -> CheckedAdapter:
        project, _, digest = name.partition("/")
        store = self._open_store()
        if store is None:
            raise UnknownModel("no adapters are served here: set CULTIVAR_ARTIFACTS to the artifact store's address")
        try:
            with tempfile.TemporaryDirectory(prefix="cultivar-adapter-") as folder:
                await _fetch(store, await load_manifest(store, project, digest), Path(folder))
                return await asyncio.to_thread(read_adapter, Path(folder), self._switch.shapes)
        except (AdapterInvalid, CorruptArtifact) as error:
            raise BadRequest(f"the adapter {name} cannot be used: {error}", "adapter_invalid", "model") from error
        except (ArtifactMissing, ArtifactInvalid) as error:
            raise UnknownModel(f"there is no adapter {name} in the artifact store") from error
        except (StoreUnavailable, OSError) as error:
            raise StoreDown() from error
        except ArtifactError as error:
            raise BadRequest(f"the adapter {name} cannot be fetched", "adapter_invalid", "model") from error


async def _fetch(store: ArtifactStore, manifest: Manifest, folder: Path) -> None:
    if manifest.kind != "adapter":
        raise AdapterInvalid(f"the manifest is of kind {manifest.kind}: name an adapter's")
    files = {file.name: file for file in manifest.files}
    for name in (CONFIG_FILE, TENSOR_FILE):
        if name not in files:
            raise AdapterInvalid(f"its manifest has no file {name}: train the adapter again")
        if files[name].size > LARGEST_FILE:
            raise AdapterInvalid(f"its file {name} is larger than {LARGEST_FILE} bytes")
        await store.fetch(manifest.project, files[name].sha256, folder / name)
