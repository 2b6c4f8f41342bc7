"""The bodies of answers, as the OpenAI protocol has them."""

import base64
import secrets
import struct
import time
from collections.abc import Sequence
from typing import Any

from cultivar_generation.teachers.tokens import Encoded, Tokens
from cultivar_generation.teachers.work import Made, Scored, TokenChoice, TopTokens

Json = dict[str, Any]


def usage(prompt: int, completion: int) -> Json:
    """Counts tokens read and made."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def chat_answer(model: str, prompt_tokens: int, made: Sequence[Made], tokens: Tokens, top: int | None) -> Json:
    """Makes the body of an answer to a chat."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": one.text},
            "finish_reason": one.finish_reason,
            "logprobs": chat_logprobs(tokens, one.choices, top),
        }
        for index, one in enumerate(made)
    ]
    spent = usage(prompt_tokens, sum(one.tokens for one in made))
    return {**head("chatcmpl", "chat.completion", model), "choices": choices, "usage": spent}


def completion_answer(model: str, choices: Sequence[Json], prompt_tokens: int, completion_tokens: int) -> Json:
    """Makes the body of an answer to a completion out of its choices."""
    numbered = [{"index": index, **choice} for index, choice in enumerate(choices)]
    spent = usage(prompt_tokens, completion_tokens)
    return {**head("cmpl", "text_completion", model), "choices": numbered, "usage": spent}


def completion_choice(
    tokens: Tokens, prompt: Encoded | None, scored: Scored | None, made: Made | None, top: int | None
) -> Json:
    """Makes one choice of a completion.

    prompt: what to echo, None to echo nothing. scored: the log-probabilities of what is echoed. made: what was
    generated, None when nothing was asked for. top: how many likeliest tokens to report; None: no log-probabilities.
    """
    text = (prompt.text if prompt else "") + (made.text if made else "")
    logprobs = None
    if top is not None:
        logprobs = _merged(_prompt_logprobs(tokens, prompt, scored, top), _made_logprobs(tokens, prompt, made, top))
    return {"text": text, "finish_reason": made.finish_reason if made else "length", "logprobs": logprobs}


def embedding_answer(model: str, vectors: Sequence[list[float]], tokens: int, encoding: str) -> Json:
    """Makes the body of an answer with embeddings; encoding: `float`, or `base64` of little-endian float32."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if encoding == "base64" else vector}
        for index, vector in enumerate(vectors)
    ]
    return {
        "object": "list",
        "model": model,
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def model_list(models: Sequence[str]) -> Json:
    """Makes the body of the list of models."""
    return {"object": "list", "data": [model_entry(name) for name in models]}


def model_entry(name: str) -> Json:
    """Makes what is said of one model."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "cultivar"}


def head(prefix: str, kind: str, model: str) -> Json:
    """Makes what every answer of a kind begins with; model: what really answered."""
    return {"id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": model}


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def chat_logprobs(tokens: Tokens, choices: Sequence[TokenChoice], top: int | None) -> Json | None:
    """Makes the log-probabilities of a chat's tokens; None where none were asked for."""
    return None if top is None else {"content": [_chat_logprob(choice, tokens) for choice in choices]}


def _chat_logprob(choice: TokenChoice, tokens: Tokens) -> Json:
    top = [_chat_token(token, logprob, tokens) for token, logprob in choice.top]
    return {**_chat_token(choice.token, choice.logprob, tokens), "top_logprobs": top}


def _chat_token(token: int, logprob: float, tokens: Tokens) -> Json:
    piece = tokens.piece(token)
    return {"token": piece, "logprob": logprob, "bytes": list(piece.encode())}


def _prompt_logprobs(tokens: Tokens, prompt: Encoded | None, scored: Scored | None, top: int) -> Json:
    if prompt is None or scored is None:
        return _logprobs([], [], [], [])
    pieces = [tokens.piece(token) for token in prompt.tokens]
    tops = [_top(tokens, likeliest) if top and index else None for index, likeliest in enumerate(scored.tops)]
    return _logprobs(pieces, list(scored.logprobs), tops, list(prompt.offsets))


def _made_logprobs(tokens: Tokens, prompt: Encoded | None, made: Made | None, top: int) -> Json:
    if made is None:
        return _logprobs([], [], [], [])
    return completion_logprobs(tokens, made.choices, top, len(prompt.text) if prompt else 0)


def completion_logprobs(tokens: Tokens, choices: Sequence[TokenChoice], top: int, start: int) -> Json:
    """Makes the log-probabilities of made tokens, the first of which begins at the character `start` of the answer."""
    pieces = [tokens.piece(choice.token) for choice in choices]
    offsets = [start]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    tops = [_top(tokens, choice.top) if top else None for choice in choices]
    return _logprobs(pieces, [choice.logprob for choice in choices], tops, offsets[:-1])


def _top(tokens: Tokens, likeliest: TopTokens) -> dict[str, float]:
    found: dict[str, float] = {}
    for token, logprob in likeliest:
        # Two parts of characters can look alike: the likelier one stays.
        found.setdefault(tokens.piece(token), logprob)
    return found


def _logprobs(pieces: list[str], logprobs: list[float | None], tops: list[Any], offsets: list[int]) -> Json:
    return {"tokens": pieces, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets}


def _merged(first: Json, second: Json) -> Json:
    return {key: first[key] + second[key] for key in first}
