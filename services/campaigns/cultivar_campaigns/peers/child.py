"""What a campaign knows of the work that another service does for it."""

from dataclasses import dataclass, field
from typing import Any

from cultivar.run.v1 import run_pb2
from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2

MAY_PASS = ("UNAVAILABLE", "ABORTED", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED")


@dataclass(frozen=True)
class Child:
    """A run, a queue or a dataset version of another service, as it was last seen."""

    name: str
    state: str
    waiting_for: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    error_may_pass: bool = False
    artifacts: dict[str, str] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


def child_of(name: str, run: run_pb2.Run, artifacts: dict[str, str], result: dict[str, Any] | None = None) -> Child:
    """Reads the part that all runs share; artifacts without a name are left out."""
    return Child(
        name=name,
        state=run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_"),
        waiting_for=run.waiting_for,
        progress=progress_of(run.progress),
        usage=usage_of(run.usage),
        error=run.error.message,
        error_may_pass=code_pb2.Code.Name(run.error.code) in MAY_PASS,
        artifacts={kind: artifact for kind, artifact in artifacts.items() if artifact},
        result=result or {},
    )


def progress_of(progress: run_pb2.Progress) -> dict[str, Any]:
    """Returns progress as a run's row holds it."""
    return {
        "stage": progress.stage,
        "done": progress.done,
        "total": progress.total,
        "unit": progress.unit,
        "seconds_left": progress.seconds_left,
        "rate": progress.rate,
        "counts": dict(progress.counts),
        "measures": dict(progress.measures),
    }


def usage_of(usage: run_pb2.Usage) -> dict[str, Any]:
    """Returns usage as a run's row holds it."""
    return {
        name: float(value) if name in ("seconds", "cost") else int(value)
        for name, value in MessageToDict(usage, preserving_proto_field_name=True).items()
    }
