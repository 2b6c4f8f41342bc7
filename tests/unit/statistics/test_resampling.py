"""Bootstrap intervals have the width and the level that they claim."""

import numpy as np
import pytest
from cultivar_statistics import Comparison, accuracy, bootstrap, macro_f1, paired_bootstrap, seeds_bootstrap
from scipy.stats import binom

Generator = np.random.Generator


def right_with(generator: Generator, chance: float, rows: int) -> list[int]:
    """Predicts 1, the truth of every row, with a chance."""
    return [int(draw < chance) for draw in generator.random(rows)]


def width(comparison: Comparison) -> float:
    """Gives the width of an interval."""
    return comparison.high - comparison.low


@pytest.mark.parametrize(("right", "rows"), [(160, 200), (30, 40), (990, 1000)])
def test_the_interval_of_accuracy_is_that_of_the_binomial_distribution(right: int, rows: int) -> None:
    truth, predicted = [1] * rows, [1] * right + [0] * (rows - right)
    found = bootstrap("accuracy", truth, predicted, draws=4000)
    low, high = binom.ppf([0.025, 0.975], rows, right / rows) / rows
    assert found.value == right / rows
    assert [found.low, found.high] == pytest.approx([low, high], abs=1.5 / rows)


def test_the_value_is_that_of_the_metric_and_lies_in_its_interval() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 5, 300).tolist()
    predicted = [label if generator.random() < 0.7 else 4 - label for label in truth]
    for name, metric in (("accuracy", accuracy), ("macro_f1", macro_f1)):
        found = bootstrap(name, truth, predicted, draws=500)
        assert found.low < found.value == metric(truth, predicted) < found.high


def test_a_higher_level_is_wider_and_more_rows_are_narrower() -> None:
    def interval(rows: int, level: float) -> float:
        predicted = [1] * (rows * 3 // 4) + [0] * (rows - rows * 3 // 4)
        found = bootstrap("accuracy", [1] * rows, predicted, draws=2000, level=level)
        return found.high - found.low

    assert interval(100, 0.99) > interval(100, 0.9)
    assert interval(400, 0.95) == pytest.approx(interval(100, 0.95) / 2, rel=0.2)


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    truth, predicted = [1] * 50, [1] * 30 + [0] * 20
    first = paired_bootstrap("macro_f1", truth, predicted, truth, draws=100, seed=3)
    assert first == paired_bootstrap("macro_f1", truth, predicted, truth, draws=100, seed=3)
    assert first != paired_bootstrap("macro_f1", truth, predicted, truth, draws=100, seed=4)


def test_chunks_of_draws_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predicted = [0, 1] * 40, [0, 1, 1, 1] * 20
    runs = [predicted, truth, [*predicted[1:], 0]]
    whole = seeds_bootstrap("macro_f1", truth, [predicted], runs, draws=101)
    monkeypatch.setattr("cultivar_statistics.resampling._CHUNK_CELLS", 800)
    assert seeds_bootstrap("macro_f1", truth, [predicted], runs, draws=101) == whole


def test_a_model_gains_nothing_over_itself() -> None:
    truth, predicted = [0, 1] * 20, [0, 1, 1, 1] * 10
    found = paired_bootstrap("macro_f1", truth, predicted, predicted, draws=200)
    assert (found.gain, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_exchanging_the_models_turns_the_sign() -> None:
    generator = np.random.default_rng(2)
    truth = [1] * 200
    first, second = right_with(generator, 0.6, 200), right_with(generator, 0.8, 200)
    one = paired_bootstrap("accuracy", truth, first, second, draws=500)
    other = paired_bootstrap("accuracy", truth, second, first, draws=500)
    assert one.gain == accuracy(truth, second) - accuracy(truth, first)
    assert (one.gain, one.low, one.high) == pytest.approx((-other.gain, -other.high, -other.low))
    assert one.p_value == other.p_value < 0.01


def test_models_that_agree_on_most_rows_are_told_apart_by_pairing() -> None:
    generator = np.random.default_rng(3)
    first = right_with(generator, 0.7, 400)
    second = [1 if number % 20 == 0 else value for number, value in enumerate(first)]
    paired = paired_bootstrap("accuracy", [1] * 400, first, second, draws=1000)
    alone = bootstrap("accuracy", [1] * 400, first, draws=1000)
    assert paired.low > 0
    assert width(paired) < (alone.high - alone.low) / 2


def test_a_gain_that_depends_on_the_training_seed_is_less_sure() -> None:
    generator = np.random.default_rng(4)
    truth = [1] * 500
    base = [right_with(generator, 0.7, 500)]
    steady = [right_with(generator, 0.75, 500) for _ in range(4)]
    fickle = [right_with(generator, chance, 500) for chance in (0.6, 0.9, 0.65, 0.85)]
    assert width(seeds_bootstrap("accuracy", truth, base, fickle, draws=1000)) > 2 * width(
        seeds_bootstrap("accuracy", truth, base, steady, draws=1000)
    )


def test_one_run_stands_beside_every_run_of_the_other_side() -> None:
    generator = np.random.default_rng(5)
    truth = [1] * 60
    base, runs = right_with(generator, 0.5, 60), [right_with(generator, 0.7, 60) for _ in range(3)]
    once = seeds_bootstrap("accuracy", truth, [base], runs, draws=200)
    assert once == seeds_bootstrap("accuracy", truth, [base] * 3, runs, draws=200)
    assert once.gain == pytest.approx(np.mean([accuracy(truth, run) for run in runs]) - accuracy(truth, base))


def test_of_two_seeds_one_is_drawn_so_that_their_whole_difference_shows() -> None:
    found = seeds_bootstrap("accuracy", [1] * 9, [[0] * 9], [[0] * 9, [1] * 9], draws=400, level=0.4)
    assert (found.gain, found.low, found.high) == (0.5, 0, 1)


def coverage(level: float, gain: float) -> float:
    """Simulates comparisons of five seeds whose accuracy varies, and gives how often the interval holds the gain."""
    generator = np.random.default_rng(6)
    hits = 0
    for _ in range(150):
        chances = np.clip(0.6 + gain + generator.normal(0, 0.05, 5), 0, 1)
        runs = [right_with(generator, float(chance), 80) for chance in chances]
        base = [right_with(generator, 0.6, 80) for _ in range(5)]
        found = seeds_bootstrap("accuracy", [1] * 80, base, runs, draws=200, level=level)
        hits += found.low <= gain <= found.high
    return hits / 150


def test_the_interval_over_rows_and_seeds_holds_the_true_gain_as_often_as_it_says() -> None:
    assert coverage(0.9, 0.1) >= 0.86


def test_no_gain_is_seldom_called_one() -> None:
    generator = np.random.default_rng(7)
    called = sum(
        paired_bootstrap(
            "accuracy", [1] * 80, right_with(generator, 0.7, 80), right_with(generator, 0.7, 80), draws=200
        ).p_value
        <= 0.05
        for _ in range(300)
    )
    assert called / 300 < 0.09


@pytest.mark.parametrize("sides", [(0, 1), (1, 0), (2, 3)])
def test_runs_that_do_not_fit_are_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="seeds"):
        seeds_bootstrap("accuracy", [1], [[1]] * sides[0], [[1]] * sides[1])


@pytest.mark.parametrize(
    ("metric", "draws", "level"), [("rouge", 10, 0.95), ("accuracy", 0, 0.95), ("accuracy", 10, 1.0)]
)
def test_settings_without_meaning_are_refused(metric: str, draws: int, level: float) -> None:
    with pytest.raises(ValueError, match=r"metric|draw"):
        bootstrap(metric, [1], [1], draws=draws, level=level)
