"""Two ways of making a model on the same rows: the gain, its interval, and what these rows could have shown."""

from collections.abc import Sequence

from cultivar_evaluation.errors import RowsDiffer
from cultivar_evaluation.metrics import METRICS, Compared, Predictions


def compare(metric: str, first: Sequence[Predictions], second: Sequence[Predictions], random_seed: int) -> Compared:
    """Compares runs of several training seeds each; raises RowsDiffer unless all scored the same rows."""
    every = [*first, *second]
    ids = [row["id"] for row in every[0]]
    if any([row["id"] for row in rows] != ids for rows in every):
        raise RowsDiffer
    return METRICS[metric].compare(first, second, random_seed)
