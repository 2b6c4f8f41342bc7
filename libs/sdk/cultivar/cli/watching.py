"""How runs and campaigns are shown while they go on: bars on a terminal, a line for each change elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import grpc
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.client import FINAL_STATES
from cultivar.run.v1 import run_pb2

Resource = TypeVar("Resource")
AWAY_SECONDS = 60.0
PAUSE_SECONDS = 1.0
MARKS = {"SUCCEEDED": ("✓", "green"), "FAILED": ("✗", "red"), "CANCELLED": ("–", "yellow"), "PENDING": ("·", "dim")}
KINDS = ("import", "generate", "filter", "answer", "review", "dataset", "train", "evaluate", "compare", "report")
SHOWN = ("candidates", "kept", "rejected", "accepted", "declined", "selected", "bad", "failed")


def state_of(run: Any) -> str:
    """Returns the state of a run or stage as a word."""
    return run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_")


def steadily(watch: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yields the changes of a `Watch…` call to the final state; asks again while the server is away, for a minute."""
    away_since: float | None = None
    while True:
        try:
            for change in watch():
                away_since = None
                yield change
                if change.run.state in FINAL_STATES:
                    return
            return
        except grpc.RpcError as error:
            now = time.monotonic()
            away_since = away_since if away_since is not None else now
            gone = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE
            if not gone or now - away_since > AWAY_SECONDS:
                raise
            time.sleep(PAUSE_SECONDS)


def follow_campaign(console: Console, changes: Iterator[pb.Campaign]) -> pb.Campaign:
    """Shows a campaign until it ends, and returns it."""
    if not console.is_terminal:
        return follow_in_lines(console, changes)
    last = pb.Campaign()
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        for last in changes:
            live.update(campaign_view(last))
    return last


def follow_in_lines(console: Console, changes: Iterator[pb.Campaign]) -> pb.Campaign:
    """Prints a line each time a stage begins to wait or ends."""
    told: dict[str, str] = {}
    last = pb.Campaign()
    for last in changes:
        quiet = ["PENDING", "RUNNING"]
        # Where to go while people are waited for is said by the campaign, a moment after its stage begins to wait.
        quiet += [] if state_of(last.run) == "WAITING" else ["WAITING"]
        for stage in last.stages:
            state = state_of(stage)
            if state not in quiet and told.get(stage.key) != state:
                told[stage.key] = state
                waiting = last.run.waiting_for.removeprefix(f"{stage.key}: ") if state == "WAITING" else ""
                words = waiting or stage.error or counts_line(stage.progress.counts)
                took = f" in {duration(seconds_of(stage))}" if stage.HasField("end_time") else ""
                console.print(f"{stage.key}: {state.lower()}{took}{': ' if words else ''}{words}", soft_wrap=True)
    return last


def campaign_view(campaign: pb.Campaign) -> Group:
    """Returns what a terminal shows of a campaign: a row for each kind of stage."""
    table = Table.grid(padding=(0, 2))
    for kind in KINDS:
        stages = [stage for stage in campaign.stages if stage.stage == kind and stage.round == campaign.round]
        if stages:
            table.add_row(*kind_row(kind, stages))
    name = campaign.name.rpartition("/")[2]
    head = Text.assemble(
        (name, "bold"), f"  {state_of(campaign.run).lower()}", (f"  {campaign_clock(campaign)}", "dim")
    )
    waiting = campaign.run.waiting_for if campaign.run.state == run_pb2.RUN_STATE_WAITING else ""
    return Group(head, table, *([Text(waiting, style="yellow")] if waiting else []))


def kind_row(kind: str, stages: list[pb.Stage]) -> tuple[Any, ...]:
    """Returns the row of a kind of stage: mark, name, bar, how many, what now, time."""
    states = [state_of(stage) for stage in stages]
    ended = sum(stage.HasField("end_time") for stage in stages)
    current = next((stage for stage in stages if state_of(stage) in ("RUNNING", "WAITING", "CANCELLING")), None)
    fraction = (ended + (part_of(current.progress) if current is not None else 0.0)) / len(stages)
    state = next((one for one in ("FAILED", "CANCELLED") if one in states), "")
    state = state or (
        "SUCCEEDED" if ended == len(stages) else "PENDING" if fraction == 0 and current is None else "RUNNING"
    )
    mark, style = MARKS.get(state, ("▸", "cyan"))
    bar = ProgressBar(total=1.0, completed=fraction, width=24)
    many = f"{ended}/{len(stages)}" if len(stages) > 1 else ""
    return Text(mark, style=style), Text(kind, style=style), bar, many, detail(stages, current), clock(stages, fraction)


def state_of_kind(states: list[str]) -> str:
    """Returns the state of a kind of stage out of those of its stages."""
    bad = next((state for state in ("FAILED", "CANCELLED") if state in states), "")
    return bad or (states[0] if len(set(states)) == 1 else "RUNNING")


def detail(stages: list[pb.Stage], current: pb.Stage | None) -> Text:
    """Returns what a kind of stage does now, or what came of it."""
    if current is None:
        last = stages[-1]
        return Text(last.error or counts_line(last.progress.counts), style="red" if last.error else "dim")
    progress = current.progress
    which = current.key.partition("/")[2]
    words = [word for word in (which, current.waiting_for or pace_line(progress), counts_line(progress.counts)) if word]
    return Text(", ".join(words), style="yellow" if current.waiting_for else "")


def pace_line(progress: run_pb2.Progress) -> str:
    """Returns how far a run is and how fast it goes, in a line."""
    many = f"{progress.done:,} of {progress.total:,} {progress.unit}" if progress.total else progress.stage
    rate = f"{progress.rate:,.0f}" if progress.rate >= 10 else f"{progress.rate:.1f}"
    return f"{many}, {rate} a second" if progress.rate else many


def counts_line(counts: Mapping[str, int]) -> str:
    """Returns the counts that people ask for, in a line."""
    return ", ".join(f"{counts[name]:,} {name}" for name in SHOWN if counts.get(name))


def part_of(progress: run_pb2.Progress) -> float:
    """Returns how much of a run is done, 0 to 1."""
    return min(1.0, progress.done / progress.total) if progress.total else 0.0


def clock(stages: list[pb.Stage], fraction: float) -> Text:
    """Returns how long a kind of stage took, or has taken and will take."""
    elapsed = sum(seconds_of(stage) for stage in stages)
    if not elapsed:
        return Text("")
    waits = any(stage.state == run_pb2.RUN_STATE_WAITING for stage in stages)
    if fraction >= 1 or fraction < 0.02 or waits:
        return Text(duration(elapsed), style="dim")
    return Text(f"{duration(elapsed)}, about {duration(elapsed * (1 - fraction) / fraction)} left", style="dim")


def campaign_clock(campaign: pb.Campaign) -> str:
    """Returns how long a campaign has gone on."""
    if not campaign.run.HasField("start_time"):
        return ""
    end = campaign.run.end_time.ToDatetime(UTC) if campaign.run.HasField("end_time") else datetime.now(UTC)
    return duration((end - campaign.run.start_time.ToDatetime(UTC)).total_seconds())


def seconds_of(stage: pb.Stage) -> float:
    """Returns how long a stage took or has taken."""
    if not stage.HasField("start_time"):
        return 0.0
    end = stage.end_time.ToDatetime(UTC) if stage.HasField("end_time") else datetime.now(UTC)
    return max(0.0, (end - stage.start_time.ToDatetime(UTC)).total_seconds())


def duration(seconds: float) -> str:
    """Writes seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def follow_run(console: Console, label: str, changes: Iterator[Resource]) -> Resource:
    """Shows one run until it ends, and returns its last change."""
    last: Any = None
    with console.status(label) as status:
        for last in changes:
            status.update(f"{label}: {last.run.waiting_for or standing(last.run)}")
    console.print(f"{label}: {state_of(last.run).lower()}, {counts_line(last.run.progress.counts)}".rstrip(", "))
    return last  # type: ignore[no-any-return]


def standing(run: run_pb2.Run) -> str:
    """Returns how far a run is, how fast it goes, how long that leaves and what it has cost, in a line."""
    words = [pace_line(run.progress)]
    if run.progress.rate and run.progress.seconds_left > 0:
        words.append(f"about {duration(run.progress.seconds_left)} left")
    if run.usage.cost:
        words.append(f"cost {run.usage.cost:,.2f}")
    return ", ".join(words)
