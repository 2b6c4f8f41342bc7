"""Nonsense measures differently from writing."""

import random
import string

import pytest
from cultivar_texts import CharacterModel, legibility
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = [
    "I am still waiting on my card, when will it arrive?",
    "Why was I charged a fee for taking money out abroad?",
    "My transfer has not reached the other account yet.",
    "How do I change the address that you have for me?",
    "The machine kept my card and gave me no money.",
    "Can I use the app to see what I paid last week?",
]
OTHERS = [
    "When will the new card come to my home address?",
    "I was charged twice for the same thing last week.",
    "How can I see the other fees that I have paid?",
]


@settings(deadline=None)
@given(st.text())
def test_every_measure_of_every_text_is_in_its_range(text: str) -> None:
    found = legibility(text)
    assert 0 <= found.letters <= 1 and 0 <= found.known <= 1 and 0 <= found.vowelless <= 1
    assert found.word_length >= 0 and found.entropy >= 0 and 0 <= found.longest_run <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        SEEDS[0],
        "Где моя карта?",
        "\u6211\u60f3\u9000\u6b3e",
        "¿Dónde está mi tarjeta?",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
    ],
)
def test_writing_in_any_script_is_letters_and_known_characters(text: str) -> None:
    found = legibility(text)
    assert found.letters > 0.8 and found.known == 1 and found.vowelless == 0


def test_each_kind_of_nonsense_shows_in_its_measure() -> None:
    assert legibility("#$%&/ ()=?^ 12 [[]]").letters == 0
    assert legibility("ok\ufffd\ufffd\x07\ue000").known == pytest.approx(2 / 6)
    assert legibility("sdfgh jklmn the").vowelless == 1
    assert legibility("rhythm HTML xyz").vowelless == 0
    assert legibility("nooooooo!").longest_run == 7
    assert legibility("a" * 30).word_length == 30
    assert legibility("aaaa").entropy == 0
    assert legibility("abcd").entropy == pytest.approx(2)
    assert legibility("").known == 1


def test_noise_surprises_more_than_every_text_of_the_learnt_kind() -> None:
    model, draw = CharacterModel(SEEDS), random.Random(0)
    noise = ["".join(draw.choice(string.ascii_lowercase) if c.isalpha() else c for c in text) for text in OTHERS]
    shuffled = [" ".join("".join(draw.sample(word, len(word))) for word in text.split()) for text in OTHERS]
    worst = max(model.surprise(text) for text in OTHERS)
    assert worst < min(model.surprise(text) for text in noise) - 1
    assert worst < min(model.surprise(text) for text in shuffled)


def test_the_language_is_that_of_the_texts_it_learnt_from() -> None:
    greek = ["Πού είναι η κάρτα μου;", "Θέλω τα χρήματά μου πίσω.", "Η κάρτα μου δεν ήρθε."]
    assert CharacterModel(greek).surprise("Πού είναι τα χρήματά μου;") < CharacterModel(SEEDS).surprise(greek[0]) - 2


@settings(deadline=None)
@given(first=st.text(), second=st.text(min_size=1))
def test_what_may_follow_a_character_sums_to_no_more_than_one(first: str, second: str) -> None:
    model = CharacterModel([first, second])
    seen = set(model._singles)
    for before in sorted(seen)[:5]:
        assert sum(2 ** -model._bits(before, after) for after in seen) < 1


def test_a_model_of_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CharacterModel([])
