"""What is shown of a campaign while it goes on."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.cli import watching
from cultivar.cli.watching import campaign_view, follow_campaign, standing, steadily
from cultivar.run.v1 import run_pb2
from rich.console import Console


def stage(key: str, state: str, seconds: float = 0.0, **fields: Any) -> pb.Stage:
    """A stage that has gone on for some seconds, or took them."""
    now = datetime.now(UTC)
    made = pb.Stage(key=key, round=1, stage=key.partition("/")[0], state=f"RUN_STATE_{state}", **fields)
    if seconds:
        made.start_time.FromDatetime(now - timedelta(seconds=seconds))
    if state in ("SUCCEEDED", "FAILED"):
        made.end_time.FromDatetime(now)
    return made


def campaign(*stages: pb.Stage, state: str = "RUNNING", **fields: Any) -> pb.Campaign:
    run = run_pb2.Run(state=f"RUN_STATE_{state}", **fields)
    return pb.Campaign(name="projects/default/campaigns/support-1", run=run, round=1, stages=stages)


def shown(of: pb.Campaign) -> str:
    """What a terminal would show."""
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(campaign_view(of))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_kind_of_stage_shows_how_many_are_done_what_goes_on_and_the_time_left() -> None:
    half = run_pb2.Progress(done=600, total=1200, unit="tokens")
    text = shown(
        campaign(
            stage("train/real/1", "SUCCEEDED", 60),
            stage("train/real/2", "RUNNING", 30, progress=half),
            stage("train/real/3", "PENDING"),
        )
    )
    assert "1/3" in text
    assert "real/2, 600 of 1,200 tokens" in text
    assert re.search(r"1 min 3\d s, about 1 min 3\d s left", text)


def test_a_run_tells_how_far_it_is_how_fast_how_long_and_what_it_cost() -> None:
    going = run_pb2.Progress(done=1200, total=3000, unit="calls", rate=42.4, seconds_left=100)
    run = run_pb2.Run(progress=going, usage=run_pb2.Usage(cost=0.126))
    assert standing(run) == "1,200 of 3,000 calls, 42 a second, about 1 min 40 s left, cost 0.13"
    assert standing(run_pb2.Run(progress=run_pb2.Progress(stage="waking the teacher"))) == "waking the teacher"


def test_what_people_are_waited_for_stands_below() -> None:
    waiting = "review: 12 of 40 left to review in projects/default/queues/support-1-1; open http://127.0.0.1:7346"
    text = shown(
        campaign(stage("review", "WAITING", 9, waiting_for="12 of 40 left"), state="WAITING", waiting_for=waiting)
    )
    assert waiting.partition(";")[0] in text
    assert "left to review" in text


def test_a_failed_stage_shows_its_sentence() -> None:
    text = shown(campaign(stage("generate", "FAILED", 2, error="the seeds are empty"), state="FAILED"))
    assert "✗" in text and "the seeds are empty" in text


def test_elsewhere_than_on_a_terminal_each_change_is_one_line() -> None:
    counts = run_pb2.Progress(counts={"candidates": 300})
    running = campaign(stage("generate", "RUNNING", 3))
    ended = campaign(stage("generate", "SUCCEEDED", 9, progress=counts), stage("filter", "RUNNING", 1))
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    last = follow_campaign(console, iter([running, running, ended, ended]))
    assert last == ended
    assert console.file.getvalue() == "generate: succeeded in 9 s: 300 candidates\n"  # type: ignore[attr-defined]


def test_elsewhere_than_on_a_terminal_people_are_told_once_where_to_go() -> None:
    waits = stage("review", "WAITING", 9, waiting_for="12 of 40 left")
    said = "review: 12 of 40 left to review; open http://127.0.0.1:7346/projects/default/queues/support-1-1"
    changes = [campaign(waits), campaign(waits, state="WAITING", waiting_for=said)]
    fewer = campaign(waits, state="WAITING", waiting_for=said.replace("12", "11"))
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    follow_campaign(console, iter([*changes, fewer]))
    assert console.file.getvalue() == f"review: waiting: {said.removeprefix('review: ')}\n"  # type: ignore[attr-defined]


class Away(grpc.aio.AioRpcError, grpc.Call):  # type: ignore[misc]
    """A failed call with a status."""

    def __init__(self, status: grpc.StatusCode) -> None:
        super().__init__(status, grpc.aio.Metadata(), grpc.aio.Metadata())


Away.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def test_a_server_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.0)
    calls = []

    def watch() -> Iterator[pb.Campaign]:
        calls.append(1)
        if len(calls) < 3:
            raise Away(grpc.StatusCode.UNAVAILABLE)
        yield campaign(state="SUCCEEDED")

    assert [change.run.state for change in steadily(watch)] == [run_pb2.RUN_STATE_SUCCEEDED]


def test_another_error_is_raised_at_once() -> None:
    def watch() -> Iterator[pb.Campaign]:
        raise Away(grpc.StatusCode.NOT_FOUND)

    with pytest.raises(grpc.RpcError):
        list(steadily(watch))
