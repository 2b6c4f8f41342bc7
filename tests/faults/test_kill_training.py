"""kill -9 of the whole server in the middle of a training run: the next one ends what is left and goes on."""

from pathlib import Path
from typing import Any

import pytest
from cultivar.example.v1 import example_pb2
from cultivar.run.v1 import run_pb2
from cultivar.training.v1 import training_pb2 as pb
from cultivar.training.v1 import training_pb2_grpc
from cultivar_artifacts import open_store
from cultivar_records import BadRow, TaskKind, read_rows
from cultivar_service.migration import make_artifact_schema
from cultivar_service.peers import open_channel

from tests.processes import Server
from tests.seeds import commit_examples
from tests.whole import ends_whole

PARENT = "projects/default"
SEEDS = Path(__file__).parents[2] / "examples" / "support" / "seeds.jsonl"
LABELS = ["refund", "delivery", "password", "invoice", "cancel", "exchange", "damaged", "discount"]
TASK = example_pb2.Task(
    kind=example_pb2.TASK_KIND_CLASSIFICATION, instruction="Sort the message by what it asks for.", labels=LABELS
)


@pytest.mark.timeout(900)
async def test_a_training_run_goes_on_at_its_checkpoint_after_the_server_was_killed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULTIVAR_TRAINING_CHECKPOINT_SECONDS", "0.5")
    await make_artifact_schema(database_url)
    rows = [row for row in read_rows(SEEDS, TaskKind.CLASSIFICATION, labels=LABELS) if not isinstance(row, BadRow)]
    dataset = await commit_examples(database_url, open_store(str(tmp_path / "artifacts")), rows[:24], kind="dataset")
    flags = ("--only", "training", "--database-url", database_url, "--artifacts", str(tmp_path / "artifacts"))
    server = Server(tmp_path / "data", *flags)
    stub = open_stub(await server.start())
    spec = pb.TrainingSpec(dataset=dataset, task=TASK, epochs=4, batch_size=8, workers=2)
    run = await stub.CreateTrainingRun(pb.CreateTrainingRunRequest(parent=PARENT, spec=spec))
    run = await follow(stub, run, steps=6)
    await server.kill()
    stub = open_stub(await server.start())
    first = await follow(stub, run, steps=1, attempt=2)
    assert first.run.progress.counts["steps"] >= 6, "it began anew instead of going on"
    run = await follow(stub, run)
    assert run.run.state == run_pb2.RUN_STATE_SUCCEEDED, (run.run.error, run.log_tail)
    assert dict(run.run.progress.counts)["steps"] == 12
    await ends_whole(server)


def open_stub(connection: Any) -> Any:
    """Opens the training service of a server."""
    return training_pb2_grpc.TrainingServiceStub(open_channel(connection.address, connection.token))


async def follow(stub: Any, run: pb.TrainingRun, steps: int = 0, attempt: int = 1) -> pb.TrainingRun:
    """Follows a run until an attempt has taken some steps, or to its end."""
    async for change in stub.WatchTrainingRun(pb.WatchTrainingRunRequest(name=run.name)):
        run = change
        progress = run.run.progress
        fresh = run.run.attempt >= attempt and progress.stage == "training"
        if steps and fresh and progress.counts["steps"] >= steps:
            break
    return run
