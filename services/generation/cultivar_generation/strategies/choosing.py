"""Which seeds a prompt shows: at random, nearest to one that is drawn, most unlike each other, or best reviewed.

Likeness is that of words (Jaccard over a text's distinct words): it needs no model, and is the same everywhere.
"""

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Literal

from cultivar_records import Example
from cultivar_texts import jaccard, words

Rule = Literal["random", "nearest", "diverse", "best-reviewed"]
MOST_LOOKED_AT = 256


def choose(rule: Rule, seeds: Sequence[Example], count: int, random: Random) -> tuple[Example, ...]:
    """Chooses seeds by a rule, each once; the same generator chooses the same.

    Of over 256 seeds a rule looks at 256 drawn at random, so that a call costs the same with a million seeds.
    """
    count = min(count, len(seeds))
    if rule == "random" or count == len(seeds):
        return tuple(random.sample(seeds, count))
    pool = random.sample(seeds, min(MOST_LOOKED_AT, len(seeds)))
    if rule == "best-reviewed":
        return best_reviewed(pool, count)
    chosen, rest = [pool[0]], pool[1:]
    nearness = [alike(seed, pool[0]) for seed in rest]
    if rule == "nearest":
        # The nearest stands last, where a model heeds it most.
        near = sorted(range(len(rest)), key=lambda place: nearness[place], reverse=True)[: count - 1]
        return (*(rest[place] for place in reversed(near)), chosen[0])
    while len(chosen) < count:
        farthest = min(range(len(rest)), key=lambda place: nearness[place])
        chosen.append(rest.pop(farthest))
        nearness.pop(farthest)
        nearness = [max(near, alike(seed, chosen[-1])) for near, seed in zip(nearness, rest, strict=True)]
    return tuple(chosen)


def best_reviewed(pool: Sequence[Example], count: int) -> tuple[Example, ...]:
    """Returns those with the highest mean score of their reviews; the best stands last, where a model heeds it most.

    Seeds without scores come after all that have some: of these a person said how good they are, of those nobody did.
    Equals stay in the order of the pool, which is drawn at random.
    """
    ranked = sorted(pool, key=lambda seed: seed.provenance.mean_score or 0.0, reverse=True)
    return tuple(reversed(ranked[:count]))


def alike(first: Example, second: Example) -> float:
    """Computes how alike the inputs of two examples are, 0 to 1."""
    return jaccard(vocabulary(first.text), vocabulary(second.text))


@lru_cache(maxsize=4096)
def vocabulary(text: str) -> frozenset[str]:
    """Returns the distinct words of a text."""
    return frozenset(words(text))
