"""What each worker of a run does, from the rows to the adapter; the first one also tells, checkpoints and saves.

Nothing heavy is imported here: the driver hands this module's function to the workers by its name.
"""

import os
from typing import Any

from cultivar_training.program.errors import Refused
from cultivar_training.program.events import EventFile
from cultivar_training.program.spec import EVENTS, ProgramSpec


def train(config: dict[str, Any]) -> None:
    """Trains one adapter as one of several workers."""
    spec = ProgramSpec.model_validate_json(config["spec"])
    events = EventFile(spec.attempt_folder / EVENTS, quiet=os.environ["RANK"] != "0")
    events.tell("progress", stage="loading the base model")
    _set_environment(spec.threads)
    from cultivar_training.program.run import Run

    try:
        with Run(spec, events, config["began"]) as run:
            run.train()
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
