"""The bodies of streamed answers, as the OpenAI protocol has them."""

from collections.abc import AsyncIterator

from cultivar_generation.teachers.answers import Json, chat_logprobs, completion_logprobs, head, usage
from cultivar_generation.teachers.growing import Piece
from cultivar_generation.teachers.tokens import Tokens


async def chat_chunks(
    model: str, pieces: AsyncIterator[Piece], tokens: Tokens, top: int | None, prompt_tokens: int | None
) -> AsyncIterator[Json]:
    """Makes the chunks of a chat; prompt_tokens: for the usage at the end, None to leave it out."""
    common = {**head("chatcmpl", "chat.completion.chunk", model), **_no_usage_yet(prompt_tokens)}
    begun: set[int] = set()
    spent = 0
    async for piece in pieces:
        delta: Json = {} if piece.choice in begun else {"role": "assistant", "content": ""}
        begun.add(piece.choice)
        if piece.text:
            delta["content"] = piece.text
        choice = {
            "index": piece.choice,
            "delta": delta,
            "logprobs": chat_logprobs(tokens, piece.choices, top) if piece.choices else None,
            "finish_reason": piece.made.finish_reason if piece.made else None,
        }
        spent += piece.made.tokens if piece.made else 0
        yield {**common, "choices": [choice]}
    if prompt_tokens is not None:
        yield {**common, "choices": [], "usage": usage(prompt_tokens, spent)}


async def completion_chunks(
    model: str, pieces: AsyncIterator[Piece], tokens: Tokens, top: int | None, prompt_tokens: int | None
) -> AsyncIterator[Json]:
    """Makes the chunks of completions; prompt_tokens: for the usage at the end, None to leave it out."""
    common = {**head("cmpl", "text_completion", model), **_no_usage_yet(prompt_tokens)}
    offsets: dict[int, int] = {}
    spent = 0
    async for piece in pieces:
        logprobs = None
        if top is not None and piece.choices:
            start = offsets.get(piece.choice, 0)
            logprobs = completion_logprobs(tokens, piece.choices, top, start)
            offsets[piece.choice] = logprobs["text_offset"][-1] + len(logprobs["tokens"][-1])
        choice = {
            "index": piece.choice,
            "text": piece.text,
            "logprobs": logprobs,
            "finish_reason": piece.made.finish_reason if piece.made else None,
        }
        spent += piece.made.tokens if piece.made else 0
        yield {**common, "choices": [choice]}
    if prompt_tokens is not None:
        yield {**common, "choices": [], "usage": usage(prompt_tokens, spent)}


def _no_usage_yet(prompt_tokens: int | None) -> Json:
    return {} if prompt_tokens is None else {"usage": None}
