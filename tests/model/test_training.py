"""Training for real: the small model, Ray Train with two workers, a kill in the middle, a cancelled run."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from cultivar.audit.v1 import audit_pb2
from cultivar.example.v1 import example_pb2
from cultivar.run.v1 import run_pb2
from cultivar.training.v1 import training_pb2 as pb
from cultivar.training.v1 import training_pb2_grpc
from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_launchers import LocalRay, LocalRayLauncher
from cultivar_records import BadRow, Example, TaskKind, read_rows
from cultivar_service.parts import Parts, Service
from cultivar_training.__main__ import build

from tests.conftest import Start
from tests.seeds import commit_examples

PARENT = "projects/default"
SUPPORT = Path(__file__).parents[2] / "examples" / "support"
LABELS = ["refund", "delivery", "password", "invoice", "cancel", "exchange", "damaged", "discount"]
TASK = example_pb2.Task(
    kind=example_pb2.TASK_KIND_CLASSIFICATION,
    instruction=f"Sort the message of a customer by what the customer wants: {', '.join(LABELS)}.",
    labels=LABELS,
)
pytestmark = pytest.mark.timeout(900)


class Training:
    """A training service on local Ray, with the rows of the support example."""

    def __init__(self, stub: Any, store: ArtifactStore, dataset: str, validation: str) -> None:
        self.stub, self.store = stub, store
        self.spec = pb.TrainingSpec(
            dataset=dataset, validation=validation, task=TASK, epochs=3, batch_size=8, workers=2, random_seed=3
        )

    async def create(self) -> pb.TrainingRun:
        """Creates a run."""
        return await self.stub.CreateTrainingRun(pb.CreateTrainingRunRequest(parent=PARENT, spec=self.spec))

    async def follow(
        self, run: pb.TrainingRun, until: Callable[[pb.TrainingRun], bool] = lambda run: False
    ) -> pb.TrainingRun:
        """Follows a run to its end, or until something holds."""
        async for change in self.stub.WatchTrainingRun(pb.WatchTrainingRunRequest(name=run.name)):
            run = change
            if until(run):
                break
        return run

    async def fetch(self, run: pb.TrainingRun, folder: Path) -> Path:
        """Brings an adapter's files into a folder."""
        folder.mkdir()
        manifest = await load_manifest(self.store, "default", run.adapter.split("/")[-1])
        for file in manifest.files:
            await self.store.fetch("default", file.sha256, folder / file.name)
        return folder


def rows(name: str, number: int) -> list[Example]:
    """Some rows of the support example."""
    read = read_rows(SUPPORT / f"{name}.jsonl", TaskKind.CLASSIFICATION, labels=LABELS)
    return [row for row in read if not isinstance(row, BadRow)][:number]


@pytest.fixture
async def training(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Training]:
    """Starts the service; Ray starts with the first run."""
    monkeypatch.setenv("CULTIVAR_TRAINING_CHECKPOINT_SECONDS", "0.5")
    ray = LocalRay(tmp_path / "data", cpus=3)
    launcher = LocalRayLauncher(ray)

    async def build_on_ray(parts: Parts) -> Service:
        parts.launcher = launcher
        return await build(parts)

    host = await start(build_on_ray, lease_seconds=15.0)
    assert host.parts is not None
    store, address = host.parts.store, host.settings.database_url
    dataset = await commit_examples(address, store, rows("seeds", 40), kind="dataset")
    validation = await commit_examples(address, store, rows("validation", 16), kind="validation")
    yield Training(training_pb2_grpc.TrainingServiceStub(host.parts.channel), store, dataset, validation)
    await launcher.close()
    await ray.stop()


def workers() -> list[psutil.Process]:
    """The training workers that run under this process."""
    return [child for child in psutil.Process().children(recursive=True) if "RayTrainWorker" in _title(child)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


async def test_a_run_learns_and_a_killed_one_goes_on_and_learns_the_same(training: Training, tmp_path: Path) -> None:
    whole = await training.follow(await training.create())
    assert whole.run.state == run_pb2.RUN_STATE_SUCCEEDED, (whole.run.error, whole.log_tail)
    whole_report = json.loads((await training.fetch(whole, tmp_path / "whole") / "training.json").read_bytes())
    losses = [each["validation_loss"] for each in whole_report["losses"]]
    assert losses[-1] < 0.75 * losses[0]
    assert whole_report["measures"]["best_validation_loss"] == min(losses)
    assert 0 < whole.run.progress.measures["trained_share"] < 0.2
    assert len(await asyncio.to_thread(workers)) == 2, "the workers wait for the next run"
    killed = await training.create()
    await training.follow(killed, lambda run: run.run.progress.counts["steps"] >= 6)
    await asyncio.to_thread(kill_one)
    killed = await training.follow(killed)
    assert killed.run.state == run_pb2.RUN_STATE_SUCCEEDED, (killed.run.error, killed.log_tail)
    assert killed.run.attempt == 2
    report = json.loads((await training.fetch(killed, tmp_path / "killed") / "training.json").read_bytes())
    assert [each["validation_loss"] for each in report["losses"]] == pytest.approx(losses, rel=1e-3)
    assert report["measures"]["tokens"] == whole_report["measures"]["tokens"]
    assert_loads(tmp_path / "killed")
    audit = await training.stub.Audit(audit_pb2.AuditRequest(parent=PARENT))
    assert [finding.check for finding in audit.findings if not finding.holds] == []


def kill_one() -> None:
    """Kills one of the two workers, as the kernel does when memory runs out."""
    found = workers()
    assert len(found) == 2
    found[0].kill()


def assert_loads(folder: Path) -> None:
    """Loads an adapter as a user does, and as the teachers do; it changes what the model says."""
    import torch
    from cultivar_generation.teachers.adapters import linear_shapes, read_adapter
    from cultivar_models.weights import find_weights, load_causal_model, load_tokenizer
    from peft import PeftModel

    weights = find_weights("smollm2-135m-instruct")
    base: Any = load_causal_model(weights, "float32")
    assert len(read_adapter(folder, linear_shapes(base)).tensors) == 2 * 7 * 30
    prompt = load_tokenizer(weights)(
        f"{TASK.instruction}\n\nMessage: Where is my parcel?\nIntent:", return_tensors="pt"
    )
    with torch.inference_mode():
        before = base(**prompt).logits[0, -1]
        after = PeftModel.from_pretrained(base, str(folder))(**prompt).logits[0, -1]
    labels = [load_tokenizer(weights)(f" {label}")["input_ids"][0] for label in LABELS]
    assert after.softmax(-1)[labels].sum() > 0.5 > before.softmax(-1)[labels].sum()


async def test_a_cancelled_run_leaves_no_worker_behind(training: Training) -> None:
    run = await training.follow(await training.create(), lambda run: run.run.progress.counts["steps"] >= 1)
    assert len(await asyncio.to_thread(workers)) == 2
    began = time.monotonic()
    await training.stub.CancelTrainingRun(pb.CancelTrainingRunRequest(name=run.name))
    run = await training.follow(run)
    assert run.run.state == run_pb2.RUN_STATE_CANCELLED
    assert time.monotonic() - began < 5
    await gone(workers)


async def gone(look: Callable[[], list[psutil.Process]]) -> None:
    """Waits until no process is left."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(look):
            await asyncio.sleep(0.2)
