"""What a teacher says instead of the answer is told from people who are sorry or cannot do something."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cultivar_filtering.filters import Given
from cultivar_filtering.recipes import RECIPES
from cultivar_filtering.sieve import Sieve

from tests.unit.filtering.made import INSTRUCTION, TASK, made, reason

EXAMPLES = Path(__file__).parents[3] / "examples"
REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, but I cannot assist with that request.",
    "I cannot fulfil this request.",
    "I can't fulfill your request, as it could cause harm.",
    "Sorry, I can't comply with your request.",
    "I am unable to provide medical advice. Please see a doctor.",
    "I'm not able to provide instructions for that.",
    "Unfortunately, I cannot generate that kind of content.",
    "I apologize, but I cannot engage in such discussions.",
    "I won't be able to help you with this.",
    "I must respectfully decline to answer that question.",
    "I'm not comfortable writing a message like this.",
    "I understand that you are upset, but I can't assist you with that.",
    "That request goes against my guidelines.",
    "It would be inappropriate for me to write this.",
    "I'm sorry, but I can't.",
    '"I cannot create explicit content."',
    "I will not write this kind of content.",
    "I'm sorry, but I can't rewrite this message.",
]
TALK = [
    "As an AI language model, I do not have feelings.",
    "As an AI, I cannot taste food, but lemon goes well with fish.",
    "I'm just an AI, so take this with care.",
    "I am a large language model trained by a company.",
    "I'm sorry, but as an AI assistant I have no opinion on this.",
    "I was designed to be helpful and harmless.",
    "As of my last knowledge update, the record stood at nine.",
]
INNOCENT = [
    "I'm sorry to hear that your lamp broke, can you help me with a new one?",
    "I'm sorry to bother you again, but can you help with my refund?",
    "Sorry, I can't log in to my account.",
    "Sorry, I can't find the button to cancel my order",
    "I cannot open the box without breaking it",
    "I can't help but wonder why nobody answers",
    "I can't help with the carrying, will the driver bring it upstairs?",
    "I am unable to complete the payment on your site",
    "I can't provide a receipt because I threw it away",
    "I won't be able to be home on Monday, can it come on Tuesday?",
    "I'm not able to reset my password",
    "Unfortunately I cannot give you the order number, the mail is gone",
    "I apologize for the mess, the parcel fell into the rain",
    "I'm sorry, but I want my money back",
    "I'm sorry, I can't do that day, is there another one?",
    "I cannot write a review, the page stays white",
    "I'm an AI researcher and ordered two screens for my desk",
    "As an assistant professor I get a discount, do I not?",
    "As an AI startup we need forty chairs by June",
    "Your chatbot says it is a language model and cannot help me",
    "I must decline your kind invitation, since I am away that week.",
    "I understand that it is late, but I can't wait another week",
    "Being an assistant to the director, I order for him",
    "My training starts at nine, will the shoes be here by then?",
    "I cannot recommend this book enough.",
]


@pytest.mark.parametrize(
    ("text", "expected"), [*((t, "refusal") for t in REFUSALS), *((t, "assistant_talk") for t in TALK)]
)
def test_stock_refusals_are_rejected_as_answers_as_inputs_and_as_rejected_answers(text: str, expected: str) -> None:
    asked = made("Name a tree.", text, task=INSTRUCTION)
    worse = made("Name a tree.", "An oak.", task=INSTRUCTION, rejected=text)
    for example in (asked, worse, made(text)):
        assert reason("refusal", example, Given(INSTRUCTION)) == expected


@pytest.mark.parametrize("text", INNOCENT)
def test_people_who_are_sorry_or_cannot_do_something_are_left_alone(text: str) -> None:
    for example in (made(text), made("Write a message.", text, task=INSTRUCTION)):
        assert reason("refusal", example) == ""


def test_a_refusal_that_is_quoted_further_in_is_no_refusal() -> None:
    for refusal in REFUSALS:
        assert reason("refusal", made("What do models say?", f"They say: {refusal}", task=INSTRUCTION)) == ""


def test_answers_are_left_alone_where_a_model_is_to_learn_to_refuse() -> None:
    asked = made("How is a lock picked?", REFUSALS[0], task=INSTRUCTION)
    assert reason("refusal", asked, answers=False) == ""
    assert reason("refusal", made(REFUSALS[0]), answers=False) == "refusal"
    assert reason("refusal", made(REFUSALS[0]), inputs=False) == ""


@pytest.mark.parametrize("recipe", ["default", "instructions", "novel"])
def test_the_shipped_recipes_reject_refusals(recipe: str) -> None:
    uses = [use for use in RECIPES[recipe].uses if use.filter != "semantic_duplicate"]
    (judged,) = Sieve(uses, Given(INSTRUCTION)).judge([made("Name a tree.", REFUSALS[0], task=INSTRUCTION)])
    assert (judged.verdicts[-1].filter, judged.verdicts[-1].reason) == ("refusal", "refusal")


def written() -> Iterator[str]:
    """Every text of the example data."""
    for path in sorted(EXAMPLES.rglob("*")):
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
        elif path.suffix == ".yaml":
            rows = [yaml.safe_load(path.read_text())]
        elif path.suffix == ".md":
            rows = path.read_text().split("\n\n")
        else:
            continue
        yield from texts(rows)


def texts(value: object) -> Iterator[str]:
    """Every text of a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts(list(value.values()))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_no_text_of_the_example_data_is_called_a_refusal() -> None:
    found = list(written())
    assert len(found) > 200
    assert [text for text in found if reason("refusal", made(text or " "), Given(TASK))] == []
