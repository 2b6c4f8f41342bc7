"""A few examples of each outcome, read from the artifacts of a round; of large ones the first thousand rows alone."""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, read_shards
from cultivar_records import Example, from_table
from cultivar_service.artifacts import open_artifact

from cultivar_campaigns.plan import ANSWERS, judged
from cultivar_campaigns.report.facts import Shown
from cultivar_campaigns.round import Round

MOST = 4
MOST_REJECTED = 8
MOST_READ = 1000
MOST_CHARACTERS = 600


async def show_examples(store: ArtifactStore, round_: Round) -> list[Shown]:
    """Returns a few examples of each outcome, by id."""
    seeds = {seed.id: seed for seed in await first_examples(store, round_, "import/seeds", "seeds")}
    kept = await first_examples(store, round_, judged(round_.config), "kept")
    shown = [show("kept", example, "", seeds) for example in kept[:MOST]]
    for key in ("filter", f"filter/{ANSWERS}"):
        shown += await show_rejected(store, round_, key, seeds)
    return shown + await show_reviewed(store, round_, seeds)


async def show_rejected(store: ArtifactStore, round_: Round, key: str, seeds: dict[str, Example]) -> list[Shown]:
    """Returns candidates that a filter stage rejected, one of each reason before a second of any."""
    rejected = await first_examples(store, round_, key, "rejected")
    verdicts = await rows_about(store, round_, (key, "verdicts"), "example", [one.id for one in rejected])
    reasons = {row["example"]: f"{row['filter']}: {row['reason']}" for row in verdicts if not row["keep"]}
    by_reason: dict[str, list[Example]] = {}
    for example in rejected:
        by_reason.setdefault(reasons.get(example.id, ""), []).append(example)
    turns = [found[place] for place in range(MOST) for found in by_reason.values() if place < len(found)]
    words = {example.id: reasons.get(example.id, "").replace("_", " ") for example in turns}
    return [show("rejected", example, words[example.id], seeds) for example in turns[:MOST_REJECTED]]


async def show_reviewed(store: ArtifactStore, round_: Round, seeds: dict[str, Example]) -> list[Shown]:
    """Returns accepted, edited and declined candidates with what the reviewer said."""
    accepted = await first_examples(store, round_, "review", "accepted")
    declined = await first_examples(store, round_, "review", "declined")
    edited = [example for example in accepted if example.provenance.edited_by]
    plain = [example for example in accepted if not example.provenance.edited_by]
    groups = {"accepted": plain[:MOST], "edited": edited[:MOST], "declined": declined[:MOST]}
    wanted = [example.id for examples in groups.values() for example in examples]
    reviews = {row["id"]: row for row in await rows_about(store, round_, ("review", "reviews"), "id", wanted)}
    return [
        show(outcome, example, said(reviews.get(example.id, {})), seeds)
        for outcome, examples in groups.items()
        for example in examples
    ]


def said(review: dict[str, Any]) -> str:
    """Returns the scores, tags and comment of a review in a line."""
    scores = ", ".join(f"{score['criterion']} {score['score']}" for score in review.get("scores") or ())
    parts = [scores, ", ".join(review.get("tags") or ()), review.get("comment") or ""]
    return "; ".join(part for part in parts if part)


def show(outcome: str, example: Example, note: str, seeds: dict[str, Example]) -> Shown:
    """Returns an example as the report shows it, with one of its seeds."""
    seed = next((seeds[name] for name in example.provenance.seeds if name in seeds), None)
    return Shown(
        outcome=outcome,
        text=short(example.text),
        label=example.label or "",
        answer="" if example.label else short(example.answer),
        note=short(note),
        seed=short(seed.text) if seed is not None else "",
        strategy=example.provenance.strategy,
    )


def short(text: str) -> str:
    """Returns a text of at most 600 characters."""
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


async def first_examples(store: ArtifactStore, round_: Round, key: str, kind: str) -> Sequence[Example]:
    """Returns the first examples of an artifact, by id; none where there is no such artifact."""
    table = await first_shard(store, round_, key, kind)
    return list(from_table(table.slice(0, MOST_READ))) if table is not None else []


async def rows_about(
    store: ArtifactStore, round_: Round, made: tuple[str, str], column: str, ids: Collection[str]
) -> list[dict[str, Any]]:
    """Returns the rows of an artifact's first shard whose column names one of some examples."""
    table = await first_shard(store, round_, *made)
    if table is None:
        return []
    rows: list[dict[str, Any]] = table.filter(pc.is_in(table[column], pa.array(list(ids), pa.string()))).to_pylist()
    return rows


async def first_shard(store: ArtifactStore, round_: Round, key: str, kind: str) -> pa.Table | None:
    """Returns the first table of an artifact; None where there is none."""
    name = round_.artifact(key, kind)
    if not name:
        return None
    manifest = await open_artifact(store, round_.project, name, kind)
    async for table in read_shards(store, manifest):
        return table
    return None
