"""Tells in docs/campaign-of-1000-pairs.md what a run of examples/instructions.yaml gave: funnel, time, samples.

`python -m benchmarks.pairs CAMPAIGN` asks the server that `cultivar up` started for a campaign that has ended, and
writes what was measured between the page's marks; the rest of the page is written by hand.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from cultivar.campaigns.v1 import campaigns_pb2 as pb
from cultivar.client import Client
from cultivar.datasets.v1 import datasets_pb2
from cultivar.files import download

PAGE = Path(__file__).parents[1] / "docs" / "campaign-of-1000-pairs.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
SAMPLES = 12
SHOWN = 400
COUNTS = ("seeds", "candidates", "malformed", "kept", "answered", "malformed_answers", "kept_answers", "selected")
STEPS = {
    "seeds": "seeds, drawn from the file",
    "candidates": "instructions that the teacher wrote",
    "malformed": "pieces of its answers that could not be read",
    "kept": "instructions that the filters kept",
    "answered": "instructions that it answered",
    "malformed_answers": "answers that could not be read, or were cut at their greatest length",
    "kept_answers": "pairs that the filters kept",
    "selected": "pairs in the dataset",
}


def main() -> None:
    """Reads the campaign and writes the page."""
    parser = argparse.ArgumentParser(description="Writes the measured part of docs/campaign-of-1000-pairs.md.")
    parser.add_argument("campaign", help="the campaign, which has ended")
    parser.add_argument("--machine", default="", help="what is to be said of the machine and of what else it did")
    options = parser.parse_args()
    with Client() as client:
        name = client.name("campaigns", options.campaign)
        campaign = client.campaigns.GetCampaign(pb.GetCampaignRequest(name=name))
        pairs = selected(client, campaign)
    told = [*funnel(campaign), *rejects(campaign), *times(campaign, options.machine), *samples(pairs)]
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text("\n".join([f"{head}{BEGIN}", *told, END]) + rest.partition(END)[2])


def selected(client: Client, campaign: pb.Campaign) -> list[dict[str, Any]]:
    """Returns the generated rows of the dataset by id; ends the program where one has the text of a seed."""
    artifact = next(each for each in campaign.stages if each.stage == "dataset").artifacts["dataset"]
    known = client.datasets.GetArtifact(datasets_pb2.GetArtifactRequest(name=artifact))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for file in known.files:
            if file.name.endswith(".parquet"):
                rows += pq.read_table(download(client, artifact, file.name, Path(folder) / file.name)).to_pylist()
    seeds = {text_of(row) for row in rows if row["provenance"]["origin"] == "seed"}
    made = [row for row in rows if row["provenance"]["origin"] == "candidate"]
    if any(text_of(row) in seeds for row in made):
        raise SystemExit("a generated row has the text of a seed: the page shows generated texts alone")
    return sorted(made, key=lambda row: str(row["id"]))


def text_of(row: dict[str, Any]) -> str:
    """Returns what the user says."""
    return str(row["messages"][0]["content"])


def funnel(campaign: pb.Campaign) -> Iterator[str]:
    """Yields the table of the funnel."""
    counts = campaign.run.progress.counts
    yield from ("", "| step | examples |", "|---|---:|")
    yield from (f"| {STEPS[name]} | {counts[name]:,} |" for name in COUNTS if name in counts)


def rejects(campaign: pb.Campaign) -> Iterator[str]:
    """Yields the table of what the filters rejected."""
    yield from ("", "| of | rejected by | because | examples |", "|---|---|---|---:|")
    for key, what in (("filter", "instructions"), ("filter/answers", "pairs")):
        stage = next(each for each in campaign.stages if each.key == key)
        found = [(count, name.split(".")) for name, count in stage.progress.counts.items() if name.count(".") == 2]
        for count, (_, filter_, reason) in sorted(found, key=lambda each: (-each[0], each[1])):
            yield f"| {what} | `{filter_}` | {reason.replace('_', ' ')} | {count:,} |"


def times(campaign: pb.Campaign, machine: str) -> Iterator[str]:
    """Yields the table of the stages, and what is known of the machine."""
    columns = "| stage | seconds | calls | tokens in | tokens out | tokens out a second |"
    yield from ("", columns, "|---|---:|---:|---:|---:|---:|")
    for stage in campaign.stages:
        seconds = stage.end_time.ToNanoseconds() / 1e9 - stage.start_time.ToNanoseconds() / 1e9
        usage, counts = stage.usage, stage.progress.counts
        # A run that went on after a restart holds its earlier answers among the counts, and no longer among its calls.
        calls = counts["answered"] + counts["failed"] if "answered" in counts else 0
        rate = f"{usage.completion_tokens / seconds:.0f}" if usage.completion_tokens else ""
        spent = f"{calls:,} | {usage.prompt_tokens:,} | {usage.completion_tokens:,} | {rate}"
        yield f"| `{stage.key}` | {seconds:,.0f} | {spent if calls else '| | | '} |"
    begun, ended = campaign.stages[0].start_time.ToDatetime(), campaign.stages[-1].end_time.ToDatetime()
    minutes = (ended - begun).total_seconds() / 60
    when = f"From {begun:%Y-%m-%d %H:%M} to {ended:%H:%M} UTC"
    yield from ("", f"{when}: {minutes:.0f} minutes, {os.cpu_count()} cores. {machine}")


def samples(pairs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yields one in so many pairs, by id, so that nobody chooses them."""
    step = max(1, len(pairs) // SAMPLES)
    yield from ("", f"One in {step} of the {len(pairs):,} pairs, counted in the order of their ids:")
    for row in pairs[::step][:SAMPLES]:
        yield from ("", quoted("Instruction", text_of(row)), quoted("Answer", str(row["messages"][-1]["content"])))


def quoted(name: str, text: str) -> str:
    """Shows a text as it is, indented, its end left out where it is long."""
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]} …"
    return "\n".join(f"    {line}".rstrip() for line in f"{name}: {shown}".splitlines())


if __name__ == "__main__":
    main()
