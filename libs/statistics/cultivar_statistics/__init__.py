"""Metrics of labels, and how sure one may be of them: intervals, paired tests, and what a test can see."""

from cultivar_statistics.likelihoods import detectable_gain, perplexity, perplexity_bootstrap, perplexity_gain
from cultivar_statistics.metrics import METRICS, Confusion, accuracy, confusion_matrix, macro_f1
from cultivar_statistics.proportions import (
    McNemar,
    difference,
    discordance,
    mcnemar,
    minimum_detectable_gain,
    rows_to_detect,
    wilson,
)
from cultivar_statistics.resampling import DRAWS, Comparison, Estimate, bootstrap, paired_bootstrap, seeds_bootstrap

__all__ = [
    "DRAWS",
    "METRICS",
    "Comparison",
    "Confusion",
    "Estimate",
    "McNemar",
    "accuracy",
    "bootstrap",
    "confusion_matrix",
    "detectable_gain",
    "difference",
    "discordance",
    "macro_f1",
    "mcnemar",
    "minimum_detectable_gain",
    "paired_bootstrap",
    "perplexity",
    "perplexity_bootstrap",
    "perplexity_gain",
    "rows_to_detect",
    "seeds_bootstrap",
    "wilson",
]
