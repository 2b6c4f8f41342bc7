"""Coverage: how many candidates were asked for of each label, seed and value of an axis, and how many were made.

A call aims at some keys, such as its label. What its answer lacks is short; a use with `refill` asks again for keys
that are short, by further calls of the same sequence that aim at them, in at most three rounds. Of over 200 seeds it is
not kept which came short (but for those with a quota): then the calls that are added take whatever seeds are next.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cultivar_generation.strategies import Plan

ROUNDS = 3
MOST_SEEDS = 200
"""Of more seeds than these the coverage of each is not kept: it is written with every range."""

Coverage = dict[str, list[int]]
"""For each key of a use, the candidates asked for by the calls first planned, and those made by all."""


@dataclass(frozen=True)
class Part:
    """One line of a report of coverage; `use` is the place of the strategy's use, counted from 0.

    `wanted` is what quotas ask for, 0 where none does.
    """

    use: int
    dimension: str
    value: str
    asked: int
    made: int
    wanted: int = 0


def keys_of(use: int, plan: Plan, axes: Mapping[str, str], seeds: int) -> tuple[str, ...]:
    """Returns the keys that a call aims at: its label, its seed where it has one of few, its value of each axis.

    One that aims at none of these aims at the key of all such calls, so that they are refilled too.
    """
    found = [f"{use}\naxis {axis}\n{value}" for axis, value in axes.items()]
    label = plan.variables.get("label")
    if label:
        found.append(f"{use}\nlabel\n{label}")
    if len(plan.seeds) == 1 and seeds <= MOST_SEEDS:
        found.append(f"{use}\nseed\n{plan.seeds[0].id}")
    return tuple(found) or (f"{use}\nall\n",)


def emptied(coverage: Mapping[str, Sequence[int]]) -> Coverage:
    """Returns a coverage in which as much is asked for, and nothing is made."""
    return {key: [asked, 0] for key, (asked, _) in coverage.items()}


def added(coverage: Mapping[str, Sequence[int]], ended: Iterable[tuple[Sequence[str], int, int]]) -> Coverage:
    """Returns a coverage with what some calls were asked for and made: the keys of each, and two numbers."""
    total = {key: list(numbers) for key, numbers in coverage.items()}
    for keys, asked, made in ended:
        for key in keys:
            numbers = total.setdefault(key, [0, 0])
            numbers[0] += asked
            numbers[1] += made
    return total


def shortage(coverage: Mapping[str, Sequence[int]], use: int) -> Counter[str]:
    """Returns the keys of a use that are short, each with how many candidates it lacks."""
    mine = {key: asked - made for key, (asked, made) in coverage.items() if key.startswith(f"{use}\n")}
    return Counter({key: lacking for key, lacking in mine.items() if lacking > 0})


def picked(short: Counter[str], offered: Iterable[tuple[int, Sequence[str]]], per_call: int) -> Iterator[int]:
    """Yields the numbers of the offered calls that aim at what is short, until nothing is."""
    left = Counter(short)
    for number, keys in offered:
        if not left:
            return
        if any(key in left for key in keys):
            yield number
            left.subtract(dict.fromkeys(keys, per_call))
            left = +left


def report(coverage: Mapping[str, Sequence[int]], wanted: Sequence[Mapping[tuple[str, str], int]] = ()) -> list[Part]:
    """Returns the lines of a report, by use, dimension and value.

    wanted: what the quotas of each use ask for, by dimension and value; such a line is there if nothing was asked for.
    """
    quotas = {(use, *key): number for use, mine in enumerate(wanted) for key, number in mine.items()}
    found = dict.fromkeys(quotas, (0, 0))
    for key, (asked, made) in coverage.items():
        use, dimension, value = key.split("\n", 2)
        found[int(use), dimension, value] = asked, made
    return [Part(*key, *numbers, quotas.get(key, 0)) for key, numbers in sorted(found.items())]
