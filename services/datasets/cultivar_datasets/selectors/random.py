"""random: every example has the same chance."""

from collections.abc import Sequence
from random import Random

from cultivar_datasets.selectors.protocol import Choice, SelectorConfig


class RandomConfig(SelectorConfig):
    """Random has no parameters; the version's random seed decides."""


class RandomSelector:
    """Chooses by chance alone."""

    description = "Takes examples by chance alone; the random seed of the version decides."
    Config = RandomConfig

    def select(self, choices: Sequence[Choice], budget: int, config: RandomConfig, random: Random) -> list[str]:
        """Chooses the ids of at most `budget` examples, each with the same chance."""
        ids = sorted(choice.id for choice in choices)
        return random.sample(ids, min(budget, len(ids)))
