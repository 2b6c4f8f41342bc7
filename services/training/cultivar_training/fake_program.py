"""What the training program would say, without training: for trying out the loop where there is no Ray.

It says so in its first line of log, with the measure `fake`, which is 1, and in each file of the adapter, which has no
weights. Everything around it is real: attempts, progress, the stored adapter and its manifest.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow.parquet as pq
from cultivar_launchers import Event, FakeLauncher, Program
from cultivar_service.logs import log

from cultivar_training.plan import ADAPTER_FILES
from cultivar_training.runner import MODULE

SAID = "the fake launcher runs this: nothing is trained, and the adapter has no weights"
STEPS = 5
STEP_SECONDS = 0.1


async def fake_training(program: Program) -> AsyncIterator[Event | str]:
    """Tells of a few steps and writes an adapter without weights, another one for each run."""
    yield SAID
    rows = await asyncio.to_thread(count_rows, program.spec["dataset"])
    measures = {"fake": 1.0, "loss": 0.0}
    for step in range(1, STEPS + 1):
        await asyncio.sleep(STEP_SECONDS)
        measures["loss"] = 1 / step
        shown = {"stage": "training (fake)", "done": step * rows, "total": STEPS * rows, "measures": dict(measures)}
        yield Event("progress", shown)
    folder = Path(program.spec["folder"]) / f"attempt-{program.attempt:05d}"
    await asyncio.to_thread(write_adapter, folder, program.name)
    yield Event("result", {"folder": str(folder), "trained": rows, "too_long": 0, "measures": measures})


def count_rows(shards: list[str]) -> int:
    """Returns the number of rows of some shards."""
    return sum(pq.read_metadata(shard).num_rows for shard in shards)


def write_adapter(folder: Path, run: str) -> None:
    """Writes the files of an adapter that say that they are fake."""
    folder.mkdir(exist_ok=True)
    told = json.dumps({"fake": SAID, "run": run}).encode()
    # The layout of safetensors: the length of the header in 8 bytes, the header, and no tensors.
    header = json.dumps({"__metadata__": {"fake": SAID, "run": run}}).encode()
    contents = {"adapter_model.safetensors": len(header).to_bytes(8, "little") + header}
    for name in ADAPTER_FILES:
        (folder / name).write_bytes(contents.get(name, told))


def fake_launcher() -> FakeLauncher:
    """Returns a launcher that trains nothing, and says so in the log of the service."""
    log.warning("fake_launcher", message=SAID)
    return FakeLauncher({MODULE: fake_training})
