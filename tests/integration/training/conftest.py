"""A training service whose programs are scripts: nothing is trained, everything else is real."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cultivar.training.v1 import training_pb2 as pb
from cultivar.training.v1 import training_pb2_grpc
from cultivar_launchers import Event, FakeLauncher, Program
from cultivar_launchers.fake import Failure
from cultivar_service.parts import Parts, Service
from cultivar_service.serving import Host
from cultivar_training.__main__ import build
from cultivar_training.plan import ADAPTER_FILES

from tests.conftest import Start
from tests.seeds import TASK, commit_examples, seeds

PARENT = "projects/default"
MODULE = "cultivar_training.program"


@dataclass
class Training:
    """The service, its stub, the rows, and the programs that it started."""

    host: Host
    stub: Any
    dataset: str
    programs: list[Program] = field(default_factory=list)

    def spec(self, **changed: Any) -> pb.TrainingSpec:
        """What a run is to do."""
        return pb.TrainingSpec(**{"dataset": self.dataset, "task": TASK, "workers": 2, **changed})

    async def create(self, request_id: str = "", **changed: Any) -> pb.TrainingRun:
        """Creates a run."""
        request = pb.CreateTrainingRunRequest(parent=PARENT, spec=self.spec(**changed), request_id=request_id)
        return await self.stub.CreateTrainingRun(request)

    async def follow(self, run: pb.TrainingRun) -> AsyncIterator[pb.TrainingRun]:
        """Yields the run as it changes."""
        async for change in self.stub.WatchTrainingRun(pb.WatchTrainingRunRequest(name=run.name)):
            yield change

    async def finish(self, run: pb.TrainingRun) -> pb.TrainingRun:
        """Follows a run to its end."""
        async for change in self.follow(run):
            run = change
        return run

    async def until(self, run: pb.TrainingRun, holds: Callable[[pb.TrainingRun], bool]) -> pb.TrainingRun:
        """Follows a run until something holds."""
        async for change in self.follow(run):
            if holds(change):
                return change
        raise AssertionError("the run ended before")


Open = Callable[..., Awaitable[Training]]


def steps(program: Program) -> Iterable[Event | str]:
    """What a program says that trains three steps; it goes on from the checkpoint that an earlier attempt left."""
    folder = Path(program.spec["folder"])
    done = len(list(folder.glob("*.step")))
    yield "a line of the log"
    for step in range(done + 1, 4):
        measures = {"loss": 1 / step, "validation_loss": 2 / step, "tokens_per_second": 100.0}
        yield Event(
            "progress", {"stage": "training", "done": step, "total": 3, "measures": measures, "seconds_left": 3 - step}
        )
        (folder / f"{step}.step").touch()
        yield Event("checkpoint", {"step": step, "tokens": step})
    adapter = folder / f"attempt-{program.attempt:05d}"
    adapter.mkdir()
    for name in ADAPTER_FILES:
        (adapter / name).write_text(f"{name} of {program.name}")
    yield Event("result", {"folder": str(adapter), "trained": 5, "too_long": 1, "measures": {"loss": 0.3}})


@pytest.fixture
def open_training(start: Start) -> Open:
    """Starts the service with a script in the place of the program."""

    async def open_training(
        script: Callable[[Program], Any] = steps, failures: dict[tuple[int, int], Failure] | None = None
    ) -> Training:
        programs: list[Program] = []

        def remembered(program: Program) -> Any:
            programs.append(program)
            return script(program)

        async def build_with_script(parts: Parts) -> Service:
            parts.launcher = FakeLauncher({MODULE: remembered})
            return await build(parts)

        host = await start(build_with_script)
        assert host.parts is not None
        stub: Any = training_pb2_grpc.TrainingServiceStub(host.parts.channel)
        dataset = await commit_examples(host.settings.database_url, host.parts.store, seeds(), kind="dataset")
        return Training(host, stub, dataset, programs)

    return open_training
