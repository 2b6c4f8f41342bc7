"""What is made of answers that follow the protocol, and of those that do not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cultivar_models.reading import (
    BadAnswer,
    read_chat,
    read_completion,
    read_embeddings,
    read_models,
    read_scores,
    read_usage,
)
from hypothesis import given, settings
from hypothesis import strategies as st

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(
    ["choices", "data", "message", "content", "text", "index", "logprobs", "token_logprobs", "text_offset",
     "embedding", "id", "usage", "prompt_tokens", "finish_reason"]
)  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=20)
READERS: list[Callable[[dict[str, Any]], object]] = [
    read_chat,
    read_completion,
    read_usage,
    read_models,
    lambda body: read_scores(body, [0]),
    lambda body: read_embeddings(body, 1),
]


@pytest.mark.parametrize("read", READERS)
@given(body=st.dictionaries(NAMES, JSON))
@settings(max_examples=50)
def test_whatever_a_server_says_is_read_or_called_bad(
    read: Callable[[dict[str, Any]], object], body: dict[str, Any]
) -> None:
    try:
        found = read(body)
    except BadAnswer as bad:
        assert str(bad)
    else:
        assert found is not None


def echoed(logprobs: list[float | None], offsets: list[int]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": "", "logprobs": {"token_logprobs": logprobs, "text_offset": offsets}}]}


def test_tokens_from_the_prefixs_end_on_are_summed() -> None:
    assert read_scores(echoed([None, -1.0, -2.0, -0.5], [0, 3, 7, 9]), [7]) == [[-2.5, 2]]


@pytest.mark.parametrize(
    ("logprobs", "offsets", "prefix"),
    [
        ([None, -1.0], [0, 3], 5),
        ([None, None], [0, 3], 3),
        ([None, float("nan")], [0, 3], 3),
        ([None, float("-inf")], [0, 3], 3),
        ([None, -1.0], [0], 0),
    ],
)
def test_logprobs_that_say_nothing_are_bad_and_never_a_zero(
    logprobs: list[float | None], offsets: list[int], prefix: int
) -> None:
    with pytest.raises(BadAnswer):
        read_scores(echoed(logprobs, offsets), [prefix])


def test_choices_out_of_order_are_put_in_order() -> None:
    body = {"choices": [{"index": 1, "text": "second"}, {"index": 0, "text": "first"}]}
    assert [text for text, _ in read_completion(body)] == ["first", "second"]


@pytest.mark.parametrize("content", [None, "", " \n", 5, ["a"]])
def test_a_chat_answer_without_a_word_is_bad(content: object) -> None:
    with pytest.raises(BadAnswer, match="no text"):
        read_chat({"choices": [{"message": {"content": content}}]})


def test_an_empty_completion_is_an_answer() -> None:
    assert read_completion({"choices": [{"text": "", "finish_reason": "stop"}]}) == [["", "stop"]]


@pytest.mark.parametrize(
    "data", [[[1.0], [1.0, 2.0]], [[], []], [[1.0], ["x"]], [[1.0], [float("nan")]], [[1.0]], [None, None]]
)
def test_vectors_of_unlike_length_or_without_numbers_are_bad(data: list[object]) -> None:
    with pytest.raises(BadAnswer):
        read_embeddings({"data": [{"embedding": vector} for vector in data]}, 2)


def test_missing_or_senseless_usage_counts_nothing() -> None:
    for usage in (None, 5, {}, {"prompt_tokens": -3}, {"prompt_tokens": "many"}):
        assert read_usage(json.loads(json.dumps({"usage": usage}))).prompt_tokens == 0


def test_the_model_that_an_answer_names_is_read_with_each_choice() -> None:
    body = {"model": "base:p/1", "choices": [{"text": "a", "finish_reason": "stop"}, {"text": "b"}]}
    assert read_completion(body) == [["a", "stop", "base:p/1"], ["b", "", "base:p/1"]]
    chat = {"model": 5, "choices": [{"message": {"content": "a"}}]}
    assert read_chat(chat) == [["a", ""]]
