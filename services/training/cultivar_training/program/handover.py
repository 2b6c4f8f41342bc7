"""How a run is handed on, by files that appear whole: from service to driver, and from driver to workers."""

import os
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cultivar_training.program.spec import ProgramSpec

LOOK_SECONDS = 0.1


class Task(BaseModel):
    """What a worker is to do: an attempt of a run, and when (seconds since the epoch) the program got it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: ProgramSpec
    began: float


def put_task(folder: Path, number: int, task: Task | None) -> None:
    """Puts a task before the workers, counted from 0; None sends them home."""
    path = _task_file(folder, number)
    draft = path.with_suffix(".draft")
    draft.write_text(task.model_dump_json() if task is not None else "")
    os.replace(draft, path)


def take_task(folder: Path, number: int) -> Task | None:
    """Waits for a task; None sends the worker home."""
    text = _wait_for(_task_file(folder, number)).read_text()
    return Task.model_validate_json(text) if text else None


def take_run(inbox: Path, number: int) -> ProgramSpec:
    """Waits for the run of a number; the first, 0, is in the program's own spec and never in the inbox."""
    return ProgramSpec.model_validate_json(_wait_for(inbox / f"run-{number:05d}.json").read_bytes())


def _wait_for(path: Path) -> Path:
    while not path.exists():
        time.sleep(LOOK_SECONDS)
    return path


def _task_file(folder: Path, number: int) -> Path:
    return folder / f"task-{number:05d}.json"
