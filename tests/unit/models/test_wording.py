import json

import pytest
from cultivar_models.reading import BadAnswer, read_chat
from cultivar_models.wording import before_stop, storable, without_thoughts
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>\nLet me see.\n\nTwo?\n</think>\n\nPlease reset it.", "Please reset it."),
        ("<THINKING>hm</THINKING>Please reset it.", "Please reset it."),
        # The chat template opened the thoughts.
        ("The user wants two.\n</think>\n\nPlease reset it.", "Please reset it."),
        ("<think></think>\n<reasoning>more</reasoning>Please reset it.", "Please reset it."),
        ("<think>\nIt never came to an end", ""),
        ("<think>a </thought> b</think>Yes", "Yes"),
        ("Put it between <think> and </think>.", "Put it between <think> and </think>."),
        ("Write <think> into the first line.", "Write <think> into the first line."),
        ("Please reset it.", "Please reset it."),
    ],
)
def test_thoughts_before_an_answer_are_no_part_of_it(text: str, answer: str) -> None:
    assert without_thoughts(text) == answer


@given(ANY_TEXT)
def test_every_text_can_be_stored_and_good_ones_stay_as_they_are(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    assert len(stored.encode().decode()) == len(text)
    assert stored == text or any(letter == "\x00" or "\ud800" <= letter <= "\udfff" for letter in text)


@given(st.text("ab\n", max_size=30), st.lists(st.text("ab\n", max_size=3), max_size=3))
def test_a_text_ends_before_the_first_stop(text: str, stops: list[str]) -> None:
    kept = before_stop(text, stops)
    assert text.startswith(kept)
    assert not any(stop and stop in kept for stop in stops)
    assert kept == text or any(stop and text.startswith(stop, len(kept)) for stop in stops)


def said(content: object, finish: str = "stop", **message: object) -> list[list[str]]:
    body = {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}
    return read_chat(json.loads(json.dumps(body)), stops=("\n\n",))


def test_a_stop_within_the_thoughts_does_not_end_the_answer() -> None:
    assert said("<think>one\n\ntwo</think>three\n\nfour") == [["three", "stop"]]


def test_parts_of_text_are_one_answer() -> None:
    parts = [{"type": "text", "text": "Please "}, {"type": "image", "id": 1}, {"type": "text", "text": "reset it."}]
    assert said(parts) == [["Please reset it.", "stop"]]


def test_half_a_character_does_not_come_through() -> None:
    assert said("caf\ud83d") == [["caf\ufffd", "stop"]]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"content": "", "finish": "length"}, "cut at max_tokens before the first word"),
        ({"content": "<think>and then", "finish": "length"}, "cut at max_tokens before the first word"),
        ({"content": None, "finish": "content_filter"}, "content filter"),
        ({"content": None, "refusal": "I cannot"}, "refusal"),
    ],
)
def test_an_answer_without_a_word_that_would_come_again_is_not_asked_for_again(
    answer: dict[str, object], why: str
) -> None:
    with pytest.raises(BadAnswer, match=why) as bad:
        said(**answer)  # type: ignore[arg-type]
    assert bad.value.final
