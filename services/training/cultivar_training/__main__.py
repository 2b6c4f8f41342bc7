"""Wiring of the training service: `python -m cultivar_training` runs it alone."""

import asyncio

from cultivar.training.v1 import training_pb2_grpc
from cultivar_launchers import Launcher, StandingRayLauncher
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main

from cultivar_training import store
from cultivar_training.codec import COLLECTION
from cultivar_training.runner import TrainingWork, left_folders, remove_folders
from cultivar_training.service import TrainingServicer
from cultivar_training.settings import TrainingSettings, training_settings

KIND = "training"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    settings = training_settings(parts.settings)
    database = await parts.database(KIND)
    work = TrainingWork(parts.store, find_launcher(parts, settings), settings)
    engine = Engine(database, {KIND: work}, slots=settings.training_slots, lease_seconds=settings.lease_seconds)
    runs = Runs(database, KIND, COLLECTION)
    servicer = TrainingServicer(database, parts.store, runs, engine, settings.training_workers)

    async def start() -> None:
        folders = await asyncio.to_thread(left_folders, settings.folder)
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
    )


def find_launcher(parts: Parts, settings: TrainingSettings) -> Launcher | None:
    """Returns the process's launcher, or one for the Ray that the settings name; None where there is neither."""
    if parts.launcher is not None or not settings.ray_address:
        return parts.launcher
    launcher = StandingRayLauncher(settings.ray_address, settings.folder)
    parts.stack.push_async_callback(launcher.close)
    return launcher


if __name__ == "__main__":
    main(TrainingSettings(), build)
