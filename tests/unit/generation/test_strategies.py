"""What strategies plan, and what they read out of the answers of small teachers."""

from collections import Counter
from random import Random

import pytest
from cultivar_generation.checking import MADE_UP
from cultivar_generation.plan import Calls, RunSpec, Use, axes_of, sampling_of
from cultivar_generation.prompts import Form, Prompt
from cultivar_generation.strategies import STRATEGIES, Plan
from cultivar_generation.strategies.choosing import alike, choose
from cultivar_generation.strategies.expand import Expand, ExpandConfig
from cultivar_generation.strategies.rewrite import Rewrite, RewriteConfig
from cultivar_records import Example, Message, Score, TaskKind, TaskSpec
from hypothesis import given
from hypothesis import strategies as st

from tests.seeds import TEXTS, seeds

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=tuple(TEXTS))
FREE = TaskSpec(kind=TaskKind.INSTRUCTION, instruction="")
FORMS: tuple[Form, ...] = ("chat", "continuation")
LIST = Plan(tuple(seeds()[:2]), {"label": "refund"})
PAIRS = Plan(tuple(seeds()[:2]), {"label": ""})


def test_labels_take_turns_and_a_prompt_shows_one_label_alone() -> None:
    plans = [Expand().plan(number, seeds(), TASK, ExpandConfig(shots=2), Random(number)) for number in range(4)]
    assert [plan.variables["label"] for plan in plans] == ["refund", "delivery", "refund", "delivery"]
    assert all({seed.label for seed in plan.seeds} == {plan.variables["label"]} for plan in plans)


@pytest.mark.parametrize("rule", ["random", "nearest", "diverse", "best-reviewed"])
def test_the_same_number_and_generator_plan_the_same_call(rule: str) -> None:
    config = ExpandConfig.model_validate({"choose": rule, "shots": 2})
    first, second = (Expand().plan(5, seeds(), TASK, config, Random("a")) for _ in range(2))
    assert first == second


@given(number=st.integers(0, 1000))
def test_the_nearest_seeds_are_more_alike_than_the_most_diverse(number: int) -> None:
    pool = seeds()
    near, far = (choose(rule, pool, 2, Random(number)) for rule in ("nearest", "diverse"))
    assert alike(near[0], near[1]) >= alike(far[0], far[1])
    assert len({seed.id for seed in (*choose("diverse", pool, 4, Random(number)),)}) == 4


@given(st.lists(st.none() | st.integers(1, 5), min_size=4, max_size=40), st.integers(1, 8), st.integers(0, 1000))
def test_the_best_reviewed_seeds_are_shown_before_others_and_those_without_a_score_last(
    scores: list[int | None], count: int, number: int
) -> None:
    pool = [reviewed(seed, score) for seed, score in zip(seeds(10), scores, strict=False)]
    shown = choose("best-reviewed", pool, count, Random(number))
    ranks = [seed.provenance.mean_score or 0 for seed in shown]
    assert sorted(ranks) == sorted((score or 0 for score in scores), reverse=True)[: len(shown)][::-1]
    assert len({seed.id for seed in shown}) == len(shown) == min(count, len(pool))
    if count < len(pool):
        assert ranks == sorted(ranks)


def reviewed(seed: Example, score: int | None) -> Example:
    """A seed with one score in each of two criteria, or with none."""
    scores = () if score is None else tuple(Score(criterion=name, score=score) for name in ("accuracy", "tone"))
    return seed.model_copy(update={"provenance": seed.provenance.model_copy(update={"scores": scores})})


def test_equally_reviewed_seeds_take_turns() -> None:
    pool = [reviewed(seed, 5 if place < 5 else 2) for place, seed in enumerate(seeds(5))]
    shown = {seed.id for number in range(40) for seed in choose("best-reviewed", pool, 2, Random(number))}
    assert shown == {seed.id for seed in pool[:5]}


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (" where is my money\n4. give it back", ["where is my money", "give it back"]),
        ("3. one two\n4) three four\n5: five six", ["one two", "three four", "five six"]),
        (' "quoted text"\n- dashed text', ["quoted text", "dashed text"]),
        ("Here are two more messages:\n1. one two\n2. three four", ["one two", "three four"]),
    ],
)
def test_a_list_is_read_item_by_item(answer: str, texts: list[str]) -> None:
    drafts = Expand().read(answer, LIST, TASK, ExpandConfig(), cut=False)
    assert [draft.text for draft in drafts.good] == texts
    assert {draft.answer for draft in drafts.good} == {"refund"}


def test_a_lead_alone_is_no_item() -> None:
    assert Expand().read("The 4 messages are:", LIST, TASK, ExpandConfig(), cut=False).malformed
    plan = Expand().plan(0, seeds(), TASK, ExpandConfig(), Random(0))
    assert "\n\n" in plan.stop


def test_the_half_thought_at_the_end_of_a_cut_answer_is_dropped() -> None:
    drafts = Expand().read("a whole item\n4. half an it", LIST, TASK, ExpandConfig(), cut=True)
    assert [draft.text for draft in drafts.good] == ["a whole item"]


def test_a_line_that_is_no_item_is_malformed_with_its_reason() -> None:
    drafts = Expand().read("first item\nI hope this helps!", LIST, TASK, ExpandConfig(), cut=False)
    assert len(drafts.good) == 1
    assert drafts.malformed == ["a line is not an item of the list"]


PAIR_ANSWERS = [
    "Name a fruit.\nResponse: An apple.\n4. Instruction: Name a tree.\nResponse: An oak.",
    "1. Instruction: Name a fruit.\nResponse: An apple.\n2. Instruction: Name a tree.\nResponse: An oak.",
    "**Instruction:** Name a fruit.\n**Response:** An apple.\n\n**Instruction:** Name a tree.\n**Response:** An oak.",
    '```json\n[{"instruction": "Name a fruit.", "response": "An apple."},'
    ' {"instruction": "Name a tree.", "output": "An oak."},]\n```',
]


@pytest.mark.parametrize("answer", PAIR_ANSWERS)
def test_instructions_are_read_as_pairs_however_they_are_marked(answer: str) -> None:
    drafts = Expand().read(answer, PAIRS, FREE, ExpandConfig(), cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [
        ("Name a fruit.", "An apple."),
        ("Name a tree.", "An oak."),
    ]


def test_a_broken_pair_is_malformed_and_the_others_are_kept() -> None:
    drafts = Expand().read(PAIR_ANSWERS[0] + "\n5. Instruction: Broken", PAIRS, FREE, ExpandConfig(), cut=False)
    assert len(drafts.good) == 2
    assert drafts.malformed == ["an item has no instruction or no response"]


def test_instructions_can_be_left_for_the_strategy_answer() -> None:
    config = ExpandConfig(answers="leave")
    drafts = Expand().read("1. Name a fruit.\n2. Name a tree.", PAIRS, FREE, config, cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [("Name a fruit.", ""), ("Name a tree.", "")]


@pytest.mark.parametrize(
    "answer",
    [
        *('"I want it back"', " I want it back ", "“I want it back”", "Paraphrase: I want it back"),
        "Here is the rewritten message: I want it back",
        "Here is the message:\n\nI want it back",
        "Certainly! Here's the rewritten message:\n\n“I want it back”\n\nLet me know if you need more.",
        "Sure!\n\nHere is one:\nI want it back",
    ],
)
def test_a_rewriting_is_read_without_lead_and_quotation_marks(answer: str) -> None:
    assert rewritten(answer) == [("I want it back", "refund")]


@pytest.mark.parametrize(
    "answer",
    [
        "Here is my problem: the lamp broke",
        "Sure thing, but when will it arrive: Monday or Tuesday?",
        'I said "give it back" and he said "no"',
        "Answers: none came",
    ],
)
def test_a_sentence_that_looks_like_a_lead_is_kept_whole(answer: str) -> None:
    assert rewritten(answer) == [(answer, "refund")]


def rewritten(answer: str, seed: Example = seeds()[0]) -> list[tuple[str, str]]:
    """Texts and labels that are read out of a rewriting."""
    drafts = Rewrite().read(answer, Plan((seed,), {}), TASK, RewriteConfig(), cut=False)
    return [(draft.text, draft.answer) for draft in drafts.good]


def test_an_input_of_several_paragraphs_is_rewritten_whole() -> None:
    mail = "Hello,\n\nI want it back.\n\nLet me know when you have it."
    messages = (Message(role="user", content=mail), Message(role="assistant", content="refund"))
    seed = seeds()[0].model_copy(update={"messages": messages})
    assert not Rewrite().plan(0, [seed], TASK, RewriteConfig(), Random(0)).stop
    assert Rewrite().plan(0, seeds(), TASK, RewriteConfig(), Random(0)).stop == ("\n\n",)
    assert rewritten(mail, seed) == [(mail, "refund")]


@pytest.mark.parametrize("strategy", ["rewrite", "expand", "answer"])
def test_no_answer_in_chat_is_ended_by_a_line(strategy: str) -> None:
    use = {"strategy": strategy, "params": {}, "prompt": "p@1", "prompt_digest": "", "count": 1}
    spec = RunSpec(seeds="", task=TASK, uses=(Use.model_validate(use),), teacher="fake")
    stops = {
        form: sampling_of(next(Calls(spec, seeds(), [prompt]).range(0, 1)), 0, 1, 9).stop
        for form, prompt in ((form, Prompt("p", 1, form, "x", "")) for form in FORMS)
    }
    assert stops["continuation"] and not stops["chat"]


def test_a_contrast_has_another_label_than_its_seed() -> None:
    config = RewriteConfig(changes="label")
    plan = Rewrite().plan(0, seeds(), TASK, config, Random(0))
    draft = Rewrite().read("where is the lamp", plan, TASK, config, cut=False).good[0]
    assert (seeds()[0].label, draft.answer) == ("refund", "delivery")


def test_a_deeper_instruction_comes_with_a_response_of_its_own() -> None:
    config = RewriteConfig(changes="both")
    plan = Rewrite().plan(0, [MADE_UP[TaskKind.INSTRUCTION][1]], FREE, config, Random(0))
    answer = "### Instruction\nName a tree of the north.\n### Response\nA birch."
    drafts = Rewrite().read(answer, plan, FREE, config, cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [("Name a tree of the north.", "A birch.")]
    assert Rewrite().read("A birch.", plan, FREE, config, cut=False).malformed


def test_an_answer_in_another_style_keeps_its_input() -> None:
    config, seed = RewriteConfig(changes="answer"), MADE_UP[TaskKind.INSTRUCTION][1]
    plan = Rewrite().plan(0, [seed], FREE, config, Random(0))
    draft = Rewrite().read("It would be an oak.", plan, FREE, config, cut=False).good[0]
    assert (draft.text, draft.answer) == (seed.text, "It would be an oak.")


@given(values=st.lists(st.integers(), min_size=1, max_size=7, unique=True), blocks=st.integers(1, 5), key=st.text())
def test_each_value_of_an_axis_comes_equally_often(values: list[int], blocks: int, key: str) -> None:
    config = RewriteConfig(axes={"tone": tuple(map(str, values)), "length": ("short", "long")})
    drawn = [axes_of(config, key, number) for number in range(blocks * len(values))]
    assert set(Counter(axes["tone"] for axes in drawn).values()) == {blocks}
    lengths = Counter(axes["length"] for axes in drawn)
    assert abs(lengths["short"] - lengths["long"]) <= 1


MARKS = (
    *("User: ", "Assistant: ", "Question: ", "Answer: ", "**Problem:**", "Solution:", "Tests:", "```python\n", "```"),
    *("Chosen: ", "Rejected: ", "1. ", "Instruction: ", "Response: ", '{"question": ', "[", "](", ")", "x", "\n"),
)
ANSWERS = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(MARKS), max_size=40).map("".join))


@given(answer=ANSWERS, cut=st.booleans(), number=st.integers(0, 10))
def test_no_answer_of_a_teacher_breaks_a_strategy_and_none_is_without_outcome(
    answer: str, cut: bool, number: int
) -> None:
    for name, strategy in STRATEGIES.items():
        for kind in strategy.tasks:
            task, seed = MADE_UP[kind]
            config = strategy.Config.model_validate({})
            plan = strategy.plan(number, [seed], task, config, Random(number))
            drafts = strategy.read(answer, plan, task, config, cut)
            assert drafts.good or drafts.malformed, name
            assert all(draft.text.strip() for draft in drafts.good), name
