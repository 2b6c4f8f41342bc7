"""What each worker does, run after run, from the rows to the adapter; the first one also tells, checkpoints and saves.

Nothing heavy is imported here: the driver hands this module's function to the workers by its name.
"""

import gc
import itertools
import os
from pathlib import Path
from typing import Any

from cultivar_training.program.errors import Refused
from cultivar_training.program.events import EventFile
from cultivar_training.program.handover import Task, take_task
from cultivar_training.program.spec import EVENTS


def serve(config: dict[str, Any]) -> None:
    """Trains as one of several workers, task after task, until it is sent home."""
    _set_environment(config["threads"])
    # What takes long comes before the first task, whose rows are still being checked.
    from cultivar_training.program import run as prepared

    prepared.join_workers()
    for number in itertools.count():
        task = take_task(Path(config["tasks"]), number)
        if task is None:
            return prepared.leave_workers()
        _train(task)
        gc.collect()


def _train(task: Task) -> None:
    from cultivar_training.program.run import Run

    events = EventFile(task.spec.attempt_folder / EVENTS, quiet=os.environ["RANK"] != "0")
    events.tell("progress", stage="loading the base model")
    try:
        Run(task.spec, events, task.began).train()
    except Refused as error:
        events.tell("refused", message=str(error))
        raise


def _set_environment(threads: int) -> None:
    """Sets what the libraries read while they are imported: threads, and that nobody is told what we do."""
    os.environ |= {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "DO_NOT_TRACK": "1",
    }
