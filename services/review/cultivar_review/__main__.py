"""Wiring of the review service: `python -m cultivar_review` runs it alone."""

from pathlib import Path

from cultivar.review.v1 import review_pb2_grpc
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_review.runner import ClosingWork
from cultivar_review.service import ReviewServicer

KIND = "closing"
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    database = await parts.database("review", MIGRATIONS)
    work = ClosingWork(database, parts.store)
    engine = Engine(database, {KIND: work}, slots=parts.settings.run_slots, lease_seconds=parts.settings.lease_seconds)
    servicer = ReviewServicer(database, parts.store, Runs(database, KIND, "queueClosings"), engine)
    return Service(
        name="review",
        packages=["cultivar.review.v1.ReviewService"],
        add=lambda server: review_pb2_grpc.add_ReviewServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
    )


if __name__ == "__main__":
    main(Settings, build)
