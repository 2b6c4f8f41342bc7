"""The driver: `python -m cultivar_training.program SPEC_FILE`, run by a launcher.

Events: `progress` and `checkpoint` while it works, `result` at the end (the folder of the adapter, the rows, the
measures), `error` with a sentence where it fails. The exit status says whether another attempt may end better.
"""

import os
import signal
import sys
import threading
import time
import traceback
from typing import Any

from cultivar_launchers.program import attempt, emit, ray_options, read_spec

from cultivar_training.program.errors import FAILED, LOST, REFUSED, Refused
from cultivar_training.program.events import Follower
from cultivar_training.program.spec import EVENTS, ProgramSpec

_BEGAN = time.time()


def main() -> int:
    """Runs one attempt and returns its exit status."""
    spec = ProgramSpec.model_validate({**read_spec(), "attempt": attempt()})
    spec.attempt_folder.mkdir(parents=True, exist_ok=True)
    checked = _Checking(spec)
    checked.start()
    try:
        _connect()
        checked.finish()
        return _train(spec)
    except Refused as error:
        emit("error", message=str(error))
        return REFUSED


class _Checking(threading.Thread):
    """Checks the rows while Ray is being reached."""

    def __init__(self, spec: ProgramSpec) -> None:
        super().__init__(daemon=True)
        self._spec = spec
        self._error: Exception | None = None

    def run(self) -> None:
        """Reads and checks the rows."""
        from cultivar_training.program.rows import check_examples, read_examples

        try:
            dataset, validation = (list(read_examples(files)) for files in (self._spec.dataset, self._spec.validation))
            check_examples(dataset, validation, self._spec.run.task)
        except Exception as error:
            self._error = error

    def finish(self) -> None:
        """Waits for the check and raises what it raised."""
        self.join()
        if self._error is not None:
            raise self._error


def _connect() -> None:
    emit("progress", stage="connecting to Ray")
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    import ray

    ray.init(**ray_options(), logging_level="ERROR")
    # Ray's own handler closes things in order, for which there is no time and no need: what Ray runs for this driver
    # ends when it does.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _train(spec: ProgramSpec) -> int:
    from cultivar_training.program.group import run_workers
    from cultivar_training.program.worker import train

    emit("progress", stage="starting workers")
    follower = Follower(spec.attempt_folder / EVENTS, _forward)
    follower.start()
    try:
        run_workers(train, {"spec": spec.model_dump_json(), "began": _BEGAN}, spec.run.workers, spec.attempt_folder)
    except Refused:
        raise
    except Exception as error:
        follower.stop()
        return _failed(error, follower.told)
    follower.stop()
    emit("result", **follower.told["trained"])
    return 0


def _forward(kind: str, **fields: Any) -> None:
    if kind in ("progress", "checkpoint"):
        emit(kind, **fields)


def _failed(error: Exception, told: dict[str, dict[str, Any]]) -> int:
    """Says why the workers failed, and tells a loss, after which another attempt may end well, from a lasting error."""
    if "refused" in told:
        raise Refused(told["refused"]["message"]) from error
    traceback.print_exception(error, file=sys.stderr)
    failures = list(getattr(error, "worker_failures", {}).values()) or [error]
    lost = any(type(failure).__module__.startswith("ray.") for failure in failures)
    kinds = ", ".join(sorted({type(failure).__name__ for failure in failures}))
    what = "a training worker was lost" if lost else "a training worker failed"
    emit("error", message=f"{what} ({kinds}); the end of its log says more")
    return LOST if lost else FAILED


if __name__ == "__main__":
    raise SystemExit(main())
