"""Metrics: what the predictions of a run are worth, and how sure one may be of it.

To add one, write a file beside this one with what `Metric` says, and add its row to METRICS. Every value comes with its
interval, which `cultivar_statistics` makes.
"""

from cultivar_evaluation.metrics.accuracy import ACCURACY
from cultivar_evaluation.metrics.macro_f1 import MACRO_F1
from cultivar_evaluation.metrics.perplexity import Perplexity
from cultivar_evaluation.metrics.protocol import Compared, Metric, Predictions

METRICS: dict[str, Metric] = {
    "accuracy": ACCURACY,
    "macro_f1": MACRO_F1,
    "perplexity": Perplexity(),
}

__all__ = ["METRICS", "Compared", "Metric", "Predictions"]
