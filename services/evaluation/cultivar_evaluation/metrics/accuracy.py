"""accuracy: the share of rows whose label is right."""

from collections.abc import Sequence

from cultivar_statistics import accuracy


class Accuracy:
    """Measures the share of right rows."""

    description = "The share of rows whose predicted label is the true one."

    def measure(self, truth: Sequence[str], predicted: Sequence[str]) -> float:
        """Returns the share, 0 to 1."""
        return accuracy(truth, predicted)
