"""macro_f1: the mean of each label's F1, so that rare labels count as much as common ones."""

from collections.abc import Sequence

from cultivar_statistics import macro_f1


class MacroF1:
    """Measures the mean F1 of the labels."""

    description = "The mean over the labels of the harmonic mean of precision and recall."

    def measure(self, truth: Sequence[str], predicted: Sequence[str]) -> float:
        """Returns the mean, 0 to 1."""
        return macro_f1(truth, predicted)
