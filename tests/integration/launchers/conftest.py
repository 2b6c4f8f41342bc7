"""One local Ray for all tests of this folder that do not harm it."""

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from cultivar_launchers import Launcher, LocalRay, LocalRayLauncher
from cultivar_launchers.ownership import OWNER_VARIABLE, owner_id


def marked(data_dir: Path) -> list[psutil.Process]:
    """Returns the living processes that bear the folder's mark."""
    owner = owner_id(data_dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(OWNER_VARIABLE) == owner and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest_asyncio.fixture
async def ray(tmp_path: Path) -> AsyncIterator[LocalRay]:
    """A local Ray that a test may harm; not started."""
    own = LocalRay(tmp_path, cpus=2)
    yield own
    await own.stop(grace=5)
    assert marked(tmp_path) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_ray(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalRay]:
    """A started local Ray that the tests of a module share."""
    own = LocalRay(tmp_path_factory.mktemp("ray"), cpus=2)
    await own.use()
    yield own
    await own.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def launcher(shared_ray: LocalRay) -> AsyncIterator[Launcher]:
    """A launcher on the shared Ray."""
    made = LocalRayLauncher(shared_ray)
    yield made
    await made.close(0)
