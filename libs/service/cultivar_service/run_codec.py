"""A run's row as the message that every service embeds."""

from datetime import datetime
from typing import Any

from cultivar.run.v1 import run_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from cultivar_service.runs import CANCELLING, RUNNING, Run


def encode_run(run: Run) -> run_pb2.Run:
    """Returns the shared part of a run's resource."""
    message = run_pb2.Run(
        state=run_pb2.RunState.Value(f"RUN_STATE_{run.state}"),
        waiting_for=run.waiting_for,
        create_time=encode_time(run.create_time),
        start_time=encode_time(run.start_time),
        end_time=encode_time(run.end_time),
        progress=encode_progress(run.progress),
        usage=encode_usage(run.usage),
        attempt=run.attempt,
        principal=run.principal,
    )
    if run.state not in (RUNNING, CANCELLING):
        message.progress.seconds_left = 0 if run.end_time is not None else -1
    if run.error is not None:
        message.error.CopyFrom(status_pb2.Status(code=run.error["code"], message=run.error["message"]))
    return message


def encode_time(time: datetime | None) -> Timestamp | None:
    """Returns a time as a message; None stays None."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def encode_progress(progress: dict[str, Any]) -> run_pb2.Progress:
    """Returns the progress of a run; what it has not said is 0."""
    return run_pb2.Progress(
        stage=progress.get("stage", ""),
        done=int(progress.get("done", 0)),
        total=int(progress.get("total", 0)),
        unit=progress.get("unit", ""),
        seconds_left=float(progress.get("seconds_left", -1)),
        rate=float(progress.get("rate", 0)),
        counts={name: int(count) for name, count in progress.get("counts", {}).items()},
        measures={name: float(value) for name, value in progress.get("measures", {}).items()},
    )


def encode_usage(usage: dict[str, Any]) -> run_pb2.Usage:
    """Returns what a run spent."""
    counts = ("calls", "cached_calls", "failed_calls", "prompt_tokens", "completion_tokens")
    message = run_pb2.Usage(**{name: int(usage.get(name, 0)) for name in counts})
    message.seconds, message.cost = float(usage.get("seconds", 0)), float(usage.get("cost", 0))
    return message
