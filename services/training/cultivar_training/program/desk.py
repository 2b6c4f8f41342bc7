"""Where runs come in: one after the other, each checked, handed to the workers, and told about to the service.

The first run is in the program's own spec. Those to come are files in the inbox, which the service writes while the
program waits: its workers have imported and connected all that a run needs, which takes longer than a short training.
"""

import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from cultivar_launchers.program import emit

from cultivar_training.program.errors import FAILED, REFUSED, Refused
from cultivar_training.program.events import Follower
from cultivar_training.program.handover import Task, put_task, take_run
from cultivar_training.program.spec import EVENTS, ProgramSpec


class Desk(threading.Thread):
    """Takes runs in; ends the process at once where one cannot be trained."""

    def __init__(self, first: ProgramSpec, tasks: Path, began: float) -> None:
        super().__init__(daemon=True)
        self._spec = first
        self._tasks = tasks
        self._began = began
        self._follower: Follower | None = None

    def run(self) -> None:
        """Serves the first run and, where there is an inbox, those that come after it."""
        try:
            number = 0
            while True:
                self._serve(number)
                number += 1
                if self._spec.inbox is None:
                    return put_task(self._tasks, number, None)
                self._spec, self._began = take_run(self._spec.inbox, number), time.time()
        except Refused as error:
            _end(REFUSED, str(error))
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            _end(FAILED, f"training failed ({type(error).__name__}); the end of its log says more")

    def last_words(self) -> dict[str, dict[str, Any]]:
        """Returns all that the run under way has told, the last event of each kind; no more is read afterwards."""
        if self._follower is None:
            return {}
        self._follower.stop()
        return self._follower.told

    def _serve(self, number: int) -> None:
        self._spec.attempt_folder.mkdir(parents=True, exist_ok=True)
        self._check()
        trained = threading.Event()
        follower = Follower(self._spec.attempt_folder / EVENTS, lambda kind, **fields: _forward(trained, kind, fields))
        self._follower = follower
        follower.start()
        put_task(self._tasks, number, Task(spec=self._spec, began=self._began))
        trained.wait()
        follower.stop()
        emit("result", **follower.told["trained"])

    def _check(self) -> None:
        from cultivar_training.program.rows import check_examples, read_examples

        dataset, validation = (list(read_examples(files)) for files in (self._spec.dataset, self._spec.validation))
        check_examples(dataset, validation, self._spec.run.task)


def _forward(trained: threading.Event, kind: str, fields: dict[str, Any]) -> None:
    if kind in ("progress", "checkpoint"):
        emit(kind, **fields)
    elif kind == "trained":
        trained.set()


def _end(status: int, message: str) -> None:
    """Ends the process, and with it all that Ray runs for it, whatever the main thread waits for."""
    emit("error", message=message)
    sys.stderr.flush()
    os._exit(status)
