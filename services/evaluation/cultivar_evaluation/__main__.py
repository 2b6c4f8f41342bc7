"""Wiring of the evaluation service: `python -m cultivar_evaluation` runs it alone."""

from cultivar.evaluation.v1 import evaluation_pb2_grpc
from cultivar_service.engine import Engine
from cultivar_service.parts import Parts, Service
from cultivar_service.runs import Runs
from cultivar_service.serving import main
from cultivar_service.settings import Settings

from cultivar_evaluation.runner import EvaluationWork
from cultivar_evaluation.service import EvaluationServicer

KIND = "evaluation"


async def build(parts: Parts) -> Service:
    """Builds the service from its parts."""
    database = await parts.database("evaluation")
    work = EvaluationWork(database, parts.store, parts.models)
    engine = Engine(database, {KIND: work}, slots=parts.settings.run_slots, lease_seconds=parts.settings.lease_seconds)
    servicer = EvaluationServicer(Runs(database, KIND, "evaluationRuns"), engine, parts.store)
    return Service(
        name=KIND,
        packages=["cultivar.evaluation.v1.EvaluationService"],
        add=lambda server: evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(servicer, server),
        engine=engine,
        database=database,
    )


if __name__ == "__main__":
    main(Settings, build)
