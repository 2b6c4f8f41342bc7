"""Which examples a dataset version takes: sources by their limits, the budget, the share of replay."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from cultivar_datasets.selectors import SELECTORS, Choice
from cultivar_datasets.specs import VersionSpec


@dataclass
class Pool:
    """What the sources offer: choices by source, and how many rows were left out beforehand."""

    choices: list[list[Choice]]
    rows: int = 0
    leaked: int = 0
    repeated: int = 0
    unlicensed: int = 0


@dataclass(frozen=True)
class Selection:
    """The examples that were chosen: the number of the source that each is taken from, by id."""

    chosen: Mapping[str, int]
    by_role: Mapping[str, int]
    by_label: Mapping[str, int]
    by_source: Mapping[int, int] = field(default_factory=dict)
    by_licence: Mapping[str, int] = field(default_factory=dict)


def select(spec: VersionSpec, pool: Pool) -> Selection:
    """Chooses by the spec; the same pool and spec always give the same."""
    limited = [choose(spec, number, pool.choices[number]) for number in range(len(spec.sources))]
    offered = [choice for choices in limited for choice in choices if choice.role != "replay"]
    replay = [choice for choices in limited for choice in choices if choice.role == "replay"]
    most, most_replay = amounts(spec.budget, spec.replay_share, len(offered), len(replay))
    chosen = take(spec, "pool", offered, most)
    ids = sorted(choice.id for choice in replay)
    chosen |= set(Random(f"{spec.random_seed}/replay").sample(ids, most_replay))
    picked = [(number, choice) for number, choices in enumerate(limited) for choice in choices if choice.id in chosen]
    return Selection(
        chosen={choice.id: number for number, choice in picked},
        by_role=Counter(choice.role for _, choice in picked),
        by_label=Counter(choice.label for _, choice in picked),
        by_source=Counter(number for number, _ in picked),
        by_licence=Counter(licence for _, choice in picked for licence in choice.licences),
    )


def choose(spec: VersionSpec, number: int, choices: Sequence[Choice]) -> Sequence[Choice]:
    """Returns what the limit of one source leaves of it."""
    limit = spec.sources[number].limit
    if not limit or len(choices) <= limit:
        return choices
    kept = take(spec, f"source {number}", choices, limit)
    return [choice for choice in choices if choice.id in kept]


def take(spec: VersionSpec, use: str, choices: Sequence[Choice], most: int) -> set[str]:
    """Lets the selector choose where there are more than wanted; each use has random numbers of its own."""
    if len(choices) <= most:
        return {choice.id for choice in choices}
    selector = SELECTORS[spec.selector]
    config = selector.Config.model_validate(spec.params)
    return set(selector.select(choices, most, config, Random(f"{spec.random_seed}/{use}")))


def amounts(budget: int, share: float, offered: int, replay: int) -> tuple[int, int]:
    """Returns how many examples to take from the offered ones and from replay; a budget of 0 is all.

    Replay never has more than its share of what is taken, so that it is fewer where the rest is.
    """
    most = min(offered, budget - round(budget * share)) if budget else offered
    return most, min(replay, round(most * share / (1 - share)))
