"""perplexity: how surprised a model is by the true answers, where a task has no labels; less is better."""

from collections.abc import Sequence
from statistics import fmean

from cultivar_records import TaskKind
from cultivar_statistics import Estimate, detectable_gain, perplexity, perplexity_bootstrap, perplexity_gain

from cultivar_evaluation.errors import RowsUnusable
from cultivar_evaluation.metrics.protocol import Compared, Predictions, covers_seeds


class Perplexity:
    """Measures the mean surprise of a token of the answers."""

    description = "The exponential of the mean surprise of a token of the true answer; 1 is certainty, less is better."
    tasks = tuple(kind for kind in TaskKind if kind is not TaskKind.CLASSIFICATION)

    def estimate(self, rows: Predictions, random_seed: int) -> Estimate:
        """Returns the perplexity, 1 or more, of the rows that were scored; raises RowsUnusable where none was."""
        places = scored([rows])
        return perplexity_bootstrap(logprobs_of(rows, places), tokens_of(rows, places), seed=random_seed)

    def compare(self, first: Sequence[Predictions], second: Sequence[Predictions], random_seed: int) -> Compared:
        """Compares by how much the perplexity falls, on the rows that every run scored."""
        places = scored([*first, *second])
        tokens = tokens_of(first[0], places)
        before, after = ([logprobs_of(rows, places) for rows in way] for way in (first, second))
        comparison = perplexity_gain(tokens, before, after, seed=random_seed)
        return Compared(
            comparison=comparison,
            first=fmean(perplexity(each, tokens) for each in before),
            second=fmean(perplexity(each, tokens) for each in after),
            rows=len(places),
            covers_seeds=covers_seeds(first, second),
            minimum_detectable_gain=detectable_gain(comparison),
        )


def scored(runs: Sequence[Predictions]) -> list[int]:
    """Returns the places of the rows that every run scored, token for token the same."""
    places = [
        place
        for place in range(len(runs[0]))
        if runs[0][place]["tokens"] and len({rows[place]["tokens"] for rows in runs}) == 1
    ]
    if not places:
        raise RowsUnusable("no row was scored by all of these runs: look at why they failed, or at their base models")
    return places


def logprobs_of(rows: Predictions, places: Sequence[int]) -> list[float]:
    """Returns the log-probability of each answer."""
    return [rows[place]["logprobs"][0] for place in places]


def tokens_of(rows: Predictions, places: Sequence[int]) -> list[int]:
    """Returns the tokens of each answer."""
    return [rows[place]["tokens"] for place in places]
