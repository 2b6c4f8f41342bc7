"""How one use of a strategy is resolved: what of a prompt's parameters stays, and what is refused before it costs."""

from typing import Any

import pytest
from cultivar.example.v1 import example_pb2
from cultivar.generation.v1 import generation_pb2 as pb
from cultivar_generation.checking import MADE_UP
from cultivar_generation.codec import decode_spec, decode_use, prompt_of_use
from cultivar_generation.plan import Calls, RunSpec, candidate
from cultivar_generation.prompts import shipped
from cultivar_generation.strategies import Draft
from cultivar_records import TaskKind, TaskSpec
from cultivar_service.errors import InvalidArgument
from cultivar_service.struct_codec import encode_struct

from tests.seeds import TEXTS, seeds

SORTED = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=(*TEXTS, "other"))
KINDS = {**{kind: task for kind, (task, _) in MADE_UP.items()}, TaskKind.CLASSIFICATION: SORTED}


def resolved(kind: TaskKind, strategy: str, prompt: str, **params: Any) -> RunSpec:
    """A run of one use of a shipped prompt in its newest version."""
    named = f"projects/p/prompts/{prompt}" if prompt else ""
    use = pb.StrategyUse(strategy=strategy, prompt=named, count=12, params=encode_struct(params))
    versions = shipped()[prompt_of_use(use, 0, kind)]
    made = decode_use(use, 0, versions[max(versions)], KINDS[kind])
    return RunSpec(seeds="", task=KINDS[kind], uses=(made,), teacher="fake")


@pytest.mark.parametrize(
    ("kind", "strategy", "prompt", "params", "says"),
    [
        (TaskKind.CLASSIFICATION, "", "style-answer", {}, "changes is answer.*use changes: input"),
        (TaskKind.ENTITIES, "", "style-answer", {}, "changes is answer.*use changes: input"),
        (TaskKind.INSTRUCTION, "", "contrast", {}, "changes is label, which needs a task of the kind classification"),
        (TaskKind.ENTITIES, "", "contrast", {}, "changes is label"),
        (TaskKind.ENTITIES, "", "refine", {}, "loses the spans.*use the strategy expand"),
        (TaskKind.CODE, "", "evolve-deeper", {}, "loses the tests.*use the strategy code"),
        (TaskKind.CLASSIFICATION, "", "by-label", {"guidelines": {"reufnd": "x"}}, "'reufnd'.*refund, delivery, other"),
        (TaskKind.INSTRUCTION, "expand", "pairs", {"guidelines": {"a": "x"}}, r"'a'.*\(its labels: none\)"),
    ],
)
def test_what_no_call_could_give_is_refused_before_any_is_paid_for(
    kind: TaskKind, strategy: str, prompt: str, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidArgument, match=says) as refused:
        resolved(kind, strategy, prompt, **params)
    assert refused.value.field == "spec.strategies[0].params"


def test_a_task_that_sorts_without_labels_is_refused() -> None:
    task = example_pb2.Task(kind=example_pb2.TASK_KIND_CLASSIFICATION)
    uses = [pb.StrategyUse(strategy="expand", count=4)]
    spec = pb.GenerationSpec(seeds="projects/p/artifacts/x", task=task, strategies=uses)
    with pytest.raises(InvalidArgument, match="name the labels that the seeds have") as refused:
        decode_spec("p", spec, {0: shipped()["continue"][2]})
    assert refused.value.field == "spec.task.labels"


@pytest.mark.parametrize("kind", [TaskKind.CLASSIFICATION, TaskKind.ENTITIES])
def test_labels_and_spans_are_rewritten_by_the_prompt_that_keeps_them(kind: TaskKind) -> None:
    own = {TaskKind.ENTITIES: "entities-paraphrase@1"}.get(kind, "paraphrase@2")
    assert resolved(kind, "rewrite", "").uses[0].prompt == own


def test_the_axes_of_a_prompt_stay_when_others_are_given_and_one_that_is_null_goes() -> None:
    more = {"tone": ["calm"]}
    axes = resolved(TaskKind.INSTRUCTION, "", "evolve-deeper", axes=more).uses[0].params["axes"]
    assert axes["tone"] == ["calm"] and len(axes["way_to_make_it_harder"]) == 3
    axes = resolved(TaskKind.INSTRUCTION, "", "evolve-deeper", axes={**more, "way_to_make_it_harder": None})
    assert axes.uses[0].params["axes"] == more
    style = resolved(TaskKind.INSTRUCTION, "", "style-answer", axes=more).uses[0].params["axes"]
    assert style == more


def test_an_answer_can_quote_a_policy_that_is_given() -> None:
    spec = resolved(TaskKind.INSTRUCTION, "", "style-answer", policy="Lamps come back within 14 days.")
    texts = [call.text for call in Calls(spec, [MADE_UP[TaskKind.INSTRUCTION][1]], prompts_of(spec)).range(0, 4)]
    assert all("\n\nThe policy that applies: Lamps come back within 14 days.\n\n" in text for text in texts)
    assert any("quoting the policy that applies" in text for text in texts)
    without = resolved(TaskKind.INSTRUCTION, "", "style-answer")
    texts = [call.text for call in Calls(without, [MADE_UP[TaskKind.INSTRUCTION][1]], prompts_of(without)).range(0, 4)]
    assert not any("The policy that applies:" in text for text in texts)


@pytest.mark.parametrize("prompt", ["by-label", "edge-cases", "continue"])
def test_a_label_without_seeds_is_written_from_its_guideline_and_begins_families(prompt: str) -> None:
    guidelines = {"other": "whatever is neither"}
    spec = resolved(TaskKind.CLASSIFICATION, "expand", prompt, guidelines=guidelines)
    calls = list(Calls(spec, seeds(), prompts_of(spec)).range(0, 3))
    assert [call.plan.variables["label"] for call in calls] == ["refund", "delivery", "other"]
    assert "Examples:\n\n" not in calls[2].text and not calls[2].plan.seeds
    assert "whatever is neither" in calls[2].text or prompt == "continue"
    made = candidate("run", spec, "model", calls[2], 0, Draft("hello", "other"))
    assert (made.label, made.provenance.family, made.provenance.seeds) == ("other", made.id, ())
    assert candidate("run", spec, "model", calls[0], 0, Draft("x", "refund")).provenance.family in {
        seed.id for seed in seeds()
    }


def test_a_label_with_neither_seeds_nor_a_guideline_is_left_out() -> None:
    spec = resolved(TaskKind.CLASSIFICATION, "expand", "by-label")
    labels = [call.plan.variables["label"] for call in Calls(spec, seeds(), prompts_of(spec)).range(0, 3)]
    assert labels == ["refund", "delivery", "refund"]


def prompts_of(spec: RunSpec) -> list[Any]:
    """The prompts of a run's uses."""
    named = (use.prompt.partition("@") for use in spec.uses)
    return [shipped()[name][int(version)] for name, _, version in named]
