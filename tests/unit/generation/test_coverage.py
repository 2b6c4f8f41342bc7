"""Coverage: what was asked for and made, and which calls are added for what is short."""

from collections import Counter

from cultivar_generation.coverage import added, report, shortage
from cultivar_generation.plan import Calls, RunSpec, Use, pick_of
from cultivar_generation.prompts import shipped
from cultivar_records import TaskKind, TaskSpec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.seeds import TEXTS, seeds

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=tuple(TEXTS))
USES, SIZES = {0: "expand", 1: "rewrite"}, {0: 20, 1: 12}
AXES = {"tone": ["calm", "angry", "sad"]}


def planned(refill: bool = True) -> Calls:
    """Calls of 40 examples in lists of two, and of 12 rewritings."""
    first = {"params": {"per_call": 2, "shots": 2, "axes": AXES}, "prompt": "continue@2", "count": 40, "refill": refill}
    second = {"params": {"axes": AXES}, "prompt": "paraphrase@2", "count": 12, "refill": refill}
    uses = tuple(
        Use.model_validate({"strategy": name, "prompt_digest": "", **use})
        for name, use in (("expand", first), ("rewrite", second))
    )
    prompts = [shipped()["continue"][2], shipped()["paraphrase"][2]]
    return Calls(RunSpec(seeds="", task=TASK, uses=uses, teacher="fake"), seeds(), prompts)


def test_each_label_seed_and_value_is_asked_for_in_equal_parts() -> None:
    calls = planned()
    whole = added({}, ((call.aims, call.asked, call.asked) for call in calls.range(0, calls.end)))
    parts = {(part.use, part.dimension): Counter[str]() for part in report(whole)}
    for part in report(whole):
        parts[part.use, part.dimension][part.value] = part.asked
    assert parts[0, "label"] == {"refund": 20, "delivery": 20}
    assert set(parts[0, "axis tone"].values()) <= {12, 14} and parts[0, "axis tone"].total() == 40
    assert parts[1, "seed"] == {seed.id: 2 for seed in seeds()}
    assert calls.refill(whole, calls.end) == 0


@settings(deadline=None, max_examples=40)
@given(lost=st.sets(st.integers(0, 31)), rounds=st.integers(1, 3))
def test_refilling_aims_at_what_is_short_and_plans_the_same_calls_again(lost: set[int], rounds: int) -> None:
    calls, again = planned(), planned()
    coverage = added(
        {},
        ((call.aims, call.asked, 0 if n in lost else call.asked) for n, call in enumerate(calls.range(0, calls.end))),
    )
    left = dict(SIZES)
    for round_ in range(rounds):
        first = 256 * (round_ + 1)
        short = {key for use in (0, 1) for key in shortage(coverage, use)}
        assert calls.refill(coverage, first) == again.refill(coverage, first)
        new = list(calls.range(first, calls.end))
        assert calls.count(first, first + 256) == len(new) and calls.count(0, calls.end) == len(calls)
        assert [call.id for call in new] == [call.id for call in again.range(first, again.end)]
        assert all(short & set(call.aims) and not call.asked for call in new)
        for use, next_ in left.items():
            mine = [pick_of(call.id)[1] for call in new if call.use.strategy == USES[use]]
            offered = [number for number in range(next_, 2 * SIZES[use]) if short & set(calls.aims((use, number)))]
            assert mine[:1] == offered[:1] and set(mine) <= set(offered)
            left[use] = mine[-1] + 1 if mine else next_
        coverage = added(coverage, ((call.aims, 0, 1) for call in new))
    every = [call.id for call in calls.range(0, calls.end)]
    assert len(every) == len(set(every)) == len(calls) <= 64


def test_a_use_that_does_not_refill_is_left_as_it_is() -> None:
    calls = planned(refill=False)
    coverage = added({}, ((call.aims, call.asked, 0) for call in calls.range(0, calls.end)))
    assert calls.refill(coverage, 256) == 0
