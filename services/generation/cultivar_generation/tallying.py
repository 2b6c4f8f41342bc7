"""Reads what a filter run or the reviewers of a queue said of candidates, and counts it for each prompt version.

Verdicts and reviews name an example by its id alone; the artifact of the examples, which the manifest of both names in
its configuration, says which version of a prompt made it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from cultivar_artifacts import ArtifactStore, Manifest, load_manifest, read_shards
from cultivar_service.names import resource_name

from cultivar_generation.errors import OutcomesUnusable

VERDICTS, REVIEWS = "verdicts", "reviews"
REVIEW_COLUMNS = ["id", "decision", "scores", "edited_text", "edited_answer", "label", "tags", "kind"]
EDITS = ("edited_text", "edited_answer", "label")
# What the reason of a verdict begins with whose filter could not judge.
ERROR = "error:"


@dataclass
class Tally:
    """What was said of the candidates of one prompt version; scores are their sum and number, by criterion."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    scores: defaultdict[str, tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))

    def add_verdict(self, reject: tuple[str, str] | None) -> None:
        """Counts a candidate with the filter that did not keep it and its reason, None for one that was kept."""
        self.counts["judged"] += 1
        if reject is None:
            self.counts["kept"] += 1
        elif reject[1].startswith(ERROR):
            self.counts["failed"] += 1
        else:
            self.counts["rejected"] += 1
            self.reasons[": ".join(reject)] += 1

    def add_review(self, review: Mapping[str, Any]) -> None:
        """Counts a review."""
        accepts = review["decision"] == "accept"
        self.counts["reviewed"] += 1
        self.counts["accepted" if accepts else "declined"] += 1
        self.counts["edited"] += accepts and any(review[name] for name in EDITS)
        self.counts["by_program"] += review["kind"] == "program"
        self.reasons.update(review["tags"])
        for given in review["scores"]:
            total, number = self.scores[given["criterion"]]
            self.scores[given["criterion"]] = total + given["score"], number + 1


def source_of(manifest: Manifest) -> str:
    """Returns the name of the filter run or queue that made an artifact; raises OutcomesUnusable for another kind."""
    if manifest.kind == VERDICTS:
        return resource_name(manifest.project, "filterRuns", manifest.run)
    if manifest.kind == REVIEWS:
        return str(manifest.config["queue"])
    raise OutcomesUnusable(
        f"the artifact is of kind {manifest.kind!r}: name the verdicts of a filter run or the reviews of a closed queue"
    )


async def tally(store: ArtifactStore, manifest: Manifest) -> Mapping[str, Tally]:
    """Counts what verdicts or reviews say, by prompt version (`{prompt}@{version}`); others than candidates are not."""
    said: dict[bytes, Any] = {}
    async for table in read_shards(store, manifest):
        said.update(await asyncio.to_thread(READERS[manifest.kind], table))
    examples = await load_manifest(store, manifest.project, str(manifest.config["examples"]))
    found: defaultdict[str, Tally] = defaultdict(Tally)
    async for table in read_shards(store, examples):
        await asyncio.to_thread(add, found, table, said, manifest.kind)
    return found


def add(found: defaultdict[str, Tally], table: pa.Table, said: Mapping[bytes, Any], kind: str) -> None:
    """Adds what was said of a shard of examples."""
    for key, prompt in prompts_of(table):
        if prompt and kind == VERDICTS:
            found[prompt].add_verdict(said.get(key))
        elif prompt and key in said:
            found[prompt].add_review(said[key])


def prompts_of(table: pa.Table) -> Iterable[tuple[bytes, str]]:
    """Returns id and prompt version of each example of a shard."""
    prompts = pc.struct_field(table["provenance"], "prompt")
    return zip(map(bytes.fromhex, table["id"].to_pylist()), prompts.to_pylist(), strict=True)


def rejects_of(table: pa.Table) -> dict[bytes, tuple[str, str]]:
    """Returns filter and reason of each verdict of a shard that does not keep, by the id of its example.

    Ids as bytes, and each reason once: of a million candidates half may be rejected.
    """
    rows = table.filter(pc.invert(table["keep"])).select(["example", "filter", "reason"]).to_pylist()
    known: dict[tuple[str, str], tuple[str, str]] = {}
    pairs = ((row["example"], (row["filter"], row["reason"])) for row in rows)
    return {bytes.fromhex(example): known.setdefault(why, why) for example, why in pairs}


def reviews_of(table: pa.Table) -> dict[bytes, Mapping[str, Any]]:
    """Returns the reviews of a shard, by the id of their example."""
    return {bytes.fromhex(row["id"]): row for row in table.select(REVIEW_COLUMNS).to_pylist()}


READERS: Mapping[str, Callable[[pa.Table], Mapping[bytes, Any]]] = {VERDICTS: rejects_of, REVIEWS: reviews_of}
