"""What strategies plan, and what they read out of the answers of small teachers."""

from random import Random

import pytest
from cultivar_generation.strategies import STRATEGIES, Plan
from cultivar_generation.strategies.expand import Expand, ExpandConfig
from cultivar_generation.strategies.rewrite import Rewrite, RewriteConfig
from cultivar_records import TaskKind, TaskSpec
from hypothesis import given
from hypothesis import strategies as st

from tests.seeds import TEXTS, seeds

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=tuple(TEXTS))
FREE = TaskSpec(kind=TaskKind.INSTRUCTION, instruction="")
LIST = Plan(tuple(seeds()[:2]), {"label": "refund"})
PAIRS = Plan(tuple(seeds()[:2]), {"label": ""})


def test_labels_take_turns_and_a_prompt_shows_one_label_alone() -> None:
    plans = [Expand().plan(number, seeds(), TASK, ExpandConfig(shots=2), Random(number)) for number in range(4)]
    assert [plan.variables["label"] for plan in plans] == ["refund", "delivery", "refund", "delivery"]
    assert all({seed.label for seed in plan.seeds} == {plan.variables["label"]} for plan in plans)


def test_the_same_number_and_generator_plan_the_same_call() -> None:
    first, second = (Expand().plan(5, seeds(), TASK, ExpandConfig(), Random("a")) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (" where is my money\n4. give it back", ["where is my money", "give it back"]),
        ("3. one two\n4) three four\n5: five six", ["one two", "three four", "five six"]),
        (' "quoted text"\n- dashed text', ["quoted text", "dashed text"]),
    ],
)
def test_a_list_is_read_item_by_item(answer: str, texts: list[str]) -> None:
    drafts = Expand().read(answer, LIST, TASK, ExpandConfig(), cut=False)
    assert [draft.text for draft in drafts.good] == texts
    assert {draft.answer for draft in drafts.good} == {"refund"}


def test_the_half_thought_at_the_end_of_a_cut_answer_is_dropped() -> None:
    drafts = Expand().read("a whole item\n4. half an it", LIST, TASK, ExpandConfig(), cut=True)
    assert [draft.text for draft in drafts.good] == ["a whole item"]


def test_a_line_that_is_no_item_is_malformed_with_its_reason() -> None:
    drafts = Expand().read("first item\nI hope this helps!", LIST, TASK, ExpandConfig(), cut=False)
    assert len(drafts.good) == 1
    assert drafts.malformed == ["a line is not an item of the list"]


def test_free_instructions_are_read_as_pairs() -> None:
    answer = (
        "Name a fruit.\nResponse: An apple.\n4. Instruction: Name a tree.\nResponse: An oak.\n5. Instruction: Broken"
    )
    drafts = Expand().read(answer, PAIRS, FREE, ExpandConfig(), cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [
        ("Name a fruit.", "An apple."),
        ("Name a tree.", "An oak."),
    ]
    assert len(drafts.malformed) == 1


@pytest.mark.parametrize("answer", ["Here is the message: I want it back", '"I want it back"', " I want it back "])
def test_a_rewriting_is_read_without_lead_and_quotation_marks(answer: str) -> None:
    drafts = Rewrite().read(answer, Plan(tuple(seeds()[:1]), {}), TASK, RewriteConfig(), cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [("I want it back", "refund")]


@given(answer=st.text(max_size=400), cut=st.booleans())
def test_no_answer_of_a_teacher_breaks_a_strategy(answer: str, cut: bool) -> None:
    for name, strategy in STRATEGIES.items():
        for plan, task in ((LIST, TASK), (PAIRS, FREE)):
            drafts = strategy.read(answer, plan, task, strategy.Config.model_validate({}), cut)
            assert drafts.good or drafts.malformed, name
            assert all(draft.text.strip() for draft in drafts.good)
