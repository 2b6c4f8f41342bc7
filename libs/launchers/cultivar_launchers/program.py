"""What a program that a launcher started uses: its spec, its attempt, its events, its way into Ray.

It imports neither Ray nor anything else that is heavy.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

ATTEMPT_VARIABLE = "CULTIVAR_ATTEMPT"
CPUS_VARIABLE = "CULTIVAR_CPUS"
PASSED_VARIABLE = "CULTIVAR_PASSED_ENVIRONMENT"

_printing = threading.Lock()


def read_spec() -> dict[str, Any]:
    """Reads the spec, the JSON object in the file that is the program's only argument."""
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: python -m {Path(sys.argv[0]).stem} SPEC_FILE")
    spec = json.loads(Path(sys.argv[1]).read_text())
    if not isinstance(spec, dict):
        raise SystemExit("the spec is not a JSON object")
    return spec


def attempt() -> int:
    """Returns which attempt this is, from 1: the fencing token to put beside everything the program writes."""
    return int(os.environ.get(ATTEMPT_VARIABLE, "1"))


def cpus() -> int:
    """Returns how many logical CPUs the program may ask of Ray."""
    return int(os.environ.get(CPUS_VARIABLE, "1"))


def emit(kind: str, **fields: Any) -> None:
    """Prints one event: `ready`, `progress`, `metrics`, `result`, `error` (with `message`), or a kind of your own."""
    line = json.dumps({"event": kind, **fields}, separators=(",", ":"))
    with _printing:
        # What a library printed before may lack its line end; an empty line costs nothing.
        sys.stdout.write(f"\n{line}\n")
        sys.stdout.flush()


def ray_options() -> dict[str, Any]:
    """Returns the arguments for `ray.init` that reach the launcher's Ray.

    Ray's workers inherit the environment of Ray, not of the program: what the caller set is handed on here.
    """
    names = [name for name in os.environ.get(PASSED_VARIABLE, "").split(",") if name]
    passed = {name: os.environ[name] for name in names if name in os.environ}
    return {"address": os.environ["RAY_ADDRESS"], "runtime_env": {"env_vars": passed}}
