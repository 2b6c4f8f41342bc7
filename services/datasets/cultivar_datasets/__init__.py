"""Datasets: files in and out, imports and splits, selection, dataset versions and lineage."""
