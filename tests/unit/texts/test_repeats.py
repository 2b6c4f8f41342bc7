"""Repetition is measured as Gopher's table says."""

import pytest
from cultivar_texts import GOPHER_LIMITS, exceeded, repetition
from hypothesis import given, settings
from hypothesis import strategies as st

PROSE = "Your new card is on its way. It should reach you within five days; if it does not, write to us again."


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "bb", "b a", "\n", "\n\n", " ", "\u00e9"])).map("".join))
def test_every_measure_is_a_share(text: str) -> None:
    measures = repetition(text)
    assert list(measures) == list(GOPHER_LIMITS)
    assert all(0 <= value <= 1 for value in measures.values())


@pytest.mark.parametrize("text", [PROSE, "", "yes", "one two", "a b c d e f g h i j k"])
def test_a_text_that_repeats_nothing_is_zero_throughout(text: str) -> None:
    measures = repetition(text)
    assert not exceeded(measures)
    assert all(value < 0.1 for value in measures.values())


def test_repeated_lines_are_counted_after_the_first_and_by_length() -> None:
    measures = repetition("aa\nbbbb\naa\n\naa ")
    assert measures["duplicate_lines"] == 0.5
    assert measures["duplicate_line_characters"] == pytest.approx(4 / 10)


def test_repeated_paragraphs_are_counted_after_the_first() -> None:
    measures = repetition("one\ntwo\n\nthree\n\none\ntwo\n \nfour")
    assert measures["duplicate_paragraphs"] == 0.25
    assert measures["duplicate_paragraph_characters"] == pytest.approx(7 / 23)


def test_the_top_n_gram_covers_its_characters_once() -> None:
    assert repetition("aa b aa b cc")["top_2_gram_characters"] == pytest.approx(6 / 8)
    assert repetition("a a a a")["top_2_gram_characters"] == 1


def test_a_repeated_n_gram_covers_its_later_occurrences() -> None:
    run = "one two three four five"
    assert repetition(f"{run} six {run}")["duplicate_5_gram_characters"] == pytest.approx(19 / 41)
    assert repetition(f"{run} six {run}")["duplicate_6_gram_characters"] == 0


def test_a_looping_text_is_over_the_limits_and_names_them() -> None:
    names = exceeded(repetition("I am sorry to hear that. " * 20))
    assert "top_2_gram_characters" in names and "duplicate_10_gram_characters" in names
    assert "duplicate_lines" not in names


def test_limits_can_be_set() -> None:
    assert exceeded(repetition("a\na\nb"), {"duplicate_lines": 0.4}) == []
    assert exceeded(repetition("a\na\nb"), {"duplicate_lines": 0.3}) == ["duplicate_lines"]
