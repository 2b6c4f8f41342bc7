"""Wiring of the training service: `python -m cultivar_training` runs it alone."""

import asyncio
from pathlib import Path

from cultivar.training.v1 import training_pb2_grpc
from cultivar_launchers import StandingRayLauncher
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main

from cultivar_training import store
from cultivar_training.codec import COLLECTION
from cultivar_training.fake_program import fake_launcher
from cultivar_training.programs import Programs
from cultivar_training.runner import TrainingWork, left_folders, remove_folders, runs_folder
from cultivar_training.service import TrainingServicer
from cultivar_training.settings import TrainingSettings

KIND = "training"
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    settings = TrainingSettings.extending(parts.settings)
    database = await parts.database(KIND, MIGRATIONS)
    programs = find_programs(parts, settings)
    work = TrainingWork(parts.store, programs, settings)
    engine = Engine(database, {KIND: work}, slots=settings.training_slots, lease_seconds=settings.lease_seconds)
    runs = Runs(database, KIND, COLLECTION)
    servicer = TrainingServicer(database, parts.store, runs, engine, settings.training_workers)

    async def start() -> None:
        folders = await asyncio.to_thread(left_folders, runs_folder(settings))
        async with database.begin() as connection:
            still_open = await store.open_runs(connection)
        await asyncio.to_thread(remove_folders, folders, still_open)

    return Service(
        name=KIND,
        packages=["cultivar.training.v1.TrainingService"],
        add=lambda server: training_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
        start=start,
        stop=programs.close if programs is not None else None,
    )


def find_programs(parts: Parts, settings: TrainingSettings) -> Programs | None:
    """Returns programs on the process's Ray, or what the settings name in its place; None where there is neither."""
    if settings.training_launcher == "fake":
        # A script has ended with its run, so there is nothing to keep for the next one.
        return Programs(fake_launcher(), settings.folder.absolute() / "programs", 0)
    launcher = parts.launcher
    if launcher is None and settings.ray_address:
        launcher = StandingRayLauncher(settings.ray_address, settings.folder)
        parts.stack.push_async_callback(launcher.close)
    if launcher is None:
        return None
    return Programs(launcher, settings.folder.absolute() / "programs", settings.training_idle_seconds)


if __name__ == "__main__":
    main(TrainingSettings, build)
