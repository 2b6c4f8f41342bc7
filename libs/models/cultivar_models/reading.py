"""What the protocol's answers say, read from JSON that may be anything."""

import math
from collections.abc import Sequence
from typing import Any

from cultivar_models.endpoint import TokenUsage
from cultivar_models.wording import before_stop, storable, without_thoughts

_LONGEST_NAME = 512
_WITHHELD = "content_filter"
_NO_ROOM = (
    "its answer was cut at max_tokens before the first word: give it more, for a model that thinks first needs room"
)


class BadAnswer(Exception):
    """Says in words what is wrong with an answer; never leaves this package.

    final: whether the same question would bring the same, so that it is not paid for again.
    """

    def __init__(self, said: str, final: bool = False) -> None:
        super().__init__(said)
        self.final = final


def read_chat(body: dict[str, Any], stops: Sequence[str] = ()) -> list[list[str]]:
    """Returns `[text, finish_reason]` for each choice of a chat answer, its thoughts left out.

    An answer without a word is a bad one. A third part is the model that the answer says it is of, where it says one.
    stops: what the text is to end before, whether the server has seen to that or not.
    """
    listed = _listed(body, "choices")
    choices = [[before_stop(_chat_text(choice), stops), _finish(choice), *_model(body)] for choice in listed]
    if not choices[0][0].strip():
        raise _silent(listed[0])
    return choices


def read_completion(body: dict[str, Any], stops: Sequence[str] = ()) -> list[list[str]]:
    """Returns `[text, finish_reason]` for each choice of a completion, and the model as `read_chat` does.

    An empty text is an answer here: the model may stop at once.
    """
    return [
        [before_stop(_text(choice.get("text")), stops), _finish(choice), *_model(body)]
        for choice in _listed(body, "choices")
    ]


def read_scores(body: dict[str, Any], prefixes: Sequence[int]) -> list[list[float]]:
    """Returns `[logprob, tokens]` for each prompt of an echoed completion.

    prefixes: for each prompt the characters that belong to its prefix; tokens that begin at or after them are summed.
    """
    choices = _listed(body, "choices", len(prefixes))
    return [_continuation(choice.get("logprobs"), start) for choice, start in zip(choices, prefixes, strict=True)]


def read_embeddings(body: dict[str, Any], count: int) -> list[list[float]]:
    """Returns one vector for each text, in order, all of one length."""
    vectors: list[Any] = [item.get("embedding") for item in _listed(body, "data", count)]
    width = len(vectors[0]) if isinstance(vectors[0], list) else 0
    if not width or any(not isinstance(vector, list) or len(vector) != width for vector in vectors):
        raise BadAnswer("its embeddings are not lists of one length")
    if not all(_finite(number) for vector in vectors for number in vector):
        raise BadAnswer("an embedding holds something else than numbers")
    return vectors


def read_models(body: Any) -> list[str]:
    """Returns the names of the models that a server lists."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise BadAnswer("its list of models has no data")
    return [str(item["id"]) for item in data if isinstance(item, dict) and "id" in item]


def read_usage(body: dict[str, Any]) -> TokenUsage:
    """Returns the tokens that an answer says it cost; 0 where it does not say."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return TokenUsage()
    return TokenUsage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _listed(body: dict[str, Any], field: str, count: int | None = None) -> list[dict[str, Any]]:
    items = body.get(field)
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise BadAnswer(f"it has no {field}")
    if count is not None and len(items) != count:
        raise BadAnswer(f"it has {len(items)} {field} where {count} were asked")
    numbered = [item.get("index") for item in items]
    if len(items) > 1 and sorted(n for n in numbered if isinstance(n, int)) == list(range(len(items))):
        return sorted(items, key=lambda item: int(item["index"]))
    return items


def _chat_text(choice: dict[str, Any]) -> str:
    content = _message(choice).get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    return without_thoughts(_text("" if content is None else content))


def _silent(choice: dict[str, Any]) -> BadAnswer:
    """Says why a chat answer has no word."""
    if _finish(choice) == "length":
        return BadAnswer(_NO_ROOM, final=True)
    if _finish(choice) == _WITHHELD:
        return BadAnswer("its answer was withheld by the server's content filter", final=True)
    if _message(choice).get("refusal"):
        return BadAnswer("its answer is a refusal", final=True)
    return BadAnswer("the first choice has no text")


def _message(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadAnswer("a choice has no message")
    return message


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadAnswer("a choice has no text")
    return storable(value)


def _model(body: dict[str, Any]) -> list[str]:
    model = body.get("model")
    return [model[:_LONGEST_NAME]] if isinstance(model, str) and model else []


def _finish(choice: dict[str, Any]) -> str:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _continuation(logprobs: Any, start: int) -> list[float]:
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    offsets = logprobs.get("text_offset") if isinstance(logprobs, dict) else None
    if not isinstance(values, list) or not isinstance(offsets, list) or len(values) != len(offsets):
        raise BadAnswer("it has no logprobs for the prompt's tokens; the server must support echo with logprobs")
    pairs = zip(values, offsets, strict=True)
    scored = [value for value, offset in pairs if isinstance(offset, int) and offset >= start]
    # The first token of a text has nothing before it, so servers give it no logprob.
    if start == 0 and scored and scored[0] is None:
        scored = scored[1:]
    if start and not scored:
        raise BadAnswer("no token begins after a prefix; end prefixes where a word ends, before its space")
    if not all(_finite(value) for value in scored):
        raise BadAnswer("a token of a continuation has no logprob")
    return [float(sum(scored)), len(scored)]
