"""What the normal form folds away, and what it keeps."""

import pytest
from cultivar_texts import ngrams, normal_form, shingles, words
from cultivar_texts.words import _WORD
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@settings(deadline=None)
@given(st.text())
def test_the_words_are_those_of_the_normal_form(text: str) -> None:
    assert words(text) == words(normal_form(text))
    assert not words(text) or normal_form(text) == " ".join(words(text))


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_the_fast_way_for_ascii_gives_the_same_words(text: str) -> None:
    assert words(text) == _WORD.findall(text.lower())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Where is my CARD?", "where is my card"),
        ("Hello,   world!\n", "hello world"),
        ("**bold** _text_ `code`", "bold text code"),
        ("it\u2019s \u201cfine\u201d", 'it\'s "fine"'),
        ("na\u00efve", "nai\u0308ve"),
        ("\ufb01ne \uff21\uff22", "fine ab"),
        ("Stra\u00dfe", "STRASSE"),
        ("2+2", "2 + 2"),
        ("great \u2764\ufe0f", "great \u2764"),
        ("\u6211\u60f3\u9000\u6b3e\u3002", "\u6211\u60f3\u9000\u6b3e"),
    ],
)
def test_two_spellings_of_the_same_words_are_one(first: str, second: str) -> None:
    assert normal_form(first) == normal_form(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2+2", "2*2"),
        ("2 - 2", "2 / 2"),
        ("3.5", "35"),
        ("3.5", "3 5"),
        ("-5", "5"),
        ("$5", "\u20ac5"),
        ("C++", "C"),
        ("C#", "C++"),
        ("5%", "5"),
        ("fine \U0001f600", "fine \U0001f620"),
        ("???", "!!!"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u0928\u0926"),
    ],
)
def test_what_changes_the_meaning_is_kept(first: str, second: str) -> None:
    assert normal_form(first) != normal_form(second)


def test_a_script_without_spaces_gives_a_word_for_each_character() -> None:
    assert words("\u6211\u60f3 ok") == ["\u6211", "\u60f3", "ok"]


def test_shingles_are_the_runs_of_words() -> None:
    assert shingles("A b, c d!") == {"a b c", "b c d"}
    assert shingles("A b, c d!", width=2) == {"a b", "b c", "c d"}
    assert ngrams(["a", "b", "a", "b"], 2) == [("a", "b"), ("b", "a"), ("a", "b")]


def test_a_text_shorter_than_a_shingle_is_one_shingle_of_its_own() -> None:
    assert shingles("Yes!") == {"yes"}
    assert len({frozenset(shingles(text)) for text in ("yes", "no", "yes no", "", "?", "!")}) == 6


def test_a_shingle_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="one word"):
        shingles("a b", width=0)
