"""Accuracy, macro-F1 and the confusion matrix, each over many samples of rows at once.

A metric takes class codes of shape (samples, rows) and gives a value for each sample, so that a bootstrap of
thousands of samples is a few passes over arrays.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Labels = Sequence[Hashable]
Metric = Callable[[Codes, Codes, int], Values]
"""Takes truth and prediction as class codes, shape (samples, rows), and the number of classes."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Holds how often each true label (row) was predicted as each label (column), in the order of `labels`."""

    labels: tuple[Hashable, ...]
    counts: Codes


def accuracy_of(truth: Codes, predicted: Codes, classes: int) -> Values:
    """Computes the share of right rows in each sample."""
    return np.asarray((truth == predicted).mean(axis=1))


def macro_f1_of(truth: Codes, predicted: Codes, classes: int) -> Values:
    """Computes the mean F1 of the labels in each sample; labels neither true nor predicted in it do not count."""
    samples = len(truth)
    base = np.arange(samples)[:, None] * classes

    def count(codes: Codes, weights: Values | None = None) -> Values:
        flat = np.bincount((base + codes).ravel(), weights, minlength=samples * classes)
        return flat.reshape(samples, classes).astype(np.float64)

    right = count(truth, (truth == predicted).ravel().astype(np.float64))
    either = count(truth) + count(predicted)
    f1 = np.divide(2 * right, either, out=np.zeros_like(either), where=either > 0)
    return np.asarray(f1.sum(axis=1) / (either > 0).sum(axis=1))


METRICS: Final[dict[str, Metric]] = {"accuracy": accuracy_of, "macro_f1": macro_f1_of}
"""The metrics that a bootstrap knows by name."""


def encode(truth: Labels, *predictions: Labels) -> tuple[tuple[Hashable, ...], list[Codes]]:
    """Gives the labels in the order they first occur, and truth and each prediction as codes into them.

    Raises ValueError where there are no rows or the lengths differ.
    """
    if not len(truth):
        raise ValueError("There are no rows to score.")
    if any(len(prediction) != len(truth) for prediction in predictions):
        raise ValueError("Truth and predictions must have the same number of rows, in the same order.")
    numbers: dict[Hashable, int] = {}
    columns = [
        np.array([numbers.setdefault(label, len(numbers)) for label in column], dtype=np.int64)
        for column in (truth, *predictions)
    ]
    return tuple(numbers), columns


def accuracy(truth: Labels, predicted: Labels) -> float:
    """Computes the share of rows whose prediction is the true label."""
    return _single(accuracy_of, truth, predicted)


def macro_f1(truth: Labels, predicted: Labels) -> float:
    """Computes the mean, over the labels that are true or predicted somewhere, of each label's F1."""
    return _single(macro_f1_of, truth, predicted)


def confusion_matrix(truth: Labels, predicted: Labels, labels: Labels | None = None) -> Confusion:
    """Counts how often each label was predicted as each; `labels` sets their order (default: as they first occur).

    Raises ValueError for a row with a label that is not among `labels`.
    """
    order, (rows, columns) = encode(truth, predicted)
    if labels is not None:
        places = {label: place for place, label in enumerate(labels)}
        if missing := [label for label in order if label not in places]:
            raise ValueError(f"{len(missing)} labels of the rows are not among the labels given.")
        moved = np.array([places[label] for label in order], dtype=np.int64)
        order, rows, columns = tuple(labels), moved[rows], moved[columns]
    counts = np.zeros((len(order), len(order)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return Confusion(order, counts)


def _single(metric: Metric, truth: Labels, predicted: Labels) -> float:
    labels, (rows, columns) = encode(truth, predicted)
    return float(metric(rows[None], columns[None], len(labels))[0])
