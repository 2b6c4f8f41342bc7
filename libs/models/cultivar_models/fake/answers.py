"""The fake teacher's answers in the OpenAI protocol's form."""

import base64
import hashlib
import json
import random
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from cultivar_models.fake.embedding import embedding
from cultivar_models.fake.likelihood import Token, tokens
from cultivar_models.fake.settings import FakeSettings
from cultivar_models.fake.structured import structured
from cultivar_models.fake.writing import write

_WORDS_A_TOKEN = 0.75
THOUGHT = "Okay, the user wants something.\n\nLet me think about what that may be."
HALF = '{"items": [{"instruction": "half an it'


class Refused(Exception):
    """Says that a request is not one of the protocol; answered with status 400."""


def chat(body: dict[str, Any]) -> dict[str, Any]:
    """Answers `/v1/chat/completions`: the last user message is the prompt."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise Refused("messages must be a list of objects with role and content")
    prompt = next((str(m.get("content", "")) for m in reversed(messages) if m.get("role") == "user"), "")
    schema = asked_schema(body)
    writer = partial(structured, schema) if schema is not None else write
    texts = _choices(body, prompt, json.dumps([messages, schema], sort_keys=True), writer)
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text.strip()}, "finish_reason": finish}
        for index, (text, finish) in enumerate(texts)
    ]
    prompts = "\n".join(str(m.get("content", "")) for m in messages)
    return _envelope("chat.completion", body, choices, [prompts], [text for text, _ in texts])


def completions(body: dict[str, Any]) -> dict[str, Any]:
    """Answers `/v1/completions`: one prompt or a list of them, with echo, logprobs and max_tokens 0."""
    prompts = body.get("prompt")
    prompts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise Refused("prompt must be a text or a list of texts")
    choices: list[dict[str, Any]] = []
    written: list[str] = []
    for prompt in prompts:
        for text, finish in _choices(body, prompt, prompt):
            echoed = prompt if body.get("echo") else ""
            choice: dict[str, Any] = {"index": len(choices), "text": echoed + text, "finish_reason": finish}
            choice["logprobs"] = None
            if body.get("logprobs") is not None:
                choice["logprobs"] = _logprobs(prompt, text, bool(body.get("echo")))
            choices.append(choice)
            written.append(text)
    return _envelope("text_completion", body, choices, prompts, written)


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """Answers `/v1/embeddings`: one text or a list, as numbers or in base64."""
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise Refused("input must be a text or a list of texts")
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(text) if packed else embedding(text)}
        for index, text in enumerate(texts)
    ]
    count = sum(_count(text) for text in texts)
    return {
        "object": "list",
        "model": body["model"],
        "data": data,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def asked_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the JSON schema that a request wants its answer to have; None where it wants none."""
    try:
        schema = body["response_format"]["json_schema"]["schema"]
    except (KeyError, TypeError):
        return None
    return schema if isinstance(schema, dict) else None


def worded(answer: dict[str, Any], settings: FakeSettings) -> dict[str, Any]:
    """Returns an answer with the thoughts before it and without the usage, as the settings have it."""
    for choice in answer.get("choices", []) if settings.thinks else ():
        message = choice.get("message")
        if message and settings.thinks == "closed":
            message["content"] = f"<think>\n{THOUGHT}\n</think>\n\n{message['content']}"
        elif message:
            message["content"], choice["finish_reason"] = f"<think>\n{THOUGHT}", "length"
    if not settings.counts_tokens:
        del answer["usage"]
    return answer


def lied(answer: dict[str, Any]) -> dict[str, Any]:
    """Returns an answer in the protocol's form whose texts are not what was asked for: half of a JSON object."""
    for choice in answer.get("choices", []):
        if "message" in choice:
            choice["message"]["content"] = HALF
        else:
            choice["text"] = HALF
    return answer


def _choices(
    body: dict[str, Any], prompt: str, identity: str, writer: Callable[[str, random.Random], str] = write
) -> list[tuple[str, str]]:
    """Returns (text, finish reason) for each of n choices, from the hash of what shapes the answer."""
    most = body.get("max_tokens", body.get("max_completion_tokens", 1024))
    if not isinstance(most, int) or most < 0:
        raise Refused("max_tokens must be a number, 0 or more")
    if most == 0:
        return [("", "length")]
    shape = [body["model"], identity, body.get("seed"), body.get("temperature"), body.get("top_p")]
    found = []
    for index in range(int(body.get("n") or 1)):
        digest = hashlib.sha256(json.dumps([*shape, index]).encode()).digest()
        found.append(_cut(writer(prompt, random.Random(digest)), body.get("stop"), most))
    return found


def _cut(text: str, stop: Any, most: int) -> tuple[str, str]:
    for end in [stop] if isinstance(stop, str) else stop or []:
        text = text.partition(end)[0] if end else text
    words = text.split(" ")
    most_words = max(1, int(most * _WORDS_A_TOKEN))
    if len(words) > most_words:
        return " ".join(words[:most_words]), "length"
    return text, "stop"


def _logprobs(prompt: str, text: str, echo: bool) -> dict[str, Any]:
    start = 0 if echo else len(prompt)
    shown: list[Token] = [token for token in tokens(prompt + text) if token.offset >= start]
    tops = [None if token.logprob is None else {token.text: token.logprob} for token in shown]
    return {
        "tokens": [token.text for token in shown],
        "token_logprobs": [token.logprob for token in shown],
        "text_offset": [token.offset for token in shown],
        "top_logprobs": tops,
    }


def _envelope(
    kind: str, body: dict[str, Any], choices: list[dict[str, Any]], prompts: list[str], written: list[str]
) -> dict[str, Any]:
    asked, said = sum(map(_count, prompts)), sum(map(_count, written))
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return {
        "id": f"fake-{digest[:24]}",
        "object": kind,
        "created": 0,
        "model": body["model"],
        "choices": choices,
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def _packed(text: str) -> str:
    vector = embedding(text)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _count(text: str) -> int:
    return int(len(text.split()) / _WORDS_A_TOKEN) + 1 if text else 0
