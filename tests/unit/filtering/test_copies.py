"""What each shipped prompt is for passes the recipes, and copies do not: an example is a copy only as a whole."""

from collections.abc import Sequence
from typing import Any

import pytest
from cultivar_filtering.filters import Given
from cultivar_filtering.filters.rests import rest_of
from cultivar_filtering.recipes import RECIPES, Use, resolve
from cultivar_filtering.sieve import Sieve
from cultivar_records import Example, Message, Span, TaskKind
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.filtering.made import CODE, ENTITIES, INSTRUCTION, TASK, judge, made, reason

LATE = made("where is my parcel, it was due on Monday", "delivery", origin="seed")
ASKED = made(
    "How do I change the address of an order that has not been sent yet?",
    "Open the order, choose Change address, and save the new one before it is packed.",
    task=INSTRUCTION,
    origin="seed",
)
UNANSWERED = made("What is to be written on a parcel?", "", task=INSTRUCTION, origin="seed")
PASSAGE = made(
    "Parcels are sent from our store in Leeds within two days. An order over 40 pounds is sent for free; any other "
    "costs 3.90 pounds. A parcel that nobody could take is kept at the nearest shop for seven days and then sent back.",
    "",
    task=INSTRUCTION,
    origin="seed",
)
MAXIMUM = made(
    "Write a function largest(numbers) that returns the largest of some numbers.",
    "def largest(numbers):\n    return max(numbers)",
    task=CODE,
    origin="seed",
    tests=("assert largest([1, 3, 2]) == 3",),
)
TRAVEL = made(
    "I go to Berlin on Friday morning",
    "place: Berlin",
    task=ENTITIES,
    origin="seed",
    spans=(Span(start=8, end=14, label="place"),),
)
SPECS = {spec.kind: spec for spec in (TASK, INSTRUCTION, CODE, ENTITIES)}


def of(seed: Example, text: str = "", answer: str | None = None, **fields: Any) -> Example:
    """A candidate that was made of a seed and keeps what is not given; its id follows from all of it."""
    said = seed.answer if answer is None else answer
    fields.setdefault("tests", seed.tests)
    example = made(text or seed.text, said, task=SPECS[seed.task], shown=[seed.id], **fields)
    return example.model_copy(update={"id": example.digest()[:32]})


def dialogue(seed: Example, question: str, answer: str) -> Example:
    """A candidate that goes on with the conversation of a seed."""
    turns = (*seed.messages, Message(role="user", content=question), Message(role="assistant", content=answer))
    return of(seed).model_copy(update={"messages": turns})


def reasons(rows: Sequence[Example], uses: Sequence[Use], *seeds: Example) -> list[str]:
    """Why each of some examples was rejected, in order; empty for the kept."""
    spec = SPECS[seeds[0].task]
    judged = Sieve(uses, Given(spec, sorted(seeds, key=lambda seed: seed.id))).judge(rows)
    lasts = [one.verdicts[-1] for one in judged]
    return ["" if last.keep else f"{last.filter}.{last.reason}" for last in lasts]


WORSE = "Write to us and somebody will see what can be done about it."
RUDE = "You should have thought of that earlier, it is not our fault."
MADE: dict[str, tuple[Example, list[Example]]] = {
    "answer": (UNANSWERED, [of(UNANSWERED, answer=ASKED.answer), of(UNANSWERED, answer=WORSE)]),
    "blur": (LATE, [of(LATE, "parcel still not here??")]),
    "by-label": (LATE, [of(LATE, "the courier rang once and drove off with my lamp")]),
    "code": (
        MAXIMUM,
        [of(MAXIMUM, "Count the vowels of a word.", "def vowels(word): ...", tests=("assert vowels('a') == 1",))],
    ),
    "continue-instructions": (ASKED, [of(ASKED, "Name three things to check before a parcel is sent.", "")]),
    "contrast": (LATE, [of(LATE, "where is my refund, it was due on Monday", "refund")]),
    "dialogue": (ASKED, [dialogue(ASKED, "And once it has been packed?", "Then ask the courier for another day.")]),
    "documents": (
        PASSAGE,
        [
            of(PASSAGE, "How long is a parcel kept at the nearest shop?", "It is kept for seven days."),
            of(PASSAGE, "From which order on is sending free?", "From 40 pounds on it is sent for free."),
        ],
    ),
    "documents with_passage": (
        PASSAGE,
        [
            of(PASSAGE, f"{PASSAGE.text}\n\nHow long is a parcel kept at the shop?", "It is kept for seven days."),
            of(PASSAGE, f"{PASSAGE.text}\n\nFrom which order on is sending free?", "From 40 pounds on."),
        ],
    ),
    "edge-cases": (LATE, [of(LATE, "I want nothing back, I want the thing itself to arrive")]),
    "entities": (TRAVEL, [of(TRAVEL, "Who lives in Porto now?", spans=(Span(start=13, end=18, label="place"),))]),
    "entities-paraphrase": (
        TRAVEL,
        [of(TRAVEL, "On Friday I take the early train to Berlin", spans=(Span(start=36, end=42, label="place"),))],
    ),
    "evolve-broader": (ASKED, [of(ASKED, "How do I give an heirloom watch to a museum?", "Write to its registrar.")]),
    "evolve-deeper": (
        ASKED,
        [of(ASKED, f"{ASKED.text} Answer for an order of two parcels.", "Change it for each parcel by itself.")],
    ),
    "instructions": (ASKED, [of(ASKED, "Write a note to a neighbour who took in a parcel for you.", "")]),
    "pairs": (ASKED, [of(ASKED, "Why was my card declined?", "Most often the date or the limit is the cause.")]),
    "paraphrase": (LATE, [of(LATE, "my order should have come at the start of the week and has not")]),
    "preference": (ASKED, [of(ASKED, rejected=WORSE), of(ASKED, rejected=RUDE)]),
    "preference-pair": (
        ASKED,
        [
            of(ASKED, answer="Choose Change address in the order while it says Not packed.", rejected=WORSE),
            of(ASKED, answer="Under Orders there is a pen beside the address; use it today.", rejected=RUDE),
        ],
    ),
    "refine": (
        ASKED,
        [
            of(
                ASKED,
                "List for a new customer, in three steps, how an address is changed.",
                "1. Open. 2. Save.",
            )
        ],
    ),
    "style": (LATE, [of(LATE, "I should be grateful to learn what has become of the delivery promised for Monday")]),
    "style-answer": (
        ASKED,
        [
            of(ASKED, answer="Kindly open your order, select the option Change address and store the new address."),
            of(ASKED, answer="No stress! Hit Change address in your order and pop in the new one, quick."),
            of(ASKED, answer="As our policy says, an address may be replaced until the order is packed."),
        ],
    ),
    "translate": (LATE, [of(LATE, "Wo ist mein Paket, es sollte am Montag ankommen")]),
}
LATER = ("continue-instructions", "instructions")
"""The prompts that leave the answers to the strategy answer, for which the recipe `default` is not."""


@pytest.mark.parametrize("prompt", [prompt for prompt in MADE if prompt not in LATER])
def test_what_a_prompt_is_for_passes_the_default_recipe(prompt: str) -> None:
    seed, rows = MADE[prompt]
    assert reasons(rows, RECIPES["default"].uses, seed) == [""] * len(rows)


@pytest.mark.parametrize("prompt", MADE)
def test_what_a_prompt_is_for_passes_the_recipe_of_instructions(prompt: str) -> None:
    seed, rows = MADE[prompt]
    assert reasons(rows, RECIPES["instructions"].uses, seed) == [""] * len(rows)


@pytest.mark.parametrize(
    ("prompt", "recipe"),
    [(prompt, recipe) for prompt in MADE for recipe in ("default", "instructions")[prompt in LATER :]],
)
def test_what_a_prompt_made_is_rejected_the_second_time_it_comes(prompt: str, recipe: str) -> None:
    seed, rows = MADE[prompt]
    again = [row.model_copy(update={"id": f"{place:032x}"}) for place, row in enumerate(rows)]
    repeated = ["exact_duplicate.of_earlier"] * len(rows)
    assert reasons([*rows, *again], RECIPES[recipe].uses, seed) == [*("" for _ in rows), *repeated]


@pytest.mark.parametrize("recipe", ["default", "instructions"])
@pytest.mark.parametrize(
    "copy",
    [
        of(LATE),
        of(LATE, "hi where is my parcel, it was due on Monday"),
        of(ASKED),
        of(ASKED, answer=ASKED.answer.replace("Open", "Please open")),
        of(ASKED, f"Please, {ASKED.text}"),
        of(MAXIMUM),
        of(TRAVEL, "I go to Berlin on a Friday morning", spans=TRAVEL.spans),
    ],
)
def test_a_copy_of_a_seed_is_rejected(copy: Example, recipe: str) -> None:
    (seed,) = (seed for seed in (LATE, ASKED, MAXIMUM, TRAVEL) if seed.id in copy.provenance.seeds)
    assert reasons([copy], RECIPES[recipe].uses, seed) == ["prompt_echo.copy_of_seed"]
    uses = [use for use in RECIPES[recipe].uses if use.filter not in ("prompt_echo", "exact_duplicate")]
    assert reasons([copy], uses, seed) in (["near_duplicate.of_seed"], ["novelty.like_seed"])


def test_an_input_without_an_answer_is_compared_by_itself() -> None:
    uses = RECIPES["instructions"].uses
    assert reasons([of(ASKED, answer="")], uses, ASKED) == ["prompt_echo.copy_of_seed"]
    assert reasons([made(ASKED.text, "", task=INSTRUCTION)], uses, ASKED) == ["exact_duplicate.of_seed"]
    assert reasons([made(f"Please, {ASKED.text}", "", task=INSTRUCTION)], uses, ASKED) == ["novelty.like_seed"]


def test_a_changed_label_does_not_excuse_a_copy_of_what_was_kept_under_it() -> None:
    rows = [
        of(LATE, "where is my refund, it was due on Monday", "refund"),
        of(LATE, "so where is my refund, it was due on Monday", "refund"),
    ]
    assert reasons(rows, RECIPES["default"].uses, LATE) == ["", "near_duplicate.of_earlier"]


def test_one_text_under_two_labels_is_rejected() -> None:
    assert reasons([of(LATE, answer="refund")], RECIPES["default"].uses, LATE) == ["exact_duplicate.other_label"]


def test_a_copy_is_found_behind_a_nearer_text_with_another_answer() -> None:
    nearer = of(ASKED, f"Say, {ASKED.text}", WORSE)
    copy = of(ASKED, f"Say, {ASKED.text} Thanks.")
    for name in ("near_duplicate", "novelty"):
        uses = [resolve(name, {})]
        assert reasons([nearer, copy], uses, ASKED) == ["", f"{name}.{'like' if name == 'novelty' else 'of'}_seed"]


def test_a_row_that_lacks_the_rejected_answer_of_a_pair_repeats_the_pair() -> None:
    pair = made(ASKED.text, ASKED.answer, task=INSTRUCTION, origin="seed", rejected=WORSE)
    assert reason("exact_duplicate", of(ASKED), Given(INSTRUCTION, [pair])) == "of_seed"
    assert reason("exact_duplicate", of(ASKED, rejected=WORSE), Given(INSTRUCTION, [ASKED])) == ""


def test_at_a_threshold_of_zero_inputs_are_compared_alone() -> None:
    seed, rows = MADE["style-answer"]
    for name, why in (("near_duplicate", "of_seed"), ("novelty", "like_seed"), ("prompt_echo", "copy_of_seed")):
        assert reason(name, rows[0], Given(INSTRUCTION, [seed])) == ""
        assert reason(name, rows[0], Given(INSTRUCTION, [seed]), answer_threshold=0) == why


SAID = ("open the order", "save the address", "before it is packed", "")


@given(text=st.sampled_from(["", "a b", "!"]), answers=st.lists(st.sampled_from(SAID), min_size=1, max_size=6))
def test_of_equal_inputs_exact_duplicate_keeps_each_whole_once(text: str, answers: list[str]) -> None:
    rows = [made(text, answer, number=place, task=INSTRUCTION) for place, answer in enumerate(answers)]
    found = judge("exact_duplicate", Given(INSTRUCTION))
    kept = []
    for row in rows:
        if found.judge(row).keep:
            found.remember(row)
            kept.append(rest_of(row))
    distinct = list(dict.fromkeys(map(rest_of, rows)))
    # One without an answer adds nothing to what is there.
    assert kept == [rest for place, rest in enumerate(distinct) if rest.answer or place == 0]


def test_an_entity_task_compares_inputs_alone() -> None:
    other = of(TRAVEL, answer="place: nowhere")
    assert TaskKind.ENTITIES is other.task
    assert reason("exact_duplicate", other, Given(ENTITIES, [TRAVEL])) == "of_seed"
