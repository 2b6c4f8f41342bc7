"""Evaluation over real gRPC and Postgres, with the fake teacher's scores."""

import math
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.evaluation.v1 import evaluation_pb2 as pb
from cultivar.evaluation.v1 import evaluation_pb2_grpc
from cultivar.example.v1 import example_pb2
from cultivar.run.v1 import run_pb2
from cultivar_artifacts import load_manifest
from cultivar_evaluation.__main__ import build
from cultivar_evaluation.predictions import read_predictions
from cultivar_models.fake import FakeTeacher
from cultivar_records import Example, Message, Provenance, TaskKind, example_id
from cultivar_service.serving import Host

from tests.conftest import Start
from tests.seeds import TASK, commit_examples, seeds

PARENT = "projects/default"


async def open_evaluation(start: Start, teacher: FakeTeacher) -> tuple[Host, Any, str]:
    """Starts the service with the fake teacher and 120 rows to score."""
    host = await start(build, teachers_url=teacher.url)
    assert host.parts is not None
    rows = await commit_examples(host.settings.database_url, host.parts.store, seeds(repeat=20), kind="held_out")
    return host, evaluation_pb2_grpc.EvaluationServiceStub(host.parts.channel), rows


async def evaluate(stub: Any, rows: str, request_id: str = "", **spec: Any) -> pb.EvaluationRun:
    """Creates a run and follows it to its end."""
    request = pb.CreateEvaluationRunRequest(
        parent=PARENT, spec=pb.EvaluationSpec(**{"examples": rows, "task": TASK, **spec}), request_id=request_id
    )
    run = await stub.CreateEvaluationRun(request)
    async for change in stub.WatchEvaluationRun(pb.WatchEvaluationRunRequest(name=run.name)):
        run = change
    return run


async def test_a_run_scores_each_row_once_and_gives_each_metric_its_interval(
    start: Start, teacher: FakeTeacher
) -> None:
    host, stub, rows = await open_evaluation(start, teacher)
    run = await evaluate(stub, rows)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.predictions.split("/")[-1])
    predictions = await read_predictions(host.parts.store, manifest)
    assert len({row["id"] for row in predictions}) == len(predictions) == 120
    right = sum(row["truth"] == row["predicted"] for row in predictions) / 120
    accuracy = next(metric for metric in run.metrics if metric.metric == "accuracy")
    assert accuracy.value == pytest.approx(right)
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert {metric.metric for metric in run.metrics} == {"accuracy", "macro_f1"}


async def test_the_predicted_label_is_the_likeliest_one(start: Start, teacher: FakeTeacher) -> None:
    host, stub, rows = await open_evaluation(start, teacher)
    run = await evaluate(stub, rows)
    assert host.parts is not None
    manifest = await load_manifest(host.parts.store, "default", run.predictions.split("/")[-1])
    for row in await read_predictions(host.parts.store, manifest):
        assert TASK.labels[row["logprobs"].index(max(row["logprobs"]))] == row["predicted"]


async def test_how_often_rows_were_scored_is_counted(start: Start, teacher: FakeTeacher) -> None:
    _, stub, rows = await open_evaluation(start, teacher)
    assert [(await evaluate(stub, rows, random_seed=number)).times_scored for number in range(3)] == [1, 2, 3]


async def test_a_way_compared_with_itself_shows_no_difference(start: Start, teacher: FakeTeacher) -> None:
    _, stub, rows = await open_evaluation(start, teacher)
    run = await evaluate(stub, rows)
    request = pb.CompareEvaluationsRequest(parent=PARENT, first=[run.name], second=[run.name])
    comparison = await stub.CompareEvaluations(request)
    assert comparison.verdict == pb.COMPARISON_VERDICT_NO_DIFFERENCE_SEEN
    assert (comparison.gain, comparison.rows, comparison.covers_seeds) == (0, 120, False)


async def test_shots_that_tell_the_labels_make_the_model_better(start: Start, teacher: FakeTeacher) -> None:
    host, stub, rows = await open_evaluation(start, teacher)
    assert host.parts is not None
    shots = await commit_examples(host.settings.database_url, host.parts.store, seeds())
    base = await evaluate(stub, rows)
    with_shots = await evaluate(stub, rows, shots=shots, most_shots=6)
    request = pb.CompareEvaluationsRequest(parent=PARENT, first=[base.name], second=[with_shots.name])
    assert (await stub.CompareEvaluations(request)).verdict == pb.COMPARISON_VERDICT_BETTER


PAIRS = type(TASK)(kind=example_pb2.TASK_KIND_INSTRUCTION, input_name="User", output_name="Assistant")


async def test_answers_without_labels_are_measured_by_their_perplexity(start: Start, teacher: FakeTeacher) -> None:
    host, stub, _ = await open_evaluation(start, teacher)
    assert host.parts is not None
    rows = await commit_examples(host.settings.database_url, host.parts.store, pairs(), kind="held_out")
    run = await evaluate(stub, rows, task=PAIRS)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    (metric,) = run.metrics
    manifest = await load_manifest(host.parts.store, "default", run.predictions.split("/")[-1])
    predictions = await read_predictions(host.parts.store, manifest)
    surprise = -sum(row["logprobs"][0] for row in predictions) / sum(row["tokens"] for row in predictions)
    assert metric.metric == "perplexity"
    assert metric.value == pytest.approx(math.exp(surprise))
    assert 1 < metric.low < metric.value < metric.high


async def test_shots_that_hold_the_answers_let_the_perplexity_fall(start: Start, teacher: FakeTeacher) -> None:
    host, stub, _ = await open_evaluation(start, teacher)
    assert host.parts is not None
    rows = await commit_examples(host.settings.database_url, host.parts.store, pairs(), kind="held_out")
    base = await evaluate(stub, rows, task=PAIRS)
    told = await evaluate(stub, rows, task=PAIRS, shots=rows, most_shots=40)
    request = pb.CompareEvaluationsRequest(parent=PARENT, first=[base.name], second=[told.name], metric="perplexity")
    comparison = await stub.CompareEvaluations(request)
    assert comparison.verdict == pb.COMPARISON_VERDICT_BETTER
    assert comparison.gain == pytest.approx(comparison.first - comparison.second)
    assert comparison.minimum_detectable_gain > 0
    with pytest.raises(grpc.aio.AioRpcError, match="take perplexity"):
        await stub.CompareEvaluations(
            pb.CompareEvaluationsRequest(parent=PARENT, first=[base.name], second=[told.name])
        )


def pairs() -> list[Example]:
    """Instructions with answers, as a person wrote them."""
    made = []
    for number in range(40):
        key = example_id("pairs", str(number), 0)
        turns = (
            Message(role="user", content=f"Name the thing with number {number}."),
            Message(role="assistant", content=f"That is thing {number}, of course, and no other."),
        )
        origin = Provenance(origin="seed", family=key)
        made.append(Example(id=key, task=TaskKind.INSTRUCTION, messages=turns, provenance=origin))
    return made


async def test_runs_over_different_rows_are_not_compared(start: Start, teacher: FakeTeacher) -> None:
    host, stub, rows = await open_evaluation(start, teacher)
    assert host.parts is not None
    others = await commit_examples(host.settings.database_url, host.parts.store, seeds())
    names = [(await evaluate(stub, each)).name for each in (rows, others)]
    with pytest.raises(grpc.aio.AioRpcError, match="same rows"):
        await stub.CompareEvaluations(pb.CompareEvaluationsRequest(parent=PARENT, first=[names[0]], second=[names[1]]))


async def test_a_label_outside_the_task_fails_the_run_in_words(start: Start, teacher: FakeTeacher) -> None:
    _, stub, rows = await open_evaluation(start, teacher)
    task = type(TASK)(kind=TASK.kind, instruction=TASK.instruction, labels=["refund", "cancel"])
    request = pb.CreateEvaluationRunRequest(parent=PARENT, spec=pb.EvaluationSpec(examples=rows, task=task))
    run = await stub.CreateEvaluationRun(request)
    async for change in stub.WatchEvaluationRun(pb.WatchEvaluationRunRequest(name=run.name)):
        run = change
    assert run.run.state == run_pb2.RUN_STATE_FAILED
    assert "delivery" in run.run.error.message


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"examples": "projects/default/artifacts/" + "0" * 64}, ""),
        ({"examples": "projects/other/artifacts/" + "0" * 64}, "spec.examples"),
        ({"most_shots": 3}, "spec.shots"),
    ],
)
async def test_a_wrong_field_is_named(start: Start, teacher: FakeTeacher, spec: dict[str, Any], field: str) -> None:
    _, stub, rows = await open_evaluation(start, teacher)
    request = pb.CreateEvaluationRunRequest(
        parent=PARENT, spec=pb.EvaluationSpec(**{"examples": rows, "task": TASK, **spec})
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateEvaluationRun(request)
    assert field in str(refused.value.trailing_metadata())


async def test_evaluation_passes_its_audit(start: Start, teacher: FakeTeacher) -> None:
    _, stub, rows = await open_evaluation(start, teacher)
    await evaluate(stub, rows)
    report = await stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert all(finding.holds for finding in report.findings)
