"""Metrics: what a column of predicted labels is worth against the true ones.

To add one, write a file beside this one with what `Metric` says, and add its row to METRICS; the name must be one that
`cultivar_statistics.METRICS` can resample, so that no metric is told without its interval.
"""

from cultivar_evaluation.metrics.accuracy import Accuracy
from cultivar_evaluation.metrics.macro_f1 import MacroF1
from cultivar_evaluation.metrics.protocol import Metric

METRICS: dict[str, Metric] = {
    "accuracy": Accuracy(),
    "macro_f1": MacroF1(),
}

__all__ = ["METRICS", "Metric"]
