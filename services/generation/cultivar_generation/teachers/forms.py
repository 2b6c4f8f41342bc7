"""Holds answers to the JSON of a schema, token by token, by the grammars of llguidance."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from torch import Tensor

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions
    from transformers import PreTrainedTokenizerFast

# A small model that may put blanks and lines between two values puts nothing else: there is one way to set them.
_LAYOUT: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_KEPT = 64
LARGEST_SCHEMA = 64 * 1024
"""Bytes of a schema as JSON, at most; `_KEPT` of them are held."""
LONGEST_REASON = 200


class FormUnsupported(ValueError):
    """Says why answers cannot be held to a schema."""


class Form:
    """What an answer may still become; one answer's own."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher = matcher
        self.size = size

    def fresh(self) -> Self:
        """Returns the same form for another answer."""
        return type(self)(self._matcher.deep_copy(), self.size)

    def fill(self, bits: "np.ndarray[Any, np.dtype[np.int32]]", row: int) -> None:
        """Sets in a row of bits those of the tokens that may come next."""
        fill_next_token_bitmask(self._matcher, bits, row)

    def take(self, token: int) -> bool:
        """Takes the next token; tells whether the answer is whole with it, so that nothing can follow."""
        self._matcher.consume_token(token)
        return self._matcher.is_stopped()

    @property
    def failed(self) -> bool:
        """Whether the form was too much to go on with."""
        return self._matcher.is_error()


class Forms:
    """Makes forms for the answers of one model; safe to use from several threads.

    ends: the tokens that end an answer.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = sorted(ends)
        self._form = lru_cache(_KEPT)(self._made)
        # What the grammars know of the tokens takes half a second, and not every teacher is asked for JSON.
        self._tokens = lru_cache(1)(self._prepared)

    def of(self, schema: Mapping[str, Any]) -> Form:
        """Returns the form of a JSON schema; raises `FormUnsupported`, which may quote it: for the caller alone."""
        text = json.dumps(schema)
        if len(text) > LARGEST_SCHEMA:
            raise FormUnsupported(f"it has more than {LARGEST_SCHEMA} bytes")
        return self._form(text)

    def _made(self, schema: str) -> Form:
        grammar = LLMatcher.grammar_from_json_schema(schema, overrides=_LAYOUT)
        wrong = LLMatcher.validate_grammar(grammar, self._tokens())
        if wrong:
            raise FormUnsupported(wrong.splitlines()[0][:LONGEST_REASON])
        return Form(LLMatcher(self._tokens(), grammar, log_level=0), len(self._tokenizer))

    def _prepared(self) -> LLTokenizer:
        return from_tokenizer(self._tokenizer, n_vocab=len(self._tokenizer), eos_token=self._ends)


def limited(logits: Tensor, forms: Sequence[Form | None]) -> Tensor:
    """Returns logits (rows, vocabulary), -inf where a row's form allows no token; those given where no row has one."""
    held = [(row, form) for row, form in enumerate(forms) if form is not None]
    if not held:
        return logits
    size = held[0][1].size
    bits = allocate_token_bitmask(len(held), size)
    for place, (_, form) in enumerate(held):
        form.fill(bits, place)
    allowed = np.zeros((len(held), logits.shape[1]), dtype=bool)
    # Models have more logits than tokens where that made their matrices rounder.
    allowed[:, :size] = np.unpackbits(bits.view(np.uint8), axis=1, count=size, bitorder="little")
    rows = [row for row, _ in held]
    found = logits.clone()
    found[rows] = found[rows].masked_fill(~torch.from_numpy(allowed).to(logits.device), float("-inf"))
    return found
