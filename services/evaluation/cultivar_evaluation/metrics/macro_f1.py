"""macro_f1: the mean of each label's F1, so that rare labels count as much as common ones."""

from cultivar_statistics import macro_f1

from cultivar_evaluation.metrics.labels import OfLabels

MACRO_F1 = OfLabels("macro_f1", macro_f1, "The mean over the labels of the harmonic mean of precision and recall.")
