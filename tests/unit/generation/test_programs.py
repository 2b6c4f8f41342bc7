"""The programs beyond rewriting and expanding: what each reads, in every form that teachers write."""

from random import Random

import pytest
from cultivar_generation.strategies import STRATEGIES
from cultivar_generation.strategies.answer import Answer, AnswerConfig
from cultivar_generation.strategies.code import Code, CodeConfig
from cultivar_generation.strategies.dialogue import Dialogue, DialogueConfig, read_turns
from cultivar_generation.strategies.documents import Documents, DocumentsConfig
from cultivar_generation.strategies.expand import Expand, ExpandConfig
from cultivar_generation.strategies.marking import mark, unmark
from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.preference import FLAWS, Preference, PreferenceConfig
from cultivar_generation.strategies.protocol import Drafts
from cultivar_generation.strategies.reading import CUT, MORE
from cultivar_generation.strategies.rewrite import Rewrite, RewriteConfig
from cultivar_records import Example, Message, Provenance, Span, TaskKind, TaskSpec, example_id
from hypothesis import given
from hypothesis import strategies as st

FREE = TaskSpec(kind=TaskKind.INSTRUCTION, instruction="")
PROGRAMS = TaskSpec(kind=TaskKind.CODE, instruction="")
PLACES = TaskSpec(kind=TaskKind.ENTITIES, instruction="", labels=("place", "person"))


def seed(text: str, answer: str, task: TaskKind = TaskKind.INSTRUCTION, spans: tuple[Span, ...] = ()) -> Example:
    """A seed of a text and an answer."""
    key = example_id("seeds", text, 0)
    messages = (Message(role="user", content=text), Message(role="assistant", content=answer))
    provenance = Provenance(origin="seed", family=key)
    return Example(id=key, task=task, messages=messages, spans=spans, provenance=provenance)


TREE = seed("Name a tree.", "An oak.")


def answered(answer: str, task: TaskSpec, cut: bool = False) -> Drafts:
    """What the strategy answer reads."""
    plan = Answer().plan(0, Pool([TREE]), task, AnswerConfig(), Random(0))
    return Answer().read(answer, plan, task, AnswerConfig(), cut)


def test_a_response_keeps_the_instruction_and_what_was_said_before() -> None:
    before = (Message(role="system", content="Be brief."), Message(role="user", content="Name a tree."))
    talk = TREE.model_copy(update={"messages": (*before, Message(role="assistant", content=""))})
    plan = Answer().plan(0, Pool([talk]), FREE, AnswerConfig(), Random(0))
    draft = Answer().read("Response: A birch.", plan, FREE, AnswerConfig(), cut=False).good[0]
    assert draft.conversation == (*before, Message(role="assistant", content="A birch."))


def test_a_response_that_was_cut_is_malformed() -> None:
    assert answered("A birch is a tree th", FREE, cut=True).malformed == ["the answer was cut at its greatest length"]


@pytest.mark.parametrize("answer", ["refund", " Refund.", "The label is **refund**", '"refund"'])
def test_a_text_gets_the_label_that_the_answer_names(answer: str) -> None:
    task = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="", labels=("refund", "delivery"))
    assert [draft.answer for draft in answered(answer, task).good] == ["refund"]
    assert answered("refund or delivery", task).malformed == ["the answer names 2 of the task's labels, not one"]


SORTED = TaskSpec(
    kind=TaskKind.CLASSIFICATION,
    instruction="",
    labels=("yes", "no", "age", "refund", "delivery", "card_arrival", "card_arrival_late", "card arrival abroad"),
)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("I do not know", None),
        ("It is a message", None),
        ("not a refund", None),
        ("It isn't really about a refund", None),
        ("It is not a refund but a delivery", "delivery"),
        ("not a refund, delivery", "delivery"),
        ("No", "no"),
        ("card_arrival_late", "card_arrival_late"),
        ("The label is card_arrival_late.", "card_arrival_late"),
        ("The label is card_arrival.", "card_arrival"),
        ("It is of the kind card arrival abroad", "card arrival abroad"),
        ("**Refund**\n\nThe customer says that the delivery was late, so I chose refund.", "refund"),
        ('{"label": "refund"}', "refund"),
        ('```json\n{"label": "Delivery"}\n```', "delivery"),
        ('{"label": "other"}', None),
        ("refund\ndelivery", None),
    ],
)
def test_a_label_is_named_by_whole_words_the_longest_first_and_not_where_it_is_denied(
    answer: str, label: str | None
) -> None:
    drafts = answered(answer, SORTED)
    assert [draft.answer for draft in drafts.good] == ([label] if label else [])
    assert bool(drafts.malformed) is (label is None)


def test_a_label_in_an_answer_that_was_cut_counts_only_in_a_whole_line() -> None:
    assert answered("It is a refund or a deliv", SORTED, cut=True).malformed == [CUT]
    assert [draft.answer for draft in answered("refund\nThe text sa", SORTED, cut=True).good] == ["refund"]


@pytest.mark.parametrize(
    ("strategy", "params", "count"),
    [("expand", {"per_call": 5}, 5), ("documents", {"per_call": 2}, 2), ("dialogue", {"exchanges": 4}, 3)],
)
def test_a_list_that_a_teacher_is_held_to_is_as_long_as_was_asked_for(
    strategy: str, params: dict[str, int], count: int
) -> None:
    config = STRATEGIES[strategy].Config.model_validate(params)
    plan = STRATEGIES[strategy].plan(0, Pool([TREE]), FREE, config, Random(0))
    items = plan.schema["properties"]["items"]
    assert (items["minItems"], items["maxItems"]) == (count, count)


def test_a_teacher_that_takes_schemas_is_asked_for_one_of_the_labels() -> None:
    plan = Answer().plan(0, Pool([TREE]), SORTED, AnswerConfig(), Random(0))
    assert plan.schema["properties"] == {"label": {"type": "string", "enum": list(SORTED.labels)}}
    assert not Answer().plan(0, Pool([TREE]), FREE, AnswerConfig(), Random(0)).schema


TURNS = st.lists(st.text("abc xyz", min_size=1).filter(str.strip), min_size=2, max_size=8)


@given(said=TURNS)
def test_a_conversation_that_is_written_out_is_read_as_it_was(said: list[str]) -> None:
    roles = ["User" if place % 2 == 0 else "Assistant" for place in range(len(said))]
    written = "\n".join(f"{role}: {text}" for role, text in zip(roles, said, strict=True))
    assert [(turn.role, turn.content) for turn in read_turns(written)] == [
        (role.lower(), text.strip()) for role, text in zip(roles, said, strict=True)
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "User: And a flower?\nAssistant: A rose.\nUser: Why?",
        "**User:** And a flower?\n**Assistant:** A rose.",
        "Human: Name a tree.\nAI: An oak.\nHuman: And a flower?\nAI: A rose.",
        '[{"role": "user", "content": "And a flower?"}, {"role": "assistant", "content": "A rose."}]',
        '{"items": [{"user": "And a flower?", "assistant": "A rose."}]}',
    ],
)
def test_a_pair_becomes_a_conversation_of_several_turns(answer: str) -> None:
    config = DialogueConfig()
    plan = Dialogue().plan(0, Pool([TREE]), FREE, config, Random(0))
    draft = Dialogue().read(answer, plan, FREE, config, cut=False).good[0]
    assert [message.content for message in draft.conversation] == [
        "Name a tree.",
        "An oak.",
        "And a flower?",
        "A rose.",
    ]


def test_turns_out_of_order_are_malformed() -> None:
    plan = Dialogue().plan(0, Pool([TREE]), FREE, DialogueConfig(), Random(0))
    drafts = Dialogue().read("Assistant: A rose.\nAssistant: A lily.", plan, FREE, DialogueConfig(), cut=False)
    assert drafts.malformed == ["the turns of the answer do not go from the user to the assistant and back"]


PASSAGE = "The mill was built in 1820 by Ann Hall, who ground oats there until the river fell dry."
PAIRS = [
    "Question: Who built the mill?\nAnswer: Ann Hall\n\nQuestion: When was it built?\nAnswer: in 1820",
    "1. Q: Who built the mill?\n   A: Ann Hall\n2. Q: When was it built?\n   A: in 1820",
    "**Question 1:** Who built the mill?\n**Answer 1:** Ann Hall\n"
    "**Question 2:** When was it built?\n**Answer 2:** in 1820",
    '{"pairs": [{"question": "Who built the mill?", "answer": "Ann Hall"},'
    ' {"question": "When was it built?", "answer": "in 1820"}]}',
]


@pytest.mark.parametrize("answer", PAIRS)
def test_grounded_pairs_keep_their_passage_as_evidence(answer: str) -> None:
    config = DocumentsConfig()
    plan = Documents().plan(0, Pool([seed(PASSAGE, "")]), FREE, config, Random(0))
    drafts = Documents().read(answer, plan, FREE, config, cut=False)
    assert [(draft.text, draft.answer) for draft in drafts.good] == [
        ("Who built the mill?", "Ann Hall"),
        ("When was it built?", "in 1820"),
    ]
    assert {draft.evidence for draft in drafts.good} == {(PASSAGE,)}


def test_an_answer_that_the_passage_does_not_hold_is_malformed() -> None:
    plan = Documents().plan(0, Pool([seed(PASSAGE, "")]), FREE, DocumentsConfig(), Random(0))
    answer = "Question: Who owns it now?\nAnswer: A hotel company from Boston"
    assert Documents().read(answer, plan, FREE, DocumentsConfig(), cut=False).malformed == [
        "an answer says what the passage does not"
    ]
    assert Documents().read(answer, plan, FREE, DocumentsConfig(grounded=0), cut=False).good


@pytest.mark.parametrize(
    ("question", "reply", "held"),
    [
        ("Who built the mill?", "Ann Hall built the mill in 1820.", True),
        ("Who built the mill?", "Ann Ball built the mill there.", False),
        ("When was the mill built?", "The mill was built in 1830.", False),
        ("Was the mill in Wick built in 1820?", "In 1820 the mill was built in Wick.", True),
        ("Did it grind oats?", "Yes", True),
        ("Did it grind wheat?", "No.", True),
        ("Did it grind oats?", "Yes, Ann Hall ground oats there.", True),
        ("Did it grind oats?", "Yes, in Boston the mill ground oats.", False),
        ("Who built the mill?", "Boston", False),
    ],
)
def test_each_number_and_name_of_an_answer_stands_in_the_passage_or_the_question(
    question: str, reply: str, held: bool
) -> None:
    plan = Documents().plan(0, Pool([seed(PASSAGE, "")]), FREE, DocumentsConfig(), Random(0))
    drafts = Documents().read(f"Question: {question}\nAnswer: {reply}", plan, FREE, DocumentsConfig(), cut=False)
    assert bool(drafts.good) is held and bool(drafts.malformed) is not held


def test_pairs_over_what_was_asked_for_and_the_half_of_one_are_counted() -> None:
    config = DocumentsConfig(per_call=1)
    plan = Documents().plan(0, Pool([seed(PASSAGE, "")]), FREE, config, Random(0))
    assert Documents().read(PAIRS[0], plan, FREE, config, cut=False).malformed == [MORE]
    drafts = Documents().read(PAIRS[0], plan, FREE, config, cut=True)
    assert (len(drafts.good), drafts.malformed) == (1, [CUT])


def test_a_pair_for_a_model_that_is_given_passages_has_its_passage_in_the_input() -> None:
    config = DocumentsConfig(with_passage=True)
    plan = Documents().plan(0, Pool([seed(PASSAGE, "")]), FREE, config, Random(0))
    draft = Documents().read(PAIRS[0], plan, FREE, config, cut=False).good[0]
    assert draft.text == f"{PASSAGE}\n\nWho built the mill?"


PROBLEM = """Problem: Double a number.
Solution:
```python
def double(n):
    return 2 * n
```
Tests:
```python
assert double(2) == 4
assert double(0) == 0
```
"""
AS_JSON = (
    '{"problem": "Double a number.", "solution": "def double(n):\\n    return 2 * n",'
    ' "tests": ["assert double(2) == 4", "assert double(0) == 0"]}'
)


@pytest.mark.parametrize("answer", [PROBLEM, PROBLEM.replace("Problem:", "## Problem\n"), AS_JSON])
def test_a_problem_comes_with_its_solution_and_tests_one_by_one(answer: str) -> None:
    plan = Code().plan(0, Pool([seed("Add.", "def add(): ...", TaskKind.CODE)]), PROGRAMS, CodeConfig(), Random(0))
    draft = Code().read(answer, plan, PROGRAMS, CodeConfig(), cut=False).good[0]
    assert (draft.text, draft.answer) == ("Double a number.", "def double(n):\n    return 2 * n")
    assert draft.tests == ("assert double(2) == 4", "assert double(0) == 0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("return 2 * n", "return 2 *"), "the solution of the answer: not Python, in line 2"),
        (("double(2)", "triple(2)"), ""),
        (("Tests:", "Also:"), "the answer has no whole tests"),
    ],
)
def test_what_is_no_program_with_tests_is_malformed_with_its_reason(change: tuple[str, str], reason: str) -> None:
    plan = Code().plan(0, Pool([seed("Add.", "def add(): ...", TaskKind.CODE)]), PROGRAMS, CodeConfig(), Random(0))
    drafts = Code().read(PROBLEM.replace(*change), plan, PROGRAMS, CodeConfig(), cut=False)
    assert drafts.malformed == ([reason] if reason else [])
    other = PROBLEM.replace("double(2)", "triple(2)").replace("double(0)", "triple(0)")
    assert Code().read(other, plan, PROGRAMS, CodeConfig(), cut=False).malformed == [
        "no test of the answer uses what its solution defines"
    ]


def code_of(tests: str, solution: str = "def double(n):\n    return 2 * n") -> Drafts:
    """What the strategy code reads of a solution and its tests."""
    plan = Code().plan(0, Pool([seed("Add.", "def add(): ...", TaskKind.CODE)]), PROGRAMS, CodeConfig(), Random(0))
    answer = f"Problem: Double.\nSolution:\n```python\n{solution}\n```\nTests:\n```python\n{tests}\n```"
    return Code().read(answer, plan, PROGRAMS, CodeConfig(), cut=False)


@pytest.mark.parametrize(
    "tests",
    [
        "print(double(2))",
        "double(2)\nassert True",
        "if __name__ == '__main__':\n    assert double(2) == 4",
        "if False:\n    assert double(2) == 4",
        "double(2)\nraise SystemExit\nassert double(2) == 4",
        "def check():\n    assert double(2) == 4",
        "def test_double(n):\n    assert double(n) == 4",
        "class Test:\n    def test_double(self):\n        assert double(2) == 4",
    ],
)
def test_tests_that_test_nothing_are_malformed(tests: str) -> None:
    assert code_of(tests).malformed == ["the tests of the answer assert nothing when they are run"]


@pytest.mark.parametrize(
    ("tests", "called"),
    [
        ("for n in (1, 2):\n    assert double(n) == 2 * n", ""),
        ("got = double(2)\nassert got == 4", ""),
        ("def test_double():\n    assert double(2) == 4", "\ntest_double()"),
        ("def test_double():\n    assert double(2) == 4\n\ntest_double()", ""),
        ("def check(n):\n    assert double(n) == 2 * n\n\ncheck(2)", ""),
        ("def check():\n    assert double(2) == 4\n\ndef test_it():\n    check()", "\ntest_it()"),
    ],
)
def test_functions_of_tests_that_nothing_calls_are_called(tests: str, called: str) -> None:
    assert ["\n".join(draft.tests) for draft in code_of(tests).good] == [tests + called]


def test_code_shows_seeds_by_a_rule_as_expand_does() -> None:
    pool = Pool(seed(text, "def add(): ...", TaskKind.CODE) for text in ("add two", "add two now", "sort", "sort it"))
    config = CodeConfig(choose="nearest")
    shown = [Code().plan(number, pool, PROGRAMS, config, Random(number)).seeds for number in range(20)]
    assert {frozenset(one.text for one in pair) for pair in shown} == {
        frozenset({"add two", "add two now"}),
        frozenset({"sort", "sort it"}),
    }


def test_a_rejected_answer_stands_beside_the_seeds_own() -> None:
    config = PreferenceConfig()
    plans = [Preference().plan(number, Pool([TREE]), FREE, config, Random(0)) for number in range(len(FLAWS))]
    assert {plan.variables["flaw"] for plan in plans} == set(FLAWS)
    draft = Preference().read("A stone.", plans[0], FREE, config, cut=False).good[0]
    assert (draft.answer, draft.rejected) == ("An oak.", "A stone.")
    assert Preference().read("an oak.", plans[0], FREE, config, cut=False).malformed == [
        "the rejected answer is the chosen one"
    ]


def test_a_teacher_can_write_both_answers() -> None:
    config = PreferenceConfig(chosen="teacher")
    plan = Preference().plan(0, Pool([TREE]), FREE, config, Random(0))
    draft = Preference().read("**Chosen:** A birch.\n**Rejected:** A stone.", plan, FREE, config, cut=False).good[0]
    assert (draft.text, draft.answer, draft.rejected) == ("Name a tree.", "A birch.", "A stone.")


@given(
    parts=st.lists(
        st.tuples(st.text(max_size=8), st.text(min_size=1, max_size=8), st.sampled_from(["place", "person"])),
        max_size=5,
    ),
    tail=st.text(max_size=8),
)
def test_spans_that_are_marked_in_a_text_are_read_back_as_they_were(
    parts: list[tuple[str, str, str]], tail: str
) -> None:
    text, spans = "", []
    for before, surface, label in parts:
        text += before
        spans.append(Span(start=len(text), end=len(text) + len(surface), label=label))
        text += surface
    text += tail
    assert unmark(mark(text, spans)) == (text, tuple(spans))


def test_a_rewritten_sentence_has_spans_where_its_entities_are() -> None:
    oslo = seed("Ann is in Oslo", "", TaskKind.ENTITIES, (Span(start=0, end=3, label="person"),))
    plan = Rewrite().plan(0, Pool([oslo]), PLACES, RewriteConfig(), Random(0))
    assert plan.variables["text"] == "[Ann](person) is in Oslo"
    draft = Rewrite().read("In Oslo there is [Ann](person).", plan, PLACES, RewriteConfig(), cut=False).good[0]
    assert [draft.text[span.start : span.end] for span in draft.spans] == ["Ann"]
    assert draft.answer == "Ann = person"
    lost = Rewrite().read("In Oslo there is Ann.", plan, PLACES, RewriteConfig(), cut=False)
    assert lost.malformed == ["1 of the seed's entities are not marked in the answer"]


OSLO = seed("Ann is in Oslo", "", TaskKind.ENTITIES, (Span(start=0, end=3, label="person"),))
NOBODY = seed("It rains", "none", TaskKind.ENTITIES)


@pytest.mark.parametrize(
    ("answer", "seeds", "reason"),
    [
        ("1. Bob flew to Rome", [OSLO], "no entity of the sentence is marked"),
        ("1. It rained again", [OSLO, NOBODY], ""),
        ("1. Ann met [Bob](person)", [OSLO], "an entity stands in the sentence without its mark"),
        ("1. [Bob](person) saw Bob in the mirror", [OSLO], "an entity stands in the sentence without its mark"),
        ("1. [Bob](person) met Anna", [OSLO], ""),
        ("1. [Ann Hall](person) met [Bob](person)", [OSLO], ""),
        ("1. [Bob](thing) met Anna", [OSLO], "an entity has a label that the task does not have"),
    ],
)
def test_a_sentence_is_kept_only_where_each_of_its_entities_is_marked(
    answer: str, seeds: list[Example], reason: str
) -> None:
    plan = Expand().plan(0, Pool(seeds), PLACES, ExpandConfig(), Random(0))
    drafts = Expand().read(answer, plan, PLACES, ExpandConfig(), cut=False)
    assert drafts.malformed == ([reason] if reason else []) and len(drafts.good) == (not reason)


def test_a_rewritten_sentence_has_no_label_that_the_task_does_not_have() -> None:
    plan = Rewrite().plan(0, Pool([OSLO]), PLACES, RewriteConfig(), Random(0))
    drafts = Rewrite().read("[Ann](person) is in [Oslo](city)", plan, PLACES, RewriteConfig(), cut=False)
    assert drafts.malformed == ["an entity has a label that the task does not have"]
