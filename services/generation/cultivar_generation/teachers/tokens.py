"""Between texts and tokens: prompts, chats, answers, stop strings."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ChatUnsupported(ValueError):
    """Says that the model's chat template cannot take these messages, or that it has none."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as tokens; offsets: the character where each token's text begins."""

    text: str
    tokens: tuple[int, ...]
    offsets: tuple[int, ...]


class Tokens:
    """Wraps a fast tokenizer; safe to use from several threads."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", eos: Sequence[int]) -> None:
        self._tokenizer: Any = tokenizer
        self._pieces: dict[int, str] = {}
        self._special = tuple(tokenizer.all_special_tokens)
        self.ends = frozenset(eos) | {tokenizer.eos_token_id}

    def encode(self, text: str) -> Encoded:
        """Gives the tokens of a text as it stands; what looks like a special token is one."""
        found = self._tokenizer(text, return_offsets_mapping=True)
        return Encoded(text, tuple(found["input_ids"]), _beginnings(found["offset_mapping"]))

    def given(self, tokens: Sequence[int]) -> Encoded:
        """Takes a prompt that is given as tokens."""
        pieces = [self.piece(token) for token in tokens]
        offsets = [0]
        for piece in pieces:
            offsets.append(offsets[-1] + len(piece))
        return Encoded("".join(pieces), tuple(tokens), tuple(offsets[:-1]))

    def chat(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Gives the tokens of a conversation, up to where the assistant's answer begins.

        What looks like a special token inside a message is text. Raises `ChatUnsupported`.
        """
        if not self._tokenizer.chat_template:
            raise ChatUnsupported("the model has no chat template: use /v1/completions")
        if any(special in message["content"] for message in messages for special in self._special):
            return self._chat_with_special_texts(messages)
        return tuple(self._tokenizer(self._rendered(messages), add_special_tokens=False)["input_ids"])

    def decode(self, tokens: Sequence[int]) -> str:
        """Gives the text of tokens without the special ones."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def piece(self, token: int) -> str:
        """Gives the text of one token; a part of a character becomes U+FFFD."""
        found = self._pieces.get(token)
        if found is None:
            found = str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))
            self._pieces[token] = found
        return found

    @property
    def size(self) -> int:
        """How many tokens there are; a token is smaller than this."""
        return len(self._tokenizer)

    def _rendered(self, messages: Sequence[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except TemplateError as error:
            raise ChatUnsupported("the model's chat template refuses this order of roles") from error

    def _chat_with_special_texts(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        # The template is rendered around marks, and the messages, encoded as plain text, are put in their places.
        marks = [secrets.token_hex(16) for _ in messages]
        marked = [{"role": message["role"], "content": mark} for message, mark in zip(messages, marks, strict=True)]
        rest = self._rendered(marked)
        tokens: list[int] = []
        for message, mark in zip(messages, marks, strict=True):
            before, found, rest = rest.partition(mark)
            if not found:
                raise ChatUnsupported("the model's chat template changes messages: leave special tokens out of them")
            tokens += self._tokenizer(before, add_special_tokens=False)["input_ids"]
            tokens += self._tokenizer(message["content"], add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ]
        return (*tokens, *self._tokenizer(rest, add_special_tokens=False)["input_ids"])


class StopFinder:
    """Looks for stop strings at the end of a growing answer."""

    def __init__(self, tokens: Tokens, stops: Sequence[str]) -> None:
        self._tokens = tokens
        self._stops = tuple(stops)
        # A token has at least one byte: no stop string reaches back over more tokens than it has bytes.
        self._reach = max((len(stop.encode()) for stop in stops), default=0) + 4

    def reached(self, made: Sequence[int]) -> bool:
        """Tells whether a stop string ends within the last token."""
        if not self._stops:
            return False
        tail = self._tokens.decode(made[-self._reach :])
        return any(stop in tail for stop in self._stops)

    def cut(self, text: str) -> str:
        """Gives what stands before the first stop string."""
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        return text[: min(found, default=len(text))]


def _beginnings(spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Gives where each token begins: where the last one ended, or sooner if they share a character.

    Tokenizers differ in whether a span holds the space before a word; here it belongs to the word.
    """
    beginnings, end = [], 0
    for first, last in spans:
        beginnings.append(min(first, end) if last > first else end)
        end = max(end, last)
    return tuple(beginnings)
