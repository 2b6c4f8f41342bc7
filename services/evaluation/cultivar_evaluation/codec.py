"""Messages of evaluation to and from its own objects."""

from cultivar.evaluation.v1 import evaluation_pb2 as pb
from cultivar_records import TaskKind
from cultivar_service.artifacts import artifact_digest, artifact_name
from cultivar_service.errors import InvalidArgument
from cultivar_service.example_codec import decode_task, encode_task
from cultivar_service.names import resource_name
from cultivar_service.run_codec import encode_run
from cultivar_service.runs import Run
from cultivar_service.translate import invalid
from pydantic import ValidationError

from cultivar_evaluation.metrics import Compared
from cultivar_evaluation.plan import BASE_MODEL, EvaluationSpec


def decode_spec(project: str, spec: pb.EvaluationSpec, adapter_base: str = "") -> EvaluationSpec:
    """Resolves what a run is to do; `adapter_base` is the base model that the adapter was trained on."""
    task = decode_task(spec.task, "spec.task")
    if task.kind is TaskKind.CLASSIFICATION and len(task.labels) < 2:
        raise InvalidArgument("a classification must have two labels or more to be scored", field="spec.task.labels")
    if adapter_base and spec.base_model and spec.base_model != adapter_base:
        raise InvalidArgument(f"the adapter is for {adapter_base}, not {spec.base_model}", field="spec.base_model")
    if spec.most_shots and not spec.shots:
        raise InvalidArgument("spec.most_shots needs spec.shots: the examples to choose from", field="spec.shots")
    try:
        return EvaluationSpec(
            examples=artifact_digest(project, spec.examples, "spec.examples"),
            task=task,
            base_model=spec.base_model or adapter_base or BASE_MODEL,
            adapter=artifact_digest(project, spec.adapter, "spec.adapter") if spec.adapter else "",
            shots=artifact_digest(project, spec.shots, "spec.shots") if spec.shots else "",
            most_shots=spec.most_shots,
            random_seed=spec.random_seed,
        )
    except ValidationError as error:
        raise invalid(error, "spec") from error


def encode_evaluation_run(run: Run) -> pb.EvaluationRun:
    """Returns the resource of a run."""
    spec = EvaluationSpec.model_validate(run.spec)
    return pb.EvaluationRun(
        name=resource_name(run.project, "evaluationRuns", run.id),
        run=encode_run(run),
        spec=pb.EvaluationSpec(
            examples=artifact_name(run.project, spec.examples),
            task=encode_task(spec.task),
            base_model=spec.base_model,
            adapter=artifact_name(run.project, spec.adapter),
            shots=artifact_name(run.project, spec.shots),
            most_shots=spec.most_shots,
            random_seed=spec.random_seed,
        ),
        predictions=artifact_name(run.project, run.result.get("predictions", "")),
        metrics=[pb.Estimate(**estimate) for estimate in run.result.get("metrics", [])],
        times_scored=run.result.get("times_scored", 0),
    )


def encode_comparison(metric: str, compared: Compared, first_seeds: int, second_seeds: int) -> pb.Comparison:
    """Returns a comparison with its verdict."""
    found = compared.comparison
    verdict = pb.COMPARISON_VERDICT_NO_DIFFERENCE_SEEN
    if found.low > 0:
        verdict = pb.COMPARISON_VERDICT_BETTER
    elif found.high < 0:
        verdict = pb.COMPARISON_VERDICT_WORSE
    return pb.Comparison(
        metric=metric,
        first=compared.first,
        second=compared.second,
        gain=found.gain,
        low=found.low,
        high=found.high,
        level=found.level,
        p_value=found.p_value,
        rows=compared.rows,
        first_seeds=first_seeds,
        second_seeds=second_seeds,
        covers_seeds=compared.covers_seeds,
        minimum_detectable_gain=compared.minimum_detectable_gain,
        verdict=verdict,
    )
