"""balanced: labels take turns, and within a label the best come first."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from random import Random

from cultivar_datasets.selectors.protocol import Choice, SelectorConfig


class BalancedConfig(SelectorConfig):
    """Balanced has no parameters."""


class Balanced:
    """Chooses as evenly over the labels as there are examples, the best of each label first."""

    description = (
        "Takes labels in turn and the best of each first: written by people, then accepted in review, then by score."
    )
    Config = BalancedConfig

    def select(self, choices: Sequence[Choice], budget: int, config: BalancedConfig, random: Random) -> list[str]:
        """Chooses the ids of at most `budget` examples; labels that run out leave their turns to the others."""
        by_label: dict[str, list[Choice]] = defaultdict(list)
        for choice in sorted(choices, key=rank):
            by_label[choice.label].append(choice)
        turns = zip_longest(*(by_label[label] for label in sorted(by_label)))
        return [choice.id for turn in turns for choice in turn if choice is not None][:budget]


def rank(choice: Choice) -> tuple[bool, bool, bool, float, str]:
    """Orders choices by quality, the best first; equal ones by id, which is as good as random and always the same."""
    scored = choice.score is not None
    return choice.role != "real", not choice.reviewed, not scored, -(choice.score or 0.0), choice.id
