"""Wiring of the datasets service: `python -m cultivar_datasets` runs it alone."""

import asyncio
from pathlib import Path

from cultivar.datasets.v1 import datasets_pb2_grpc
from cultivar_service.engine import Engine, Work, cancelled
from cultivar_service.logs import log
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main

from cultivar_datasets.files import Files
from cultivar_datasets.runner import ImportWork
from cultivar_datasets.service import DatasetsServicer
from cultivar_datasets.settings import DatasetsSettings
from cultivar_datasets.spool import Spool
from cultivar_datasets.store import VERSION
from cultivar_datasets.versions import VersionWork

IMPORT = "import"
MIGRATIONS = Path(__file__).parent / "migrations"
SWEEP_SECONDS = 3600.0


class Sweeper:
    """Removes abandoned uploads each hour."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to sweep."""
        self._task = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            await cancelled(self._task)

    async def _sweep(self) -> None:
        while True:
            try:
                removed = await asyncio.to_thread(self._spool.remove_abandoned)
                log.info("spool_swept", removed=removed)
            except OSError as error:
                log.warning("spool_not_swept", error=type(error).__name__)
            await asyncio.sleep(SWEEP_SECONDS)


async def build(parts: Parts, settings: DatasetsSettings | None = None) -> Service:
    """Builds the service from its parts, with its own settings from the environment unless they are given."""
    own = settings or DatasetsSettings.extending(parts.settings)
    spool = Spool(own.datasets_spool, own.datasets_abandoned_hours * 3600)
    await asyncio.to_thread(spool.prepare)
    database = await parts.database("datasets", MIGRATIONS)
    works: dict[str, Work] = {
        IMPORT: ImportWork(parts.store, spool.folder),
        VERSION: VersionWork(database, parts.store, spool.folder),
    }
    engine = Engine(database, works, slots=parts.settings.run_slots, lease_seconds=parts.settings.lease_seconds)
    files = Files(database, parts.store, spool, own.datasets_most_file_bytes)
    imports, versions = Runs(database, IMPORT, "importRuns"), Runs(database, VERSION, "datasetVersions")
    servicer = DatasetsServicer(database, parts.store, files, engine, imports, versions)
    sweeper = Sweeper(spool)
    return Service(
        name="datasets",
        packages=["cultivar.datasets.v1.DatasetsService"],
        add=lambda server: datasets_pb2_grpc.add_DatasetsServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
        start=sweeper.start,
        stop=sweeper.stop,
    )


if __name__ == "__main__":
    main(DatasetsSettings, build)
