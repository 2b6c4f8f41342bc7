"""Quotas: how many candidates each label or seed gets, and which share each value of an axis.

Who has a turn follows from the number of a call alone. The calls of all labels lie in a row, one label after the other,
and each number steps through that row by a step that meets every call once: the totals are exact, and the calls made so
far are in proportion whenever a run stops.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import accumulate
from math import gcd
from random import Random
from typing import Any

from cultivar_records import TaskKind, TaskSpec
from cultivar_service.errors import InvalidArgument

from cultivar_generation.errors import SeedsUnusable
from cultivar_generation.strategies import Pool, Strategy
from cultivar_generation.strategies.protocol import StrategyConfig

LABEL, SEED = "label", "seed"
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Turn:
    """Whose turn a call is: a label or seed of the quotas, empty for the others; which of its calls, from 0.

    `most` is how many candidates it is asked for.
    """

    name: str
    ordinal: int
    most: int


@dataclass(frozen=True)
class Turns:
    """The turns of the calls that are to give so many candidates, those without a quota sharing the rest."""

    count: int
    per_call: int
    quotas: Mapping[str, int]

    @cached_property
    def _groups(self) -> list[tuple[str, int]]:
        rest = self.count - sum(self.quotas.values())
        return [(name, wanted) for name, wanted in (*self.quotas.items(), ("", rest)) if wanted > 0]

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(-(-wanted // self.per_call) for _, wanted in self._groups))

    @property
    def size(self) -> int:
        """How many calls there are."""
        return self._ends[-1]

    def at(self, number: int) -> Turn:
        """Returns the turn of a number; beyond the last all begin again, with a whole call each."""
        lap, within = divmod(number, self.size)
        position = within * (stride(self.size) if len(self._groups) > 1 else 1) % self.size
        group = bisect_right(self._ends, position)
        first = self._ends[group - 1] if group else 0
        name, wanted = self._groups[group]
        last = position == self._ends[group] - 1
        calls = self._ends[group] - first
        most = wanted - (calls - 1) * self.per_call if last and not lap else self.per_call
        return Turn(name, lap * calls + position - first, most)


class Scope:
    """Which seeds a call is planned with, and for which labels: those whose turn it is."""

    def __init__(self, task: TaskSpec, seeds: Pool, config: StrategyConfig) -> None:
        self._task = task
        self._seeds = seeds
        self._config = config
        self._known: dict[str, Pool] = {}
        quotas = config.quotas
        named = quotas.get(SEED, {})
        self._others = Pool(seed for seed in seeds if seed.id not in named) if named else seeds
        labels = [label for label in task.labels if label not in quotas.get(LABEL, {})] if LABEL in quotas else []
        self._labels = [label for label in labels if self._of_label(label) or told(config, label)]

    def of(self, turn: Turn) -> tuple[int, Pool, TaskSpec]:
        """Returns the number of a call within its turn, the seeds to choose from, and the task as it is planned for.

        Raises SeedsUnusable where none can have the turn.
        """
        number, name = turn.ordinal, turn.name
        if LABEL in self._config.quotas:
            if not name and self._labels:
                number, place = divmod(number, len(self._labels))
                name = self._labels[place]
            seeds = self._of_label(name)
            # Where the label is changed, a task of one label leaves no other to change it to.
            task = self._task.model_copy(update={"labels": (name,)}) if turns_labels(self._config) else self._task
        else:
            seeds, task = self._of_seed(name) if name else self._others, self._task
        if not seeds and not told(self._config, name):
            raise SeedsUnusable(f"no seed is left for what quotas leave over, or for {name!r}: change quotas or count")
        return number, seeds, task

    def _of_label(self, label: str) -> Pool:
        if label not in self._known:
            self._known[label] = with_label(self._config, self._seeds, label)
        return self._known[label]

    def _of_seed(self, identifier: str) -> Pool:
        if not self._known:
            named = self._config.quotas[SEED]
            self._known = {seed.id: Pool((seed,)) for seed in self._seeds if seed.id in named}
        return self._known.get(identifier, Pool())


@lru_cache(maxsize=1024)
def stride(size: int) -> int:
    """Returns a step that meets each of some places once, and spreads those that it meets first evenly.

    Of the steps near the golden section it is the one whose fraction of the size is hardest to approximate.
    """
    middle = round(size * GOLDEN)
    steps = [step for step in range(max(1, middle - 64), middle + 65) if gcd(step, size) == 1]
    return min(steps, key=lambda step: (max(quotients(step, size)), abs(step - middle)), default=1)


def quotients(part: int, whole: int) -> Iterator[int]:
    """Yields the quotients of the continued fraction of a part of a whole."""
    while part:
        yield whole // part
        whole, part = part, whole % part


def turns_of(config: StrategyConfig, count: int, per_call: int) -> Turns:
    """Returns the turns of a use of a strategy."""
    return Turns(count, per_call, config.quotas.get(LABEL) or config.quotas.get(SEED) or {})


def shares_of(config: StrategyConfig, axis: str) -> list[int] | None:
    """Returns the shares of the values of an axis, 1 for one that its quotas do not name; None without quotas."""
    quotas = config.quotas.get(axis) if axis not in (LABEL, SEED) else None
    return [quotas.get(value, 1) for value in config.axes[axis]] if quotas else None


def drawn(values: Sequence[str], shares: Sequence[int], key: str, number: int) -> str:
    """Returns the value of an axis for a call; in as many calls as there are shares, each comes as often as it has."""
    common = gcd(*shares)
    ends = list(accumulate(share // common for share in shares))
    block, within = divmod(number, ends[-1])
    # Begun elsewhere in each block, so that no value always meets the same label or seed.
    begin = Random(f"{key}/{block}").randrange(ends[-1])
    return values[bisect_right(ends, (begin + within * stride(ends[-1])) % ends[-1])]


def wanted_of(config: StrategyConfig, count: int) -> dict[tuple[str, str], int]:
    """Returns how many candidates quotas ask for, by dimension and value, as the coverage names these."""
    found = {(name, value): number for name in (LABEL, SEED) for value, number in config.quotas.get(name, {}).items()}
    for axis, values in config.axes.items():
        shares = shares_of(config, axis)
        if shares:
            parts = zip(values, shares, strict=True)
            found |= {(f"axis {axis}", value): round(count * share / sum(shares)) for value, share in parts}
    return found


def check_quotas(config: Any, strategy: Strategy, task: TaskSpec | None, count: int, field: str) -> None:
    """Raises InvalidArgument, with its field, for a quota of what there is not, or for more than there is.

    task: None for a prompt by itself, whose labels and seeds nobody knows; count: 0 likewise.
    """
    for dimension, quotas in config.quotas.items():
        place = f"{field}.quotas.{dimension}"
        if dimension in (LABEL, SEED):
            check_turns(config, strategy, task, count, place)
        elif dimension not in config.axes:
            raise unknown(dimension, [LABEL, SEED, *config.axes], place)
        else:
            for value in quotas:
                if value not in config.axes[dimension]:
                    raise unknown(value, config.axes[dimension], f"{place}.{value}")
            if not sum(shares_of(config, dimension) or [1]):
                raise InvalidArgument(f"{place} gives no value a share: give one more than 0", field=place)


def check_turns(config: Any, strategy: Strategy, task: TaskSpec | None, count: int, field: str) -> None:
    """Raises InvalidArgument where labels or seeds cannot have quotas, or these do not fit the count."""
    dimension = field.rpartition(".")[2]
    quotas = config.quotas[dimension]
    if LABEL in config.quotas and SEED in config.quotas:
        raise InvalidArgument(f"{field}: give quotas to labels or to seeds, not to both", field=field)
    if dimension == LABEL and ("label" not in strategy.names or (task and task.kind is not TaskKind.CLASSIFICATION)):
        raise InvalidArgument(f"{field}: no label is chosen here, so none can have a quota", field=field)
    if task is None:
        return
    if dimension == LABEL:
        for label in quotas:
            if label not in task.labels:
                raise unknown(label, task.labels, f"{field}.{label}")
    total, every = sum(quotas.values()), dimension == LABEL and set(quotas) == set(task.labels)
    if total > count or (every and total < count):
        how = "both the same" if every else "no more"
        raise InvalidArgument(f"{field} asks for {total} candidates, and count for {count}: give {how}", field=field)


def turns_labels(config: Any) -> bool:
    """Tells whether candidates have another label than their seed."""
    return getattr(config, "changes", "") == LABEL


def told(config: Any, label: str) -> bool:
    """Tells whether a guideline says what belongs to a label, so that it can be written without a seed of it."""
    return label in getattr(config, "guidelines", {})


def with_label(config: Any, seeds: Pool, label: str) -> Pool:
    """Returns the seeds that can give candidates of a label."""
    return Pool(seed for seed in seeds if seed.label not in (None, label)) if turns_labels(config) else seeds.of(label)


def check_seeds(config: Any, seeds: Pool, field: str) -> None:
    """Raises InvalidArgument for a quota of a seed that there is not, or of a label that no seed can give."""
    for label, wanted in config.quotas.get(LABEL, {}).items():
        if wanted and not with_label(config, seeds, label) and not told(config, label):
            place = f"{field}.quotas.label.{label}"
            raise InvalidArgument(f"{place}: no seed can give this label: import some that have it", field=place)
    known = {seed.id for seed in seeds} if SEED in config.quotas else set()
    for seed in config.quotas.get(SEED, {}):
        if seed not in known:
            place = f"{field}.quotas.seed.{seed}"
            raise InvalidArgument(f"{place}: the seeds have none of this id", field=place)


def unknown(name: str, known: Sequence[str], field: str) -> InvalidArgument:
    """Returns the error of a name that there is not, with the nearest of those that are."""
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:20])}"
    return InvalidArgument(f"{field}: there is no {name[:80]!r}: {hint}", field=field)
