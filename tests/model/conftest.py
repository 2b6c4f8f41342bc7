"""The real small model; the weights are unpacked once into the usual cache."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cultivar_generation.teachers.settings import TeacherSettings

T = TypeVar("T")

TEXT_MODEL = "smollm2-135m-instruct"
EMBEDDING_MODEL = "all-minilm-l6-v2"


class Running:
    """The engine and the backend in this process, on an event loop of their own."""

    def __init__(self, settings: TeacherSettings) -> None:
        from cultivar_generation.teachers.loading import load

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def loaded() -> Any:
            return load(settings)

        self.loaded = self.wait(loaded())
        self.backend = self.loaded.backend

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    def stop(self) -> None:
        """Ends the engine and the loop."""
        self.loaded.engine.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="session", autouse=True)
def offline() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def running(store_folder: Path) -> Iterator[Running]:
    running = Running(TeacherSettings(artifacts=str(store_folder), adapters=2))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def folder() -> Path:
    from cultivar_models.weights import find_weights

    return find_weights(TEXT_MODEL)


@pytest.fixture(scope="session")
def model(folder: Path) -> Any:
    """The model as transformers loads it, without anything of ours around it."""
    from cultivar_models.processor import choose_dtype
    from cultivar_models.weights import cache_folder, load_causal_model

    return load_causal_model(folder, choose_dtype(cache_folder()))


@pytest.fixture(scope="session")
def tokenizer(folder: Path) -> Any:
    from cultivar_models.weights import load_tokenizer

    return load_tokenizer(folder)
