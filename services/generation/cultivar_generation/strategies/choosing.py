"""Which seeds a prompt shows: at random, nearest to one that is drawn, most unlike each other, or best reviewed.

Likeness is that of words (Jaccard over a text's distinct words): it needs no model, and is the same everywhere.
"""

from collections.abc import Sequence
from random import Random
from typing import Literal

from cultivar_records import Example

from cultivar_generation.strategies.pool import Pool, alike

Rule = Literal["random", "nearest", "diverse", "best-reviewed"]
MOST_LOOKED_AT = 256


def choose(rule: Rule, seeds: Pool, count: int, random: Random) -> tuple[Example, ...]:
    """Chooses seeds by a rule, each once; the same generator chooses the same.

    Of over 256 seeds a rule looks at 256 drawn at random, so that a call costs the same with a million seeds.
    """
    count = min(count, len(seeds))
    if rule == "random" or count == len(seeds):
        return tuple(random.sample(seeds, count))
    places = random.sample(range(len(seeds)), min(MOST_LOOKED_AT, len(seeds)))
    if rule == "best-reviewed":
        return best_reviewed([seeds[place] for place in places], count)
    chosen, rest = [places[0]], places[1:]
    sketches = [seeds.sketch(place) for place in rest]
    nearness = alike(seeds.sketch(places[0]), sketches)
    if rule == "nearest":
        # The nearest stands last, where a model heeds it most.
        near = sorted(range(len(rest)), key=nearness.__getitem__, reverse=True)[: count - 1]
        return (*(seeds[rest[at]] for at in reversed(near)), seeds[chosen[0]])
    while len(chosen) < count:
        farthest = nearness.index(min(nearness))
        chosen.append(rest.pop(farthest))
        nearness.pop(farthest)
        nearness = list(map(max, nearness, alike(sketches.pop(farthest), sketches)))
    return tuple(seeds[place] for place in chosen)


def best_reviewed(pool: Sequence[Example], count: int) -> tuple[Example, ...]:
    """Returns those with the highest mean score of their reviews; the best stands last, where a model heeds it most.

    Seeds without scores come after all that have some: of these a person said how good they are, of those nobody did.
    Equals stay in the order of the pool, which is drawn at random.
    """
    ranked = sorted(pool, key=lambda seed: seed.provenance.mean_score or 0.0, reverse=True)
    return tuple(reversed(ranked[:count]))
