"""What is known of the quality of examples: verdicts of filters, or reviews of people."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean

import pyarrow as pa
from cultivar_artifacts import ArtifactStore, load_manifest, read_shards
from cultivar_service.artifacts import artifact_name

from cultivar_datasets.errors import SourceUnusable


async def read_scores(store: ArtifactStore, project: str, digest: str) -> dict[str, float]:
    """Reads the mean score of each example, by id; none for the empty digest.

    Raises SourceUnusable where the rows are neither verdicts nor reviews.
    """
    found: dict[str, list[float]] = defaultdict(list)
    if digest:
        async for table in read_shards(store, await load_manifest(store, project, digest)):
            for example, score in scores_of(table, artifact_name(project, digest)):
                found[example].append(score)
    return {example: fmean(scores) for example, scores in found.items()}


def scores_of(table: pa.Table, name: str) -> Iterator[tuple[str, float]]:
    """Yields example and score of each row: of verdicts (`example`, `score`) or of reviews (`id`, `scores`)."""
    columns = set(table.column_names)
    if {"example", "score"} <= columns:
        for row in table.select(["example", "score"]).to_pylist():
            if row["score"] is not None:
                yield row["example"], float(row["score"])
    elif {"id", "scores"} <= columns:
        for row in table.select(["id", "scores"]).to_pylist():
            if row["scores"]:
                yield row["id"], fmean(criterion["score"] for criterion in row["scores"])
    else:
        raise SourceUnusable(f"{name} has no scores: name an artifact of verdicts or of reviews")
