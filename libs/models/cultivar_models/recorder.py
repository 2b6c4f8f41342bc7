"""Recorded answers: what was paid for once is never paid for again."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from cultivar_models.encoding import from_json, to_json
from cultivar_models.endpoint import TokenUsage

_FORM = "cultivar/answer/2"


class Recorder(Protocol):
    """Keeps answers under their call's key, for as long as the work that asked may have to be repeated."""

    async def get(self, key: str) -> bytes | None:
        """Returns the answer kept under the key, or None."""
        ...

    async def put(self, key: str, answer: bytes) -> None:
        """Keeps an answer; returns once it would survive what the recorder promises to survive."""
        ...


class MemoryRecorder:
    """Keeps answers in memory: the fake, and enough for work that need not survive its process."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        """Returns the answer kept under the key, or None."""
        return self.answers.get(key)

    async def put(self, key: str, answer: bytes) -> None:
        """Keeps an answer until the process ends."""
        self.answers[key] = answer


def call_key(path: str, body: Mapping[str, Any], call: str) -> str:
    """Returns the key of a call: SHA-256, 64 hex characters, over the request's path and body and the caller's own id.

    The server's address is left out, so that answers outlive a server that moves; the model's name is in the body.
    """
    return hashlib.sha256(to_json([_FORM, path, body, call], sort_keys=True)).hexdigest()


def to_record(value: Any, usage: TokenUsage) -> bytes:
    """Writes an answer's value (plain JSON) and its tokens as the bytes that a recorder keeps."""
    return to_json([value, usage.prompt_tokens, usage.completion_tokens])


def from_record(record: bytes) -> tuple[Any, TokenUsage]:
    """Reads what `to_record` wrote; the usage says that the answer came from the recorder."""
    value, prompt_tokens, completion_tokens = from_json(record)
    return value, TokenUsage(prompt_tokens, completion_tokens, cached_calls=1)
