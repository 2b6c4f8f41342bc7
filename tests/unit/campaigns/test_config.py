"""A campaign file that is wrong is told where, and what to write instead."""

from typing import Any

import pytest
from cultivar_campaigns.checking import check_config
from cultivar_campaigns.config import CampaignConfig
from cultivar_service.errors import InvalidArgument
from pydantic import BaseModel


def smallest(**changed: Any) -> dict[str, Any]:
    """A file that says only what it must."""
    given: dict[str, Any] = {
        "name": "support",
        "goal": {"metric": "accuracy", "target": 0.85, "margin": 0.02},
        "task": {"instruction": "Sort the message."},
        "data": {"seeds": "seeds.jsonl", "held_out": "held_out.jsonl"},
    }
    return {**given, **changed}


def test_ten_lines_are_a_campaign_with_every_default_filled_in() -> None:
    config = check_config(smallest())
    assert config.arms == ("base", "base_with_shots", "real", "real_synthetic", "real_reviewed")
    assert config.generate[0].strategy == "expand"
    assert config.review.by == "person"
    assert check_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"goal": {"metric": "accuracy", "targett": 0.8, "margin": 0}}, "goal.targett: did you mean target?"),
        ({"goal": {"metric": "accuracy", "target": 0.8}}, "goal.margin is required: "),
        ({"goal": {"metric": "accuracy", "target": 3, "margin": 0}}, "goal: target must be 1 at most"),
        ({"generate": [{"strategy": "expand", "cuont": 3}]}, "generate[0].cuont: did you mean count?"),
        ({"data": {"seeds": {"file": "a", "per_lable": 2}, "held_out": "b"}}, "data.seeds.per_lable: did you mean"),
        ({"train": {"lora": {"rnk": 3}}}, "train.lora.rnk: did you mean rank?"),
        ({"whatever": 1}, "whatever is unknown: a campaign file has name, goal,"),
        ({"review": {"by": "stand-in"}}, "review.by is stand-in, which needs data.stand_in"),
        ({"review": {"by": "nobody"}, "evaluate": {"arms": ["real_reviewed"]}}, "review.by is nobody"),
        ({"evaluate": {"arms": ["real_stand_in"]}}, "needs data.stand_in"),
        ({"filter": {"recipe": "default", "filters": [{"filter": "length"}]}}, "filter: give recipe or filters"),
        ({"train": {"seeds": [1, 1]}}, "train: two training seeds are the same"),
        ({"name": "Support Desk"}, "name: "),
        ({"teacher": "a", "teachers": {"b": 1}}, "teacher and teachers are both set"),
        ({"teachers": {"b": 0}}, "teachers.b: "),
        ({"data": {"seeds": {"file": "a", "only_labels": True}, "held_out": "b"}}, "only_labels needs task.labels"),
    ],
)
def test_what_is_wrong_is_named_with_its_path_and_what_to_do(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_config(smallest(**changed))
    assert said in refused.value.message
    assert refused.value.field.startswith("config")


def test_a_misspelt_key_is_named_before_the_required_one_that_it_hides() -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_config(smallest(goal={"metric": "accuracy", "taget": 0.8, "margin": 0.1}))
    assert refused.value.message == "goal.taget: did you mean target?"


def test_an_arm_that_the_data_does_not_allow_is_left_out_unless_it_is_asked_for() -> None:
    assert "real_stand_in" not in check_config(smallest()).arms
    data = {"seeds": "a", "held_out": "b", "stand_in": "c"}
    assert "real_stand_in" in check_config(smallest(data=data)).arms
    assert "real_reviewed" not in check_config(smallest(review={"by": "nobody"})).arms


def of_kind(kind: str, **changed: Any) -> dict[str, Any]:
    """The smallest file for a kind of task, in which nothing is trained."""
    return {"name": "texts", "task": {"kind": kind}, "data": {"seeds": "seeds.jsonl"}, "train": False, **changed}


@pytest.mark.parametrize("kind", ["classification", "entities", "code", "instruction"])
def test_a_file_of_any_kind_that_trains_nothing_needs_neither_a_goal_nor_held_out_rows(kind: str) -> None:
    config = check_config(of_kind(kind))
    assert not config.trains
    assert config.arms == ("real_reviewed",)
    assert check_config(of_kind(kind, review={"by": "nobody"})).arms == ("real_synthetic",)
    assert check_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (of_kind("instruction", review={"by": "stand-in"}, data={"seeds": "a", "stand_in": "b"}), "knows labels alone"),
        (of_kind("code", answer={}), "answer is for tasks of kind instruction, and task.kind is code"),
        (of_kind("instruction", goal={"metric": "accuracy", "target": 0.5, "margin": 0}), "leave goal out"),
        (of_kind("instruction", evaluate={"arms": ["real"]}), "leave evaluate.arms out"),
        (of_kind("instruction", train=True), "train: "),
        (smallest(goal=None), "goal is required"),
        (smallest(data={"seeds": "a"}), "data.held_out is required"),
        (of_kind("poetry"), "task.kind: "),
        (smallest(task={"kind": "code"}), "goal.metric is accuracy, which does not measure a task of kind code"),
        (smallest(goal={"metric": "perplexity", "target": 9, "margin": 1}), "take accuracy or macro_f1"),
        (smallest(goal={"metric": "perplexity", "target": 0.9, "margin": 0}), "no perplexity is below 1"),
        (smallest(goal={"metric": "macro_f1", "target": 0.9, "margin": 1}), "macro_f1 is a share"),
    ],
)
def test_what_a_kind_or_a_file_without_training_cannot_do_is_said(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_config(data)
    assert said in refused.value.message


def test_arms_of_a_task_without_labels_are_measured_by_perplexity() -> None:
    goal = {"metric": "perplexity", "target": 12.5, "margin": 0.5}
    config = check_config(smallest(task={"kind": "instruction"}, goal=goal))
    assert config.trains
    assert config.arms == ("base", "base_with_shots", "real", "real_synthetic", "real_reviewed")


def test_every_field_of_the_file_has_its_sentence() -> None:
    def fields(model: type[BaseModel], path: str) -> list[str]:
        from cultivar_campaigns.checking import model_in

        missing = []
        for name, field in model.model_fields.items():
            inner = model_in(field.annotation)
            missing += [f"{path}{name}"] if not (field.description or "").endswith((".", "none.")) else []
            missing += fields(inner, f"{path}{name}.") if inner is not None else []
        return missing

    assert fields(CampaignConfig, "") == []
