"""The driver: `python -m cultivar_training.program SPEC_FILE`, run by a launcher.

Events: `progress` and `checkpoint` while it works, `result` at the end of a run (the folder of the adapter, the rows,
the measures), `error` with a sentence where it fails. The exit status says whether another attempt may end better.
"""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cultivar_launchers.program import emit, ray_options, read_spec

from cultivar_training.program.desk import Desk
from cultivar_training.program.errors import FAILED, LOST, REFUSED, Refused
from cultivar_training.program.spec import ProgramSpec

_BEGAN = time.time()


def main() -> int:
    """Serves the run of the spec, and those that come after it; returns the exit status."""
    spec = ProgramSpec.model_validate(read_spec())
    home = spec.inbox or spec.folder
    home.mkdir(parents=True, exist_ok=True)
    tasks = Path(mkdtemp(prefix="tasks-", dir=home))
    desk = Desk(spec, tasks, _BEGAN)
    desk.start()
    _connect()
    from cultivar_training.program.group import run_workers
    from cultivar_training.program.worker import serve

    try:
        emit("progress", stage="starting workers")
        run_workers(serve, {"tasks": str(tasks), "threads": spec.threads}, spec.run.workers, home)
    except Exception as error:
        return _failed(error, desk.last_words())
    desk.join()
    return 0


def _connect() -> None:
    emit("progress", stage="connecting to Ray")
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    import ray

    ray.init(**ray_options(), logging_level="ERROR")
    # Ray's own handler closes things in order, for which there is no time and no need: what Ray runs for this driver
    # ends when it does.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _failed(error: Exception, told: dict[str, dict[str, Any]]) -> int:
    """Says why the workers failed, and tells a loss, after which another attempt may end well, from a lasting error."""
    refused = told["refused"]["message"] if "refused" in told else str(error) if isinstance(error, Refused) else ""
    if refused:
        emit("error", message=refused)
        return REFUSED
    traceback.print_exception(error, file=sys.stderr)
    failures = list(getattr(error, "worker_failures", {}).values()) or [error]
    lost = any(type(failure).__module__.startswith("ray.") for failure in failures)
    kinds = ", ".join(sorted({type(failure).__name__ for failure in failures}))
    what = "a training worker was lost" if lost else "a training worker failed"
    emit("error", message=f"{what} ({kinds}); the end of its log says more")
    return LOST if lost else FAILED


if __name__ == "__main__":
    raise SystemExit(main())
