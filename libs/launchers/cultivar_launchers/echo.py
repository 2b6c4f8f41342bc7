"""Runs one Ray task and says so: a small program to see whether Ray and launching work.

The spec: `text` comes back from the task; `steps` progress events, `pause` seconds apart, come before the result;
`fail` ends it with that message instead. Run `python -m cultivar_launchers.echo SPEC_FILE`, or through a launcher.
"""

import os
import sys
import time
from typing import Any

import ray

from cultivar_launchers.program import attempt, emit, ray_options, read_spec


def _echo(text: str) -> dict[str, Any]:
    return {"text": text, "worker": os.getpid(), "variable": os.environ.get("ECHO_VARIABLE", "")}


def main() -> int:
    """Runs the task and returns the exit code."""
    spec = read_spec()
    ray.init(**ray_options())
    emit("ready", attempt=attempt())
    answer = ray.get(ray.remote(_echo).remote(spec.get("text", "")))
    steps = int(spec.get("steps", 1))
    for step in range(1, steps + 1):
        emit("progress", done=step, total=steps)
        time.sleep(float(spec.get("pause", 0)))
    if message := spec.get("fail"):
        sys.stderr.write("the spec asks for a failure\n")
        emit("error", message=message)
        return 3
    emit("result", attempt=attempt(), **answer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
