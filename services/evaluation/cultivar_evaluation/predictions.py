"""Predictions as an artifact holds them."""

from typing import Any

from cultivar_artifacts import ArtifactStore, Manifest, read_shards

PREDICTIONS = "predictions"


async def read_predictions(store: ArtifactStore, manifest: Manifest) -> list[dict[str, Any]]:
    """Reads the predictions of an artifact, by example id."""
    rows = [row async for table in read_shards(store, manifest) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: str(row["id"]))
