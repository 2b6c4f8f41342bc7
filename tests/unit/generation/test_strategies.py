"""What strategies plan, and what they read out of the answers of small teachers."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from cultivar_generation.checking import MADE_UP
from cultivar_generation.plan import Calls, RunSpec, Use, axes_of, sampling_of
from cultivar_generation.prompts import Form, Prompt, shipped
from cultivar_generation.strategies import STRATEGIES, Plan, Pool
from cultivar_generation.strategies.expand import Expand, ExpandConfig
from cultivar_generation.strategies.reading import CUT, HALF, MORE
from cultivar_generation.strategies.rewrite import Rewrite, RewriteConfig
from cultivar_records import Example, Message, TaskKind, TaskSpec
from hypothesis import given
from hypothesis import strategies as st

from tests.seeds import TEXTS, seeds

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=tuple(TEXTS))
FREE = TaskSpec(kind=TaskKind.INSTRUCTION, instruction="")
FORMS: tuple[Form, ...] = ("chat", "continuation")
LIST = Plan(tuple(seeds()[:2]), {"label": "refund"}, form="continuation")
PAIRS = Plan(tuple(seeds()[:2]), {"label": ""}, form="continuation")


def test_labels_take_turns_and_a_prompt_shows_one_label_alone() -> None:
    plans = [Expand().plan(number, Pool(seeds()), TASK, ExpandConfig(shots=2), Random(number)) for number in range(4)]
    assert [plan.variables["label"] for plan in plans] == ["refund", "delivery", "refund", "delivery"]
    assert all({seed.label for seed in plan.seeds} == {plan.variables["label"]} for plan in plans)


@pytest.mark.parametrize("rule", ["random", "nearest", "diverse", "best-reviewed"])
def test_the_same_number_and_generator_plan_the_same_call(rule: str) -> None:
    config = ExpandConfig.model_validate({"choose": rule, "shots": 2})
    first, second = (Expand().plan(5, Pool(seeds()), TASK, config, Random("a")) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (" where is my money\n4. give it back", ["where is my money", "give it back"]),
        ("3. one two\n4) three four\n5: five six", ["one two", "three four", "five six"]),
        (' "quoted text"\n- dashed text', ["quoted text", "dashed text"]),
        ("Here are two more messages:\n1. one two\n2. three four", ["one two", "three four"]),
        ("**1. one two**\n**2.** three four\n3. **five** six", ["one two", "three four", "**five** six"]),
    ],
)
def test_a_list_is_read_item_by_item(answer: str, texts: list[str]) -> None:
    drafts = Expand().read(answer, LIST, TASK, ExpandConfig(), cut=False)
    assert [draft.text for draft in drafts.good] == texts
    assert {draft.answer for draft in drafts.good} == {"refund"}


def read_list(answer: str, form: Form, cut: bool = False, per_call: int = 4) -> tuple[list[str], list[str]]:
    """The texts of a list, and why the rest of the answer is none."""
    drafts = Expand().read(answer, replace(LIST, form=form), TASK, ExpandConfig(per_call=per_call), cut)
    return [draft.text for draft in drafts.good], drafts.malformed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("json", ['["one two", "three four"]', '{"items": [{"text": "one two"}, "three four"]}'])
@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "```\n{}\n```\nI hope this helps!"])
def test_a_list_in_json_is_read_in_a_fence_or_without(form: Form, json: str, around: str) -> None:
    assert read_list(around.format(json), form) == (["one two", "three four"], [])


@pytest.mark.parametrize("lead", ["Here is the JSON:\n", "Sure! Here are three:\n\n```json\n"])
def test_json_after_a_sentence_of_a_chat_model_is_read(lead: str) -> None:
    assert read_list(f'{lead}{{\n  "items": [\n    "one two"\n  ]\n}}', "chat") == (["one two"], [])


@pytest.mark.parametrize(
    "answer",
    [
        *(
            '{"items": ["one',
            "```json\n[",
            '{\n  "items": [\n    "one two",',
            '[\n"one two',
            '```json\n{"a": 1}\n```',
            "{",
        ),
        'Here is the JSON:\n{"items": ["one',
    ],
)
def test_json_that_is_half_or_no_list_gives_no_line_of_it_as_a_candidate(answer: str) -> None:
    assert read_list(answer, "chat") == ([], [HALF])


@pytest.mark.parametrize("answer", ["Certainly!", "Sure! Happy to help.", "Here are three:\n\n```\n```", "Okay:"])
def test_a_politeness_is_no_item_of_a_chat(answer: str) -> None:
    assert read_list(answer, "chat") == ([], ["the answer holds no whole item"])


def test_what_stands_before_the_first_mark_in_a_chat_is_no_item_and_takes_no_place() -> None:
    answer = "I thought of these.\nThey are new.\n1. one two\n2. three four"
    assert read_list(answer, "chat", per_call=2) == (["one two", "three four"], [])
    assert read_list("where is my money\n2. give it back", "continuation")[0] == ["where is my money", "give it back"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "text", ["3.5 mm jack does not fit", "10:30 is too late", 'he said "no"', "-5 degrees", "*so* late"]
)
def test_no_part_of_a_text_is_taken_for_its_mark(form: Form, text: str) -> None:
    assert read_list(text, form) == ([text], [])
    assert read_list(f"1. {text}\n**2.** {text}\n3) '{text}'", form)[0] == [text, text, text]


def test_what_is_over_or_half_is_counted_with_its_reason() -> None:
    assert read_list("1. a b\n2. c d\n3. e f\n4. g h", "chat", per_call=2) == (["a b", "c d"], [MORE, MORE])
    assert read_list("a b\n2. c", "continuation", cut=True) == (["a b"], [CUT])
    drafts = Expand().read(PAIR_ANSWERS[1], PAIRS, FREE, ExpandConfig(per_call=1), cut=False)
    assert (len(drafts.good), drafts.malformed) == (1, [MORE])
    drafts = Expand().read(PAIR_ANSWERS[1], PAIRS, FREE, ExpandConfig(), cut=True)
    assert (len(drafts.good), drafts.malformed) == (1, [CUT])


ITEM_TEXTS = st.lists(
    st.text("ab 1.3:-*()[]{},!?'", min_size=1).map(lambda text: f"x {text} y"), min_size=1, max_size=8
)
LEADS = {"chat": ["", "Certainly!\n\n", "Here are some:\n", "I wrote these.\n\n"], "continuation": ["", "\n"]}


@given(
    st.data(), ITEM_TEXTS, st.sampled_from(FORMS), st.integers(1, 8), st.sampled_from(["{}. ", "{}) ", "- ", "{}: "])
)
def test_every_item_of_a_list_is_a_candidate_or_counted(
    data: st.DataObject, texts: list[str], form: Form, per_call: int, mark: str
) -> None:
    lead = data.draw(st.sampled_from(LEADS[form]))
    lines = [f"{mark.format(number + 1)}{text}" for number, text in enumerate(texts)]
    over = max(0, len(texts) - per_call)
    assert read_list(lead + "\n".join(lines), form, per_call=per_call) == (texts[:per_call], [MORE] * over)


def test_a_lead_alone_is_no_item() -> None:
    for form in FORMS:
        assert read_list("The 4 messages are:", form) == ([], ["the answer holds no whole item"])
    plan = Expand().plan(0, Pool(seeds()), TASK, ExpandConfig(), Random(0))
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
    "**1. Instruction:** Name a fruit.\n**Response:** An apple.\n\n"
    "**Instruction:** Name a tree.\n**Response:** An oak.",
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


@pytest.mark.parametrize("lead", ["Sure, here are two:\n\n", "Certainly!\n"])
def test_a_lead_takes_no_place_of_a_pair(lead: str) -> None:
    plan = replace(PAIRS, form="chat")
    drafts = Expand().read(lead + PAIR_ANSWERS[1], plan, FREE, ExpandConfig(per_call=2), cut=False)
    assert ([draft.text for draft in drafts.good], drafts.malformed) == (["Name a fruit.", "Name a tree."], [])


RESPONSES = [
    "Use sorted(). For example:\nInput: [3, 1]\nOutput: [1, 3]\nQuestion: none",
    "```python\nanswer: int = 3\nresponse: int = 4\n```\nPrint it.",
    'Write it so:\n{"task": "x", "answer": 3}',
    "Choose one:\n1. this\n2. that\n\nIn C#",
]


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("form", FORMS)
def test_a_response_is_whole_whatever_words_code_and_json_it_holds(form: Form, response: str) -> None:
    first = "" if form == "continuation" else "1. Instruction: "
    answer = f"{first}Sort it.\nResponse: {response}\n2. Instruction: Name a tree.\nResponse: An oak."
    drafts = Expand().read(answer, replace(PAIRS, form=form), FREE, ExpandConfig(), cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [
        ("Sort it.", response),
        ("Name a tree.", "An oak."),
    ]
    assert not drafts.malformed


def test_a_continuation_goes_on_in_the_words_of_its_prompt_alone() -> None:
    plan = replace(PAIRS, template=shipped()["continue"][2].template)
    answer = " Sort it.\nResponse: Use sorted().\nInput: [3, 1]\nOutput: [1, 3]\nQuestion: none"
    drafts = Expand().read(answer, plan, FREE, ExpandConfig(), cut=False)
    assert [draft.text for draft in drafts.good] == ["Sort it."] and drafts.good[0].answer.endswith("Question: none")
    other = replace(plan, template="Question: {{ shots[0].text }}\nAnswer: {{ shots[0].answer }}\nQuestion:")
    drafts = Expand().read(" Who?\nAnswer: I.\nQuestion: Why?\nAnswer: So.", other, FREE, ExpandConfig(), cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [("Who?", "I."), ("Why?", "So.")]


LINES = st.lists(st.text("ab 1.3:-()[]{},!?", min_size=1).map(lambda text: f"x {text} y"), min_size=1, max_size=4)
TEXT = LINES.map("\n".join)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.sampled_from(FORMS))
def test_pairs_that_are_written_out_are_read_as_they_were(pairs: list[tuple[str, str]], form: Form) -> None:
    written = "\n".join(f"{n}. Instruction: {text}\nResponse: {answer}" for n, (text, answer) in enumerate(pairs, 4))
    answer = written.removeprefix("4. Instruction:") if form == "continuation" else written
    drafts = Expand().read(answer, replace(PAIRS, form=form), FREE, ExpandConfig(), cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == pairs and not drafts.malformed


def test_code_and_lists_in_the_pairs_of_a_prompt_keep_their_lines() -> None:
    code = "Fix this:\n\ndef f():\n    return 1"
    messages = (Message(role="user", content=code), Message(role="assistant", content="1. Run it.\n2. Read it."))
    seed = MADE_UP[TaskKind.INSTRUCTION][1].model_copy(update={"messages": messages})
    plan = Expand().plan(0, Pool([seed]), FREE, ExpandConfig(), Random(0))
    assert plan.variables["shots"] == [{"text": code, "answer": "1. Run it.\n2. Read it."}]
    assert all(stop.endswith("Instruction:") for stop in plan.stop)
    plan = Expand().plan(0, Pool([seed]), FREE, ExpandConfig(answers="leave"), Random(0))
    assert plan.variables["shots"][0]["text"] == "Fix this: def f(): return 1"


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
    assert not Rewrite().plan(0, Pool([seed]), TASK, RewriteConfig(), Random(0)).stop
    assert Rewrite().plan(0, Pool(seeds()), TASK, RewriteConfig(), Random(0)).stop == ("\n\n",)
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
    plan = Rewrite().plan(0, Pool(seeds()), TASK, config, Random(0))
    draft = Rewrite().read("where is the lamp", plan, TASK, config, cut=False).good[0]
    assert (seeds()[0].label, draft.answer) == ("refund", "delivery")


def test_a_deeper_instruction_comes_with_a_response_of_its_own() -> None:
    config = RewriteConfig(changes="both")
    plan = Rewrite().plan(0, Pool([MADE_UP[TaskKind.INSTRUCTION][1]]), FREE, config, Random(0))
    answer = "### Instruction\nName a tree of the north.\n### Response\nA birch."
    drafts = Rewrite().read(answer, plan, FREE, config, cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [("Name a tree of the north.", "A birch.")]
    assert Rewrite().read("A birch.", plan, FREE, config, cut=False).malformed


def test_a_second_instruction_where_one_was_asked_for_is_counted() -> None:
    config = RewriteConfig(changes="both")
    plan = Rewrite().plan(0, Pool([MADE_UP[TaskKind.INSTRUCTION][1]]), FREE, config, Random(0))
    answer = "Instruction: Name a tree.\nResponse: A birch.\nInstruction: Name a fish.\nResponse: A carp."
    drafts = Rewrite().read(answer, plan, FREE, config, cut=False)
    assert ([draft.answer for draft in drafts.good], drafts.malformed) == (["A birch."], [MORE])


def test_an_answer_in_another_style_keeps_its_input() -> None:
    config, seed = RewriteConfig(changes="answer"), MADE_UP[TaskKind.INSTRUCTION][1]
    plan = Rewrite().plan(0, Pool([seed]), FREE, config, Random(0))
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
    *(
        "Sure! ",
        "Here are three:\n",
        "- ",
        "{",
        '{"items": ["',
        '"]}',
        "]",
        "[Oslo](place)",
        "Oslo",
        "yes",
        " not ",
        "\n\n",
    ),
    *("assert add(1)", "def test_x():\n    ", "def add(a): return a", "3.5", "```\n", '"', "Input: ", "**"),
)
ANSWERS = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(MARKS), max_size=40).map("".join))


VARIANTS: list[tuple[str, dict[str, str]]] = [
    *((name, {}) for name in STRATEGIES),
    *(("rewrite", {"changes": changes}) for changes in ("answer", "both", "label")),
    ("expand", {"answers": "leave"}),
    ("preference", {"chosen": "teacher"}),
]


@given(answer=ANSWERS, cut=st.booleans(), number=st.integers(0, 10), form=st.sampled_from(FORMS))
def test_no_answer_of_a_teacher_breaks_a_strategy_and_none_is_without_outcome(
    answer: str, cut: bool, number: int, form: Form
) -> None:
    for name, params in VARIANTS:
        strategy = STRATEGIES[name]
        config = strategy.Config.model_validate(params)
        for kind in strategy.tasks:
            task, seed = MADE_UP[kind]
            if strategy.check(config, task):
                continue
            plan = replace(strategy.plan(number, Pool([seed]), task, config, Random(number)), form=form)
            drafts = strategy.read(answer, plan, task, config, cut)
            assert drafts.good or drafts.malformed, name
            assert all(draft.text.strip() for draft in drafts.good), name
            assert len(drafts.good) <= strategy.per_call(config), name
            assert kind is not TaskKind.CLASSIFICATION or all(draft.answer in task.labels for draft in drafts.good)
