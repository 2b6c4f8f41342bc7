"""Wiring of the generation service: `python -m cultivar_generation` runs it alone."""

from pathlib import Path

from cultivar.generation.v1 import generation_pb2_grpc
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main

from cultivar_generation.preview import Previewer
from cultivar_generation.runner import GenerationWork
from cultivar_generation.service import GenerationServicer
from cultivar_generation.settings import GenerationSettings
from cultivar_generation.sifting import Sifting

KIND = "generation"
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(parts: Parts, settings: GenerationSettings | None = None) -> Service:
    """Builds the service from its parts, with its own settings from the environment unless they are given."""
    own = settings or GenerationSettings.extending(parts.settings)
    database = await parts.database("generation", MIGRATIONS)
    sifting = Sifting(parts.channel, parts.store)
    work = GenerationWork(database, parts.store, parts.models, sifting)
    engine = Engine(database, {KIND: work}, slots=own.run_slots, lease_seconds=own.lease_seconds, retried=(KIND,))
    runs = Runs(database, KIND, "generationRuns")
    previewer = Previewer(database, parts.store, parts.models)
    servicer = GenerationServicer(
        database, parts.store, runs, engine, previewer, parts.models, sifting, own.allowed_credentials
    )
    return Service(
        name=KIND,
        packages=["cultivar.generation.v1.GenerationService"],
        add=lambda server: generation_pb2_grpc.add_GenerationServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
    )


if __name__ == "__main__":
    main(GenerationSettings, build)
