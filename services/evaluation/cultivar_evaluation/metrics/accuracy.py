"""accuracy: the share of rows whose label is right."""

from cultivar_statistics import accuracy

from cultivar_evaluation.metrics.labels import OfLabels

ACCURACY = OfLabels("accuracy", accuracy, "The share of rows whose predicted label is the true one.")
