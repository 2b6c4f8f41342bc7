"""How the report of a prompt is shown: its versions side by side, then each run, filter run and queue by its time."""

from collections import Counter
from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cultivar.generation.v1 import generation_pb2 as pb


def show_report(console: Console, report: pb.PromptReport) -> None:
    """Prints a report."""
    console.print(versions(report))
    for prompt in report.prompts:
        if prompt.finding:
            said = f"{short(prompt.name)} amends {short(prompt.parent)}: {prompt.finding}"
            console.print(Text(said), soft_wrap=True)
    console.print()
    console.print(runs(report.yields))
    if report.outcomes:
        console.print()
        console.print(outcomes(report.outcomes))


def versions(report: pb.PromptReport) -> Table:
    """Returns what became of each version in all."""
    table = Table("version", "candidates", "malformed", "kept", "accepted", "mean scores", "commonest", box=None)
    for prompt in report.prompts:
        made, said, why = Counter[str](), Counter[str](), Counter[str]()
        for one in report.yields:
            made.update(one.counts if one.prompt == prompt.name else {})
        mine = [one for one in report.outcomes if one.prompt == prompt.name]
        for outcome in mine:
            said.update(outcome.counts)
            why.update(outcome.reasons)
        figures = (f"{made['candidates']:,}", f"{made['malformed']:,}")
        shares = share(said["kept"], said["judged"]), share(said["accepted"], said["reviewed"])
        table.add_row(short(prompt.name), *figures, *shares, means(mine), commonest(why))
    return table


def runs(yields: Iterable[pb.PromptYield]) -> Table:
    """Returns what each run gave, and why not more."""
    table = Table("version", "when", "calls", "failed", "candidates", "malformed", "commonest reason", box=None)
    for one in yields:
        counts = one.counts
        figures = (counts["answered"] + counts["failed"], counts["failed"], counts["candidates"], counts["malformed"])
        row = (short(one.prompt), moment(one.update_time), *(f"{figure:,}" for figure in figures))
        table.add_row(*row, commonest(one.reasons))
    return table


def outcomes(found: Iterable[pb.PromptOutcome]) -> Table:
    """Returns what each filter run and queue said."""
    table = Table("version", "when", "said by", "kept or accepted", "mean scores", "commonest", box=None)
    for one in found:
        counts = one.counts
        reviewed = "reviewed" in counts
        good = share(counts["accepted"], counts["reviewed"]) if reviewed else share(counts["kept"], counts["judged"])
        kind = "queue" if reviewed else "filter run"
        who = f"{kind} {short(one.source)}"
        table.add_row(short(one.prompt), moment(one.time), who, good, means([one]), commonest(one.reasons))
    return table


def means(found: Iterable[pb.PromptOutcome]) -> str:
    """Returns the mean of each criterion over all reviews; empty where there are none."""
    scores = [score for one in found for score in one.scores]
    told = []
    for criterion in sorted({score.criterion for score in scores}):
        mine = [score for score in scores if score.criterion == criterion]
        mean = sum(score.mean * score.reviews for score in mine) / sum(score.reviews for score in mine)
        told.append(f"{criterion} {mean:.2f}")
    return ", ".join(told)


def share(part: int, whole: int) -> str:
    """Returns a share with what it is of; empty where there is nothing."""
    return f"{part:,} of {whole:,} ({part / whole:.0%})" if whole else ""


def commonest(reasons: Mapping[str, int]) -> Text:
    """Returns the commonest reason with its number."""
    reason, number = max(reasons.items(), key=lambda item: item[1], default=("", 0))
    return Text(f"{number} × {reason}" if number else "")


def moment(time: Timestamp) -> str:
    """Returns when something was, to the minute."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M")


def short(name: str) -> str:
    """Returns the last part of a name."""
    return name.rpartition("/")[2]
