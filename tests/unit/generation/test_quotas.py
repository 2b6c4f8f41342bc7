"""Quotas: who gets how many of the calls, the same whenever a run goes on, and what cannot be had."""

from collections import Counter
from typing import Any

import pytest
from cultivar_generation.coverage import added, report, shortage
from cultivar_generation.made_up import made_up_seeds
from cultivar_generation.plan import Calls, RunSpec, Use
from cultivar_generation.prompts import shipped
from cultivar_generation.quotas import check_quotas, check_seeds
from cultivar_generation.strategies import STRATEGIES, Pool
from cultivar_records import TaskKind, TaskSpec
from cultivar_service.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st

LABELS = ("refund", "delivery", "invoice", "password")
TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=LABELS)
SEEDS = made_up_seeds(TASK, 3)
TONES = ["formal", "casual", "curt"]
PROMPTS = {"expand": shipped()["by-label"][1], "rewrite": shipped()["contrast"][1]}


def planned(strategy: str, count: int, **params: Any) -> Calls:
    """The calls of one use, as they are planned when its spec is read from its row."""
    config = STRATEGIES[strategy].Config.model_validate(params).model_dump(mode="json")
    use = Use(strategy=strategy, params=config, prompt="p@1", prompt_digest="", count=count, refill=True)
    spec = RunSpec(seeds="", task=TASK, uses=(use,), teacher="fake")
    return Calls(RunSpec.model_validate(spec.model_dump(mode="json")), SEEDS, [PROMPTS[strategy]])


def asked(calls: Calls, dimension: str) -> Counter[str]:
    """What is asked for of each value of a dimension, calls of refilling left out."""
    lines = report(added({}, ((call.aims, call.asked, 0) for call in calls.range(0, len(calls)))))
    return Counter({line.value: line.asked for line in lines if line.dimension == dimension})


counts = st.integers(1, 400)
label_quotas = st.dictionaries(st.sampled_from(LABELS[:3]), st.integers(0, 120), max_size=3)


@settings(deadline=None, max_examples=60)
@given(quotas=label_quotas, more=counts, per_call=st.integers(1, 6))
def test_each_label_gets_its_quota_and_the_others_share_the_rest(
    quotas: dict[str, int], more: int, per_call: int
) -> None:
    count = sum(quotas.values()) + more
    calls = planned("expand", count, quotas={"label": quotas}, per_call=per_call, shots=2)
    found = asked(calls, "label")
    assert found.total() == count and all(found[label] == wanted for label, wanted in quotas.items())
    rest = [found[label] for label in LABELS if label not in quotas]
    assert max(rest) - min(rest) <= per_call
    assert all(call.plan.seeds[0].label == call.plan.variables["label"] for call in calls.range(0, len(calls)))


@settings(deadline=None, max_examples=30)
@given(quotas=label_quotas, more=counts)
def test_a_changed_label_is_the_one_that_the_quotas_ask_for(quotas: dict[str, int], more: int) -> None:
    calls = planned("rewrite", sum(quotas.values()) + more, changes="label", quotas={"label": quotas})
    made = list(calls.range(0, len(calls)))
    assert all(asked(calls, "label")[label] == wanted for label, wanted in quotas.items())
    assert all(call.plan.seeds[0].label != call.plan.variables["label"] for call in made)
    assert all(
        call.plan.variables["task"] == TASK and f'"{call.plan.variables["other"]}"' in call.text for call in made
    )


@settings(deadline=None, max_examples=30)
@given(quotas=st.dictionaries(st.sampled_from([seed.id for seed in SEEDS[:5]]), st.integers(0, 30)), more=counts)
def test_each_seed_gets_its_quota_and_the_others_share_the_rest(quotas: dict[str, int], more: int) -> None:
    calls = planned("rewrite", sum(quotas.values()) + more, quotas={"seed": quotas})
    found = asked(calls, "seed")
    assert all(found[seed] == wanted for seed, wanted in quotas.items())
    rest = [found[seed.id] for seed in SEEDS if seed.id not in quotas]
    assert max(rest) - min(rest) <= 1


@settings(deadline=None, max_examples=60)
@given(shares=st.dictionaries(st.sampled_from(TONES), st.integers(0, 40), min_size=1), count=counts)
def test_each_value_of_an_axis_gets_its_share_whole_block_by_whole_block(shares: dict[str, int], count: int) -> None:
    weights = {tone: shares.get(tone, 1) for tone in TONES}
    if not sum(weights.values()):
        return
    calls = planned("rewrite", count, axes={"tone": TONES, "size": ["s", "m"]}, quotas={"tone": shares})
    made = [call.axes["tone"] for call in calls.range(0, count)]
    block = sum(weights.values())
    for start in range(0, count - block + 1, block):
        assert Counter(made[start : start + block]) == Counter(
            {tone: weight for tone, weight in weights.items() if weight}
        )
    found = Counter(made)
    assert all(abs(found[tone] - count * weight / block) <= 3 for tone, weight in weights.items())
    sizes = Counter(call.axes["size"] for call in calls.range(0, count))
    assert abs(sizes["s"] - sizes["m"]) <= 1


@settings(deadline=None, max_examples=30)
@given(count=counts, start=st.integers(0, 400), per_call=st.integers(1, 6))
def test_a_run_that_goes_on_plans_the_same_calls(count: int, start: int, per_call: int) -> None:
    params = {
        "quotas": {"label": {"refund": count // 2}, "tone": {"formal": 3}},
        "axes": {"tone": TONES},
        "per_call": per_call,
    }
    whole, again = planned("expand", count, **params), planned("expand", count, **params)
    assert list(again.range(start, len(again))) == list(whole.range(0, len(whole)))[start:]


@settings(deadline=None, max_examples=30)
@given(count=counts, per_call=st.integers(1, 8))
def test_no_more_candidates_are_asked_for_than_counted_and_none_is_kept_beyond(count: int, per_call: int) -> None:
    calls = planned("expand", count, per_call=per_call, shots=2)
    made = list(calls.range(0, len(calls)))
    assert sum(call.asked for call in made) == count and all(call.asked == call.most for call in made)
    assert all(f"Write {call.most} different" in call.text for call in made)
    listed = "\n".join(f"{number}. a new one" for number in range(1, 20))
    assert sum(len(calls.read(call, listed, False)[0]) for call in made) == count


def test_refilling_asks_for_what_is_short_of_a_quota() -> None:
    calls = planned("rewrite", 40, quotas={"label": {"refund": 25, "delivery": 1}})
    lost = {"refund"}
    coverage = added(
        {},
        (
            (call.aims, call.asked, 0 if call.plan.variables["label"] in lost else 1)
            for call in calls.range(0, len(calls))
        ),
    )
    assert sum(shortage(coverage, 0)[key] for key in shortage(coverage, 0) if "label" in key) == 25
    assert calls.refill(coverage, 256) == 25
    assert {call.plan.variables["label"] for call in calls.range(256, calls.end)} == {"refund"}


def test_the_coverage_says_what_quotas_want_even_of_what_was_never_asked_for() -> None:
    config = {"axes": {"tone": TONES}, "quotas": {"label": {"refund": 20}, "tone": {"formal": 3}}}
    use = Use(strategy="rewrite", params=config, prompt="p@1", prompt_digest="", count=50)
    spec = RunSpec(seeds="", task=TASK, uses=(use,), teacher="fake")
    lines = report({"0\naxis tone\nformal": [10, 9], "0\nlabel\ndelivery": [10, 9]}, spec.wanted)
    assert [(line.dimension, line.value, line.asked, line.made, line.wanted) for line in lines] == [
        ("axis tone", "casual", 0, 0, 10),
        ("axis tone", "curt", 0, 0, 10),
        ("axis tone", "formal", 10, 9, 30),
        ("label", "delivery", 10, 9, 0),
        ("label", "refund", 0, 0, 20),
    ]


@pytest.mark.parametrize(
    ("strategy", "quotas", "field", "says"),
    [
        ("expand", {"label": {"refnd": 3}}, "label.refnd", "did you mean 'refund'"),
        ("expand", {"tune": {"formal": 3}}, "tune", "did you mean 'tone'"),
        ("expand", {"tone": {"formall": 3}}, "tone.formall", "did you mean 'formal'"),
        ("expand", {"tone": dict.fromkeys(TONES, 0)}, "tone", "more than 0"),
        ("expand", {"label": {"refund": 90, "delivery": 90}}, "label", "asks for 180 candidates, and count for 100"),
        ("expand", {"label": dict.fromkeys(LABELS, 5)}, "label", "give both the same"),
        ("expand", {"label": {"refund": 9}, "seed": {"x": 9}}, "label", "not to both"),
        ("answer", {"label": {"refund": 9}}, "label", "no label is chosen"),
        ("rewrite", {"seed": {"x": 9}}, "seed.x", "none of this id"),
        ("rewrite", {"label": {"password": 9}}, "label.password", "no seed can give this label"),
    ],
)
def test_a_quota_of_what_there_is_not_is_refused_with_its_field(
    strategy: str, quotas: dict[str, Any], field: str, says: str
) -> None:
    config = STRATEGIES[strategy].Config.model_validate({"axes": {"tone": TONES}, "quotas": quotas})
    with pytest.raises(InvalidArgument, match=says) as refused:
        check_quotas(config, STRATEGIES[strategy], TASK, 100, "params")
        check_seeds(config, Pool(seed for seed in SEEDS if seed.label != "password"), "params")
    assert refused.value.field == f"params.quotas.{field}"
