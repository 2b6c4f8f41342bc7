"""Metrics agree with scikit-learn."""

import numpy as np
import pytest
from cultivar_statistics import accuracy, confusion_matrix, macro_f1
from cultivar_statistics.metrics import METRICS
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

SKLEARN = {
    "accuracy": sklearn.accuracy_score,
    "macro_f1": lambda truth, predicted: sklearn.f1_score(truth, predicted, average="macro", zero_division=0),
}
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=40)


@settings(deadline=None)
@given(ROWS)
def test_accuracy_macro_f1_and_confusion_are_those_of_scikit_learn(rows: list[tuple[str, str]]) -> None:
    truth, predicted = [row[0] for row in rows], [row[1] for row in rows]
    assert accuracy(truth, predicted) == pytest.approx(sklearn.accuracy_score(truth, predicted))
    expected = sklearn.f1_score(truth, predicted, average="macro", zero_division=0)
    assert macro_f1(truth, predicted) == pytest.approx(expected)
    confusion = confusion_matrix(truth, predicted, labels="abcde")
    assert confusion.counts.tolist() == sklearn.confusion_matrix(truth, predicted, labels=list("abcde")).tolist()


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 99))
def test_many_samples_at_once_give_what_scikit_learn_gives_for_each(rows: list[tuple[str, str]], seed: int) -> None:
    truth = np.array([ord(row[0]) - ord("a") for row in rows])
    predicted = np.array([ord(row[1]) - ord("a") for row in rows])
    samples = np.random.default_rng(seed).integers(0, len(rows), (7, len(rows)))
    for name, metric in METRICS.items():
        together = metric(truth[samples], predicted[samples], 5)
        alone = [SKLEARN[name](truth[sample], predicted[sample]) for sample in samples]
        assert together.tolist() == pytest.approx(alone)


def test_the_confusion_matrix_puts_truth_in_rows_in_the_order_asked_for() -> None:
    found = confusion_matrix(["a", "a", "b"], ["a", "b", "b"], labels=["b", "c", "a"])
    assert found.labels == ("b", "c", "a")
    assert found.counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert confusion_matrix(["x", "y"], ["y", "y"]).counts.tolist() == [[0, 1], [0, 1]]


def test_a_label_that_was_not_given_is_refused() -> None:
    with pytest.raises(ValueError, match="1 labels"):
        confusion_matrix(["a"], ["b"], labels=["a"])


@pytest.mark.parametrize(("truth", "predicted"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_rows_that_do_not_fit_are_refused(truth: list[str], predicted: list[str]) -> None:
    with pytest.raises(ValueError, match="rows"):
        accuracy(truth, predicted)
