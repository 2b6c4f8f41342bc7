"""What the fake teacher says."""

import random
import re

import pytest
from cultivar_models.fake.embedding import embedding, similarity
from cultivar_models.fake.likelihood import tokens
from cultivar_models.fake.writing import write
from hypothesis import given
from hypothesis import strategies as st

SEEDS = ["I lost my card yesterday", "My card was stolen, what now?", "Where can I report that my card is gone?"]
NUMBERED = "\n".join(f"{place}. {text}" for place, text in enumerate(SEEDS, 1))


def said(prompt: str, seed: int = 0) -> str:
    return write(prompt, random.Random(seed))


def test_an_open_numbered_list_goes_on_where_it_stands() -> None:
    lines = said(f"Messages about lost cards.\n\n{NUMBERED}\n4.").split("\n")
    assert not re.match(r"\s*\d", lines[0])
    assert [int(line.split(".")[0]) for line in lines[1:]] == list(range(5, 4 + len(lines)))
    assert len(lines) >= 5


def test_a_closed_list_goes_on_with_its_next_mark() -> None:
    assert said(f"Messages:\n{NUMBERED}").startswith("4. ")
    assert all(line.startswith("- ") for line in said("Messages:\n- a b c\n- d e f").split("\n"))


@pytest.mark.parametrize("request_", ["Write three more.", "Now write 3 new messages like these:"])
def test_a_list_is_continued_as_far_as_is_asked(request_: str) -> None:
    assert len(said(f"{NUMBERED}\n\n{request_}").split("\n")) == 3


def test_new_items_are_made_of_the_lists_words_and_unlike_each_other() -> None:
    made = [line.strip() for seed in range(20) for line in said(f"Write 5 more.\n{NUMBERED}\n4.", seed).split("\n")]
    made = [re.sub(r"^\d+\. ", "", line) for line in made]
    assert len(made) == 100 and len(set(made)) > 95 and not set(made) & set(SEEDS)
    known = set(re.findall(r"\w+", " ".join(SEEDS).lower()))
    assert all(known & set(re.findall(r"\w+", line.lower())) for line in made)


def test_items_of_several_parts_keep_their_parts() -> None:
    items = "1. Instruction: Name three fruits\nResponse: apple and plum\n2. Instruction: Say hello\nResponse: Hello\n"
    answer = said(f"Tasks:\n\n{items}3. Instruction:")
    parts = re.split(r"\n\d+\. Instruction: ", answer)
    assert len(parts) >= 4 and all("\nResponse: " in part for part in parts)


def test_rules_before_a_text_are_no_list_to_continue() -> None:
    answer = said("Rules:\n- keep the meaning\n- be polite\n\nMessage: I lost my card in Berlin\n\nIn other words:")
    assert "Berlin" in answer and "\n" not in answer


def test_a_rewritten_text_keeps_most_of_its_words() -> None:
    text = "How can I change my PIN at the ATM?"
    answers = {said(f"Rewrite the message.\n\n{text}", seed) for seed in range(10)}
    assert len(answers) > 7 and text not in answers
    assert all(similarity(embedding(text), embedding(answer)) > 0.5 for answer in answers)


def test_a_prompt_that_ends_in_its_shots_cue_gets_the_nearest_shots_answer() -> None:
    shots = "Message: I lost my card\nIntent: card_lost\n\nMessage: what is the exchange rate\nIntent: rate\n\n"
    assert said(f"{shots}Message: my card is lost\nIntent:") == " card_lost"
    assert said(f"{shots}Message: which exchange rate\nIntent:") == " rate"


def test_judges_get_a_number_on_their_scale_or_yes_or_no() -> None:
    scored = {said("Rate this answer from 1 to 5.\n\nAnswer: fine", seed) for seed in range(30)}
    assert scored <= set("12345") and len(scored) > 1
    assert {said("Is it right? Answer yes or no.\n\nIt is.", seed) for seed in range(30)} == {"yes", "no"}


@given(prompt=st.text(alphabet=st.sampled_from("ab1.) -*:?\nQA\t_é"), max_size=60), seed=st.integers(0, 5))
def test_any_prompt_gets_an_answer_and_the_same_one_again(prompt: str, seed: int) -> None:
    assert said(prompt, seed).strip()
    assert said(prompt, seed) == said(prompt, seed)


@given(text=st.text(max_size=60))
def test_tokens_cover_the_text_and_only_the_first_has_no_logprob(text: str) -> None:
    found = tokens(text)
    assert "".join(token.text for token in found) == text
    assert [token.offset for token in found] == [sum(len(t.text) for t in found[:n]) for n in range(len(found))]
    assert all((token.logprob is None) == (place == 0) for place, token in enumerate(found))
    assert all(token.logprob < 0 for token in found if token.logprob is not None)


@given(text=st.text(max_size=60))
def test_every_text_has_a_vector_of_length_one(text: str) -> None:
    vector = embedding(text)
    assert len(vector) == 64 and sum(number * number for number in vector) == pytest.approx(1)
