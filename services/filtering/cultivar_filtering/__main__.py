"""Wiring of the filtering service: `python -m cultivar_filtering` runs it alone."""

from cultivar.filtering.v1 import filtering_pb2_grpc
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_filtering.runner import FilterWork
from cultivar_filtering.service import FilteringServicer
from cultivar_filtering.worker import Worker

KIND = "filter"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    database = await parts.database("filtering")
    worker = Worker()
    parts.stack.push_async_callback(worker.close)
    work = FilterWork(database, parts.store, parts.models, worker)
    engine = Engine(database, {KIND: work}, slots=parts.settings.run_slots, lease_seconds=parts.settings.lease_seconds)
    servicer = FilteringServicer(database, Runs(database, KIND, "filterRuns"), engine, parts.store)
    return Service(
        name="filtering",
        packages=["cultivar.filtering.v1.FilteringService"],
        add=lambda server: filtering_pb2_grpc.add_FilteringServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
    )


if __name__ == "__main__":
    main(Settings, build)
