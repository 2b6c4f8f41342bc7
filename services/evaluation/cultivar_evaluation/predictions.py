"""Predictions as an artifact holds them."""

from typing import Any

from cultivar_artifacts import ArtifactStore, Manifest, read_shards

PREDICTIONS = "predictions"


async def read_predictions(store: ArtifactStore, manifest: Manifest) -> list[dict[str, Any]]:
    """Reads the predictions of an artifact, by example id."""
    # Predictions of before answers without labels were scored do not say how many tokens they have.
    rows = [{"tokens": 0, **row} async for table in read_shards(store, manifest) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: str(row["id"]))
