"""The plan of a round follows from the file alone."""

from typing import Any

import pytest
from cultivar_campaigns.checking import check_config
from cultivar_campaigns.plan import APART_FROM, IMPORTS, comparisons, judged, plan_round
from cultivar_campaigns.store import next_id

from tests.unit.campaigns.test_config import smallest


def keys(**changed: Any) -> list[str]:
    return [step.key for step in plan_round(check_config(smallest(**changed)))]


def test_each_arm_is_made_trained_and_scored_once_for_each_training_seed() -> None:
    found = keys(train={"seeds": [3, 5]})
    assert [key for key in found if key.startswith("train/real/")] == ["train/real/3", "train/real/5"]
    assert [key for key in found if key.startswith("evaluate/real/")] == ["evaluate/real/3", "evaluate/real/5"]
    assert found.count("evaluate/base") == 1
    assert len(set(found)) == len(found)


def test_stages_come_in_the_order_in_which_they_need_each_other() -> None:
    found = keys()
    order = ["import/held_out", "import/seeds", "generate", "filter", "review", "dataset/real_reviewed"]
    order += ["train/real_reviewed/1", "evaluate/real_reviewed/1", "compare", "report"]
    assert [found.index(key) for key in order] == sorted(found.index(key) for key in order)


def test_nothing_is_generated_where_no_arm_wants_it() -> None:
    found = keys(evaluate={"arms": ["base", "real"]})
    assert not {"generate", "filter", "review"} & set(found)


def test_nothing_is_reviewed_where_no_arm_wants_it() -> None:
    found = keys(evaluate={"arms": ["real", "real_synthetic"]})
    assert "filter" in found
    assert "review" not in found


def test_inputs_without_answers_are_filtered_answered_and_filtered_again() -> None:
    task = {"kind": "instruction"}
    data = {"name": "texts", "task": task, "data": {"seeds": "a"}, "answer": {}, "train": False}
    config = check_config(data)
    found = [step.key for step in plan_round(config)]
    assert found == [
        "import/seeds",
        "generate",
        "filter",
        "answer",
        "filter/answers",
        "review",
        "dataset/real_reviewed",
        "report",
    ]
    assert judged(config) == "filter/answers"
    assert judged(check_config(smallest())) == "filter"


def test_every_import_stays_apart_from_held_out_which_is_read_first() -> None:
    assert IMPORTS[0] == "held_out"
    for place, source in enumerate(IMPORTS[1:], 1):
        assert "held_out" in APART_FROM[source]
        assert set(APART_FROM[source]) <= set(IMPORTS[:place])


@pytest.mark.parametrize("arms", [["base", "real"], ["real", "real_synthetic"], ["base"]])
def test_only_arms_that_are_run_are_compared(arms: list[str]) -> None:
    pairs = comparisons(check_config(smallest(evaluate={"arms": arms})))
    assert all({one, other} <= set(arms) for one, other in pairs)
    assert len(pairs) == len(arms) - 1


def test_a_campaign_without_an_id_is_numbered_after_the_largest() -> None:
    assert next_id("support", set()) == "support-1"
    assert next_id("support", {"support-2", "support-x", "other-9", "support-2-old"}) == "support-3"
