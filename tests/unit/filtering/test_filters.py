"""Each filter on short messages: what it rejects, and what it must leave alone."""

import json
import random
from pathlib import Path

import pytest
from cultivar_filtering.filters import FILTERS, Given
from cultivar_filtering.recipes import RECIPES
from cultivar_filtering.sieve import Outcome, Sieve
from cultivar_records import Example, Message, Role, Span, TaskSpec
from pydantic import ValidationError

from tests.unit.filtering.made import CODE, ENTITIES, INSTRUCTION, TASK, made, opinion, reason, seed

SUPPORT = Path(__file__).parents[3] / "examples" / "support"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refund", "too_few_words"),
        ("", "too_few_words"),
        ("!!! ???", "too_few_words"),
        ("a b", "too_few_characters"),
        ("where parcel", ""),
        ("word " * 401, "too_many_words"),
        ("extraordinarily " * 300, "too_many_characters"),
        ("包裹在哪里", ""),
    ],
)
def test_length_bounds_words_and_characters(text: str, expected: str) -> None:
    assert reason("length", made(text)) == expected


def test_length_bounds_free_answers_but_not_labels() -> None:
    asked = made("Name three colours.", "red", task=INSTRUCTION)
    assert reason("length", asked, min_answer_words=3) == "answer_too_short"
    assert reason("length", made("where is it"), min_answer_words=3) == ""


@pytest.mark.parametrize(
    "params",
    [{"min_words": 9, "max_words": 3}, {"min_wordz": 1}, {"max_words": float("nan")}, {"min_words": -1}],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        FILTERS["length"].Config.model_validate(params)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dfgh dfjkgh sdkfjh skdjfh", "no_vowels"),
        ("12 34 56 78 90", "few_letters"),
        ("my par\ufffd\ufffdcel is late", "unknown_characters"),
        ("heeeeeeeeeeeeeelp me", "character_run"),
        ("a" + "bo" * 20, "long_words"),
        ("WTF where is it", ""),
        ("pls rfnd thx", ""),
        ("我的包裹在哪里", ""),
        ("où est mon colis ?", ""),
    ],
)
def test_nonsense_is_told_from_hurried_and_foreign_writing(text: str, expected: str) -> None:
    assert reason("nonsense", made(text)) == expected


def test_characters_unlike_the_seeds_are_rejected_only_where_the_seeds_say_enough() -> None:
    rows = [json.loads(line) for line in (SUPPORT / "seeds.jsonl").read_text().splitlines()]
    seeds = [seed(row["text"]) for row in rows]
    noise = made("qwop zuxi avrek ulsnat ibtuv")
    said = opinion("nonsense", noise, Given(TASK, seeds))
    assert (said.reason, (said.score or 0) > 5) == ("unlike_seeds", True)
    assert reason("nonsense", noise, Given(TASK, seeds[:3])) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("please please please please please", "few_distinct_words"),
        ("I want my money back. I want my money back. I want my money back.", "few_distinct_words"),
        ("where is my parcel please where is my parcel please", "duplicate_5_gram_characters"),
        ("no no no!", ""),
        ("You lot promised next day. I paid EXTRA for next day. It's day four.", ""),
        ("Two months. Two months to pay back 25 pounds.", ""),
        ("it broke\nit broke\nit broke\nwhat now", "duplicate_lines"),
    ],
)
def test_repetition_rejects_loops_and_leaves_emphasis(text: str, expected: str) -> None:
    assert reason("repetition", made(text)) == expected


def test_a_pair_of_words_that_fills_a_long_text_is_rejected_and_the_scale_allows_more() -> None:
    text = " ".join(f"customer service {chr(letter)}" for letter in range(ord("a"), ord("u")))
    assert reason("repetition", made(text)) == "top_2_gram_characters"
    assert reason("repetition", made(text), scale=10) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3. my parcel is late", "list_mark"),
        ("12) my parcel is late", "list_mark"),
        ("- my parcel is late", "list_mark"),
        ("10:30 and still nobody here", ""),
        ("3.5 kilos of soap were missing", ""),
        ("-20% was promised", ""),
        ("Message: my parcel is late", "template_debris"),
        ("my parcel is late\nIntent: delivery", "template_debris"),
        ("my message: it is late", ""),
        ('Messages of the kind "refund": my money', "template_debris"),
        ("{{ text }} is late", "template_debris"),
        ("<|im_start|>user my parcel is late", "role_token"),
        ("[INST] my parcel is late [/INST]", "role_token"),
        ("my parcel is late\nAssistant: which one?", "role_token"),
        ("your assistant: unhelpful", ""),
        ("Hello, I am [Your Name] and my parcel is late", "placeholder"),
        ("my order <order number> is late", "placeholder"),
        ("the label says [fragile] and they threw it", ""),
        ("Sure, here is the rewritten message: it is late", "assistant_talk"),
        ("As an AI language model, I cannot", "assistant_talk"),
        ("Here are three examples of messages: it is late", "assistant_talk"),
        ("Sure hope you can help me here", ""),
        ("refund, delivery", "label_list"),
        ("Refund", "label_list"),
        ("refund or delivery", ""),
        ("   ", "no_text"),
    ],
)
def test_format_finds_remains_of_prompts_in_messages(text: str, expected: str) -> None:
    assert reason("format", made(text)) == expected


def test_inputs_that_are_answered_later_need_no_answer_and_are_checked_for_the_rest() -> None:
    given = Given(INSTRUCTION)
    assert reason("format", made("Name one tree.", "", task=INSTRUCTION), given, answered=False) == ""
    assert reason("format", made("1. Name one tree.", "", task=INSTRUCTION), given, answered=False) == "list_mark"
    assert reason("nonsense", made("Name one tree.", "", task=INSTRUCTION), given) == ""
    (judged,) = Sieve(RECIPES["instructions"].uses, given).judge([made("Name one tree.", "", task=INSTRUCTION)])
    assert all(verdict.keep for verdict in judged.verdicts)


def test_format_looks_for_what_the_task_needs() -> None:
    assert reason("format", made("where is it", "weather")) == "label_unknown"
    assert reason("format", made("Add two numbers.", "def add(): ...", task=CODE), Given(CODE)) == "no_tests"
    solved = made("Add two numbers.", "```python\nadd = sum\n", task=CODE, tests=("assert add([1]) == 1",))
    assert reason("format", solved, Given(CODE)) == "open_fence"
    assert reason("format", made("where is it"), Given(CODE)) == "other_task"


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ((Span(start=8, end=14, label="place"),), ""),
        ((Span(start=8, end=14, label="person"),), "span_label_unknown"),
        ((Span(start=7, end=14, label="place"),), "span_edges"),
        ((Span(start=8, end=14, label="place"), Span(start=8, end=10, label="place")), "spans_overlap"),
    ],
)
def test_format_checks_spans(spans: tuple[Span, ...], expected: str) -> None:
    assert reason("format", made("I go to Berlin", "", task=ENTITIES, spans=spans), Given(ENTITIES)) == expected


def test_answers_to_instructions_may_be_lists_but_hold_no_role_tokens() -> None:
    given = Given(INSTRUCTION)
    assert reason("format", made("Name two colours.", "1. red\n2. blue", task=INSTRUCTION), given) == ""
    assert reason("format", made("Name one.", "red<|im_end|>", task=INSTRUCTION), given) == "role_token"
    assert reason("format", made("Name one.", " ", task=INSTRUCTION), given) == "no_answer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>The user wants a colour.</think> red", "reasoning_mark"),
        ("The user wants a colour.\n</think>\n\nred", "reasoning_mark"),
        ("[THINK]a colour[/THINK] red", "reasoning_mark"),
        ("red<|eot_id|>", "role_token"),
        ("red<|reserved_special_token_7|>", "role_token"),
        ("red<｜end▁of▁sentence｜>", "role_token"),
        ("red<end_of_turn>", "role_token"),
        ("red [/INST]", "role_token"),
        ("red\n### Instruction:\nName another.", "template_debris"),
        ("red\n### Human: and another", "template_debris"),
        ("I think that red is one, for a < b and b > c", ""),
        ("Use the pipe: a |> b <|> c", ""),
        ("### Human rights\n\nThey are for all.", ""),
    ],
)
def test_marks_of_thoughts_and_turns_are_found_in_every_text(text: str, expected: str) -> None:
    asked = made("Name one.", text, task=INSTRUCTION)
    worse = made("Name one.", "blue", task=INSTRUCTION, rejected=text)
    assert [reason("format", each, Given(INSTRUCTION)) for each in (asked, worse)] == [expected] * 2
    given_later = made(text, "blue", task=INSTRUCTION)
    assert reason("format", given_later, Given(INSTRUCTION)) == expected


def test_a_program_may_hold_what_looks_like_a_template_and_no_thoughts() -> None:
    tests = ("assert page() == '</s>'",)
    for program, expected in (
        ("def page():\n    return '{{' + '</s>'", ""),
        ("<think>easy</think>def page(): ...", "reasoning_mark"),
    ):
        assert reason("format", made("Write page().", program, task=CODE, tests=tests), Given(CODE)) == expected


SHOWN = seed("where is my parcel, it was due on Monday")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is my parcel? It was due on Monday!", "copy_of_seed"),
        ("where is my package, it was due on Monday", "copy_of_seed"),
        ("hi where is my parcel, it was due on Monday", "copy_of_seed"),
        ("my order was to come at the start of the week and has not", ""),
        ("where is it", ""),
        ("say which of our desks should answer it", "copy_of_instruction"),
        ("Read the message and say which of our desks should answer it: my lamp broke", "copy_of_instruction"),
        ("!!", ""),
    ],
)
def test_prompt_echo_rejects_copies_of_what_the_prompt_showed(text: str, expected: str) -> None:
    assert reason("prompt_echo", made(text, shown=[SHOWN.id]), Given(TASK, [SHOWN])) == expected


def test_prompt_echo_passes_over_seeds_that_its_prompt_did_not_show_or_that_it_was_not_given() -> None:
    copy = "Where is my parcel? It was due on Monday!"
    assert reason("prompt_echo", made(copy), Given(TASK, [SHOWN])) == ""
    assert reason("prompt_echo", made(copy, shown=[SHOWN.id]), Given(TASK)) == ""


def test_one_word_in_a_message_of_four_is_no_copy() -> None:
    short = seed("where is my parcel")
    assert reason("prompt_echo", made("where is my lamp", shown=[short.id]), Given(TASK, [short])) == ""
    assert reason("prompt_echo", made("where is my parcel", shown=[short.id]), Given(TASK, [short])) == "copy_of_seed"


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("WHERE is my parcel, it was due on monday!!", "delivery", "of_seed"),
        ("where is my parcel  it was due on Monday", "refund", "other_label"),
        ("where is my parcel, it was due on Tuesday", "delivery", ""),
    ],
)
def test_exact_duplicates_are_found_whatever_their_case_and_punctuation(text: str, label: str, expected: str) -> None:
    assert reason("exact_duplicate", made(text, label), Given(TASK, [SHOWN])) == expected


def conversation(*said: str) -> Example:
    """An example of several turns, the user's first."""
    roles: tuple[Role, Role] = ("user", "assistant")
    turns = tuple(Message(role=roles[place % 2], content=text) for place, text in enumerate(said))
    return made(said[0], task=INSTRUCTION).model_copy(update={"messages": turns})


def test_two_conversations_that_end_alike_are_no_duplicates() -> None:
    first = conversation("the lamp that I bought has a crack", "Shall I send another?", "yes please do that", "Done.")
    second = conversation("can I still change my address", "To the one on file?", "yes please do that", "Done.")
    assert first.text == second.text
    uses = [use for use in RECIPES["default"].uses if "duplicate" in use.filter]
    judged = list(Sieve(uses, Given(INSTRUCTION)).judge([first, second]))
    assert [one.outcome for one in judged] == [Outcome.KEPT, Outcome.KEPT]


@pytest.mark.parametrize(
    ("first", "second", "near"),
    [
        ("where is my parcel", "where is my parcel please", True),
        ("where is my parcel", "hello where is my parcel", True),
        ("where is my parcel", "where is my refund", False),
        ("where is my parcel", "parcel my is where", False),
        ("refund please", "refund please", True),
        ("refund please", "refund now", False),
        ("the courier never rang the bell", "the courier never rang our bell", False),
        (
            "it should have come on Monday and it is Friday now",
            "it should have come on Monday and it is Thursday now",
            True,
        ),
        ("it should have come on Monday", "nobody told me when it will come", False),
        ("我的包裹在哪里呢", "我的包裹在哪里", True),
    ],
)
def test_near_duplicates_of_short_messages(first: str, second: str, near: bool) -> None:
    assert (reason("near_duplicate", made(second), Given(TASK, [seed(first)])) == "of_seed") == near


def test_a_seed_among_the_examples_is_no_duplicate_of_itself() -> None:
    for name in ("exact_duplicate", "near_duplicate", "prompt_echo"):
        assert reason(name, SHOWN, Given(TASK, [SHOWN])) == ""


HELD_OUT = made("the drawer of the chest sticks and the handle came off", origin="replay")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The drawer of the chest sticks, and the handle came off.", "same_text"),
        ("the drawer of the cupboard sticks and the handle came off", "near"),
        (
            "I am writing once more since nobody answers: the drawer of the chest sticks and the handle came off "
            "and I would like someone to look at it this week if that can be done at all",
            "contains",
        ),
        ("the handle came off", "contained"),
        ("came off", ""),
        ("my chest of drawers arrived with a scratch", ""),
    ],
)
def test_held_out_examples_are_guarded_against_copies_pieces_and_quotes(text: str, expected: str) -> None:
    assert reason("held_out", made(text), Given(TASK, held_out=[HELD_OUT])) == expected


def test_a_held_out_text_of_three_words_may_stand_in_a_longer_one() -> None:
    short = made("where is it", origin="replay")
    assert (
        reason("held_out", made("nobody could tell me where is it now and who has it"), Given(TASK, held_out=[short]))
        == ""
    )
    assert reason("held_out", made("Where is it?"), Given(TASK, held_out=[short])) == "same_text"


def test_held_out_is_wider_than_near_duplicate() -> None:
    text = "the drawer of the cupboard sticks and the knob came off"
    assert reason("near_duplicate", made(text), Given(TASK, [HELD_OUT])) == ""
    assert reason("held_out", made(text), Given(TASK, held_out=[HELD_OUT]), threshold=0.5) == "near"


def test_a_text_that_names_its_label_is_an_echo() -> None:
    assert reason("label_echo", made("I want a Refund, now", "refund")) == "names_label"
    assert reason("label_echo", made("I was refunded", "refund")) == ""


def test_the_default_recipe_leaves_messages_alone_that_people_wrote() -> None:
    def rows(name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (SUPPORT / f"{name}.jsonl").read_text().splitlines()]

    seeds = [seed(row["text"], row["label"]) for row in rows("seeds")]
    task = TaskSpec(kind=TASK.kind, instruction=TASK.instruction, labels=tuple({seed.answer for seed in seeds}))
    chance = random.Random(1)
    written = [
        made(row["text"], row["label"], shown=[shown.id for shown in chance.sample(seeds, 8)])
        for row in rows("standin") + rows("validation")
    ]
    judged = list(Sieve(RECIPES["default"].uses, Given(task, seeds)).judge(written))
    assert [one.verdicts[-1] for one in judged if one.outcome is not Outcome.KEPT] == []
