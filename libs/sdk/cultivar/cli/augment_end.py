"""What `cultivar augment` says at its end: what could not be read, what came short, what was rejected, and the cost."""

from collections import Counter

from rich.console import Console

from cultivar.client import Client
from cultivar.filtering.v1 import filtering_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar.run.v1 import run_pb2

MOST_REASONS = 5
MOST_SHORT = 10


def show_end(client: Client, console: Console, made: pb.GenerationRun, kept: filtering_pb2.FilterRun) -> None:
    """Prints what became of a generation run and of the filter run over its candidates."""
    for line in (*unread(client, made), *short(made), *rejected(kept), *stopped(made), spent(made.run.usage)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def unread(client: Client, made: pb.GenerationRun) -> list[str]:
    """Returns how many pieces could not be read and calls failed, with the commonest reasons."""
    counts = made.run.progress.counts
    if not counts["malformed"] and not counts["failed"]:
        return []
    reasons = Counter[str]()
    for name in {use.prompt.partition("@")[0] for use in made.spec.strategies}:
        report = client.generation.GetPromptReport(pb.GetPromptReportRequest(name=name))
        for one in report.yields:
            reasons.update(one.reasons if one.generation_run == made.name else {})
    head = f"{counts['malformed']:,} pieces of answers could not be read, {counts['failed']:,} calls failed:"
    return [head, *most_common(reasons)]


def short(made: pb.GenerationRun) -> list[str]:
    """Returns the labels, seeds and values of axes of which fewer were made than wanted, the shortest first."""
    lacking = [(max(one.asked, one.wanted) - one.made, one) for one in made.coverage if one.dimension != "all"]
    lines = [
        f"  {one.dimension} {one.value}: {one.made:,} of {max(one.asked, one.wanted):,}"
        for lacks, one in sorted(lacking, key=lambda pair: -pair[0])
        if lacks > 0
    ]
    more = [f"  and {len(lines) - MOST_SHORT:,} more"] if len(lines) > MOST_SHORT else []
    unseen = [f"  {one.value}" for one in made.coverage if one.dimension == "label" and not one.asked and not one.made]
    return [
        *(["made of what was asked for:", *lines[:MOST_SHORT], *more] if lines else []),
        *(["labels without a seed, and without a guideline, got nothing:", *unseen[:MOST_SHORT]] if unseen else []),
    ]


def rejected(kept: filtering_pb2.FilterRun) -> list[str]:
    """Returns why candidates were rejected, the commonest reasons first."""
    prefix = "rejected."
    counts = kept.run.progress.counts
    reasons = Counter({name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)})
    return [f"{counts['rejected']:,} candidates were rejected:", *most_common(reasons)] if reasons else []


def stopped(made: pb.GenerationRun) -> list[str]:
    """Returns why a run made fewer calls than were asked for, and how to go on with it."""
    if not made.stopped:
        return []
    again = f"cultivar augment --retry {made.name.rpartition('/')[2]} --budget or --budget-cost MORE"
    return [f"it stopped early: {made.stopped} ({again})"]


def spent(usage: run_pb2.Usage) -> str:
    """Returns what a run spent, in a line."""
    tokens = f"{usage.prompt_tokens:,} tokens sent and {usage.completion_tokens:,} written"
    return f"{usage.calls:,} requests, {tokens}" + (f", cost {usage.cost:,.4g}" if usage.cost else "")


def most_common(reasons: Counter[str]) -> list[str]:
    """Returns the commonest reasons, each with its number, in a line each."""
    return [f"  {count:,} × {reason}" for reason, count in reasons.most_common(MOST_REASONS)]
