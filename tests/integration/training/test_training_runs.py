"""A training run from its creation to its adapter, with a script in the place of the program."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.run.v1 import run_pb2
from cultivar.training.v1 import training_pb2 as pb
from cultivar_artifacts import load_manifest
from cultivar_launchers import Event, Program

from tests.integration.training.conftest import PARENT, Open, Training, steps
from tests.seeds import commit_examples


async def test_a_run_stores_its_adapter_under_the_dataset_and_leaves_no_folder(open_training: Open) -> None:
    training = await open_training()
    run = await training.finish(await training.create(random_seed=7))
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    digest = run.adapter.split("/")[-1]
    assert run.model == f"smollm2-135m-instruct:default/{digest}"
    assert training.host.parts is not None
    manifest = await load_manifest(training.host.parts.store, "default", digest)
    assert manifest.kind == "adapter"
    assert manifest.parents == (training.dataset.split("/")[-1],)
    assert [file.name for file in manifest.files] == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
    ]
    assert manifest.config["random_seed"] == 7
    assert dict(run.run.progress.counts) == {"trained": 5, "too_long": 1}
    assert not Path(training.programs[0].spec["folder"]).exists()


async def test_progress_shows_tokens_losses_and_the_time_left(open_training: Open) -> None:
    async def slowly(program: Program) -> AsyncIterator[Event | str]:
        for step in steps(program):
            yield step
            await asyncio.sleep(0.6)

    training = await open_training(slowly)
    run = await training.until(await training.create(), lambda run: run.run.progress.done == 2)
    progress = run.run.progress
    assert (progress.stage, progress.total, progress.unit) == ("training", 3, "tokens")
    assert progress.measures["loss"] == 0.5
    assert progress.measures["validation_loss"] == 1.0
    assert progress.seconds_left == 1


async def test_a_cancelled_run_stops_the_program_within_five_seconds_and_has_no_adapter(open_training: Open) -> None:
    ended = asyncio.Event()

    async def endless(program: Program) -> AsyncIterator[Event | str]:
        yield Event("progress", {"stage": "training", "done": 1, "total": 2})
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    training = await open_training(endless)
    run = await training.until(await training.create(), lambda run: run.run.progress.stage == "training")
    began = time.monotonic()
    await training.stub.CancelTrainingRun(pb.CancelTrainingRunRequest(name=run.name))
    run = await training.finish(run)
    assert time.monotonic() - began < 5
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED
    assert ended.is_set()
    assert not run.adapter
    assert not Path(training.programs[0].spec["folder"]).exists()


async def test_a_program_that_refuses_the_rows_fails_the_run_with_its_sentence_and_the_end_of_its_log(
    open_training: Open,
) -> None:
    async def refuse(program: Program) -> AsyncIterator[Event | str]:
        yield "what it was doing"
        yield Event("error", {"message": "3 of 4 validation rows are in the dataset too"})
        raise ValueError("refused")

    training = await open_training(refuse)
    run = await training.finish(await training.create())
    assert run.run.state == run_pb2.RUN_STATE_FAILED
    assert run.run.error.message == "3 of 4 validation rows are in the dataset too"
    assert run.run.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert "what it was doing" in run.log_tail
    assert run.run.attempt == 1
    assert not Path(training.programs[0].spec["folder"]).exists()


async def test_a_program_that_is_killed_is_started_again_with_the_next_attempt_and_goes_on(open_training: Open) -> None:
    async def killed_once(program: Program) -> AsyncIterator[Event | str]:
        for step in steps(program):
            yield step
            if program.attempt == 1 and isinstance(step, Event) and step.fields.get("step") == 2:
                # What a signal does to a program: it is gone, and has said nothing.
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)

    training = await open_training(killed_once)
    run = await training.finish(await training.create())
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert [program.attempt for program in training.programs] == [1, 2]
    assert training.programs[0].spec["folder"] == training.programs[1].spec["folder"]
    assert run.run.attempt == 2


async def test_a_service_that_stops_gives_the_run_to_the_next_one_and_its_checkpoint_stays(open_training: Open) -> None:
    async def stuck_at_first(program: Program) -> AsyncIterator[Event | str]:
        for step in steps(program):
            yield step
            if program.attempt == 1 and isinstance(step, Event) and step.fields.get("step") == 1:
                await asyncio.Event().wait()

    first = await open_training(stuck_at_first)
    run = await first.until(await first.create(), lambda run: run.run.progress.done == 1)
    assert first.host.services[0].engine is not None
    await first.host.services[0].engine.drain()
    second = await open_training(stuck_at_first)
    run = await second.finish(run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, run.run.error
    assert [program.attempt for program in second.programs] == [2]


async def test_a_repeated_request_makes_one_run_and_another_body_is_refused(open_training: Open) -> None:
    training = await open_training()
    first, second = await asyncio.gather(training.create("once"), training.create("once"))
    assert first.name == second.name
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await training.create("once", epochs=9)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dataset": ""}, "spec.dataset"),
        ({"dataset": "projects/other/artifacts/" + "0" * 64}, "spec.dataset"),
        ({"base_model": "smollm2-135m-instrukt"}, "smollm2-135m-instruct"),
        ({"base_model": "all-minilm-l6-v2"}, "base_model"),
        ({"base_model": "/etc"}, "base_model"),
        ({"learning_rate": -1.0}, "spec.learning_rate"),
        ({"epochs": -1}, "spec.epochs"),
        ({"patience": -1}, "spec.patience"),
        ({"lora": pb.Lora(rank=1000)}, "spec.lora.rank"),
        ({"lora": pb.Lora(dropout=1.0)}, "spec.lora.dropout"),
        ({"lora": pb.Lora(target_modules=["a b"])}, "spec.lora.target_modules"),
        ({"workers": 65}, "spec.workers"),
        ({"random_seed": 2**60}, "spec.random_seed"),
    ],
)
async def test_a_wrong_field_is_named_and_no_run_is_made(
    open_training: Open, change: dict[str, Any], field: str
) -> None:
    training = await open_training()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await training.create(**change)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in f"{refused.value.details()} {refused.value.trailing_metadata()}"
    assert not (await training.stub.ListTrainingRuns(pb.ListTrainingRunsRequest(parent=PARENT))).training_runs


async def test_a_spec_can_be_checked_without_a_dataset_and_no_run_is_made(open_training: Open) -> None:
    training = await open_training()
    request = pb.CreateTrainingRunRequest(parent=PARENT, spec=training.spec(dataset=""), validate_only=True)
    checked = await training.stub.CreateTrainingRun(request)
    assert (checked.name, checked.spec.lora.rank, checked.spec.base_model) == ("", 16, "smollm2-135m-instruct")
    request.spec.learning_rate = 2
    with pytest.raises(grpc.aio.AioRpcError, match="learning_rate"):
        await training.stub.CreateTrainingRun(request)
    assert not (await training.stub.ListTrainingRuns(pb.ListTrainingRunsRequest(parent=PARENT))).training_runs


async def test_an_empty_or_absent_dataset_is_refused_when_the_run_is_created(open_training: Open) -> None:
    training = await open_training()
    assert training.host.parts is not None
    empty = await commit_examples(training.host.settings.database_url, training.host.parts.store, [], kind="dataset")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await training.create(dataset=empty)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError) as absent:
        await training.create(dataset=f"{PARENT}/artifacts/{'0' * 64}")
    assert absent.value.code() == grpc.StatusCode.NOT_FOUND


async def test_adapters_are_listed_by_page_with_what_they_were_trained_with(open_training: Open) -> None:
    training = await open_training()
    runs = [await training.finish(await training.create(random_seed=seed)) for seed in (1, 2, 3)]
    first = await training.stub.ListAdapters(pb.ListAdaptersRequest(parent=PARENT, page_size=2))
    request = pb.ListAdaptersRequest(parent=PARENT, page_size=2, page_token=first.next_page_token)
    second = await training.stub.ListAdapters(request)
    assert [adapter.spec.random_seed for adapter in (*first.adapters, *second.adapters)] == [3, 2, 1]
    assert not second.next_page_token
    adapter = await training.stub.GetAdapter(pb.GetAdapterRequest(name=runs[0].adapter))
    assert adapter.training_run == runs[0].name
    assert adapter.model == runs[0].model
    assert adapter.dataset == training.dataset
    assert adapter.measures["loss"] == 0.3
    assert adapter.size > 0
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await training.stub.GetAdapter(pb.GetAdapterRequest(name=training.dataset))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_every_run_passes_the_audit_and_a_damaged_adapter_does_not(open_training: Open) -> None:
    training = await open_training()
    run = await training.finish(await training.create())
    assert await broken_checks(training) == []
    assert training.host.parts is not None
    manifest = await load_manifest(training.host.parts.store, "default", run.adapter.split("/")[-1])
    await training.host.parts.store.delete("default", manifest.files[1].sha256)
    assert await broken_checks(training) == ["every digest of an adapter can be computed again"]


async def broken_checks(training: Training) -> list[str]:
    """The checks of the audit that do not hold."""
    report = await training.stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    return [finding.check for finding in report.findings if not finding.holds]
