"""repetition: texts that say the same again and again.

The measures and limits are table A1 of Rae et al. (2021), "Scaling Language Models: Methods, Analysis & Insights from
Training Gopher" (arXiv 2112.11446). They were set for documents, and Gopher takes none under 50 words: in a message of
ten words a pair of words that occurs twice is a third of it and says nothing. So the commonest pairs, threes and
fours are looked at from 50 words on, and shorter texts are asked for distinct words instead.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import GOPHER_LIMITS, exceeded, words
from cultivar_texts import repetition as measured
from pydantic import Field

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, Rule, keep, prose, reject

TOP = ("top_2_gram_characters", "top_3_gram_characters", "top_4_gram_characters")
FEWEST_WORDS = 5
"""Under so many words nothing can be called repetitive: "no, no, no!"."""


class RepetitionConfig(FilterConfig):
    """How much of a text may repeat."""

    scale: float = Field(1.0, gt=0, le=10, description="What each of Gopher's limits is multiplied by.")
    document_words: int = Field(50, ge=1, description="Words from which the commonest n-grams are looked at.")
    min_distinct: float = Field(0.4, ge=0, le=1, description="Least share of distinct words in a shorter text.")


class Repetition:
    """Rejects what repeats itself."""

    description = "Rejects texts, and answers to instructions, that repeat lines, paragraphs, phrases or words."
    reasons: ClassVar[Mapping[str, str]] = {
        **{name: f"Gopher's measure of {name.replace('_', ' ')} is above its limit" for name in GOPHER_LIMITS},
        "few_distinct_words": "a short text has too few distinct words; the score is their share",
    }
    Config = RepetitionConfig

    def judge(self, config: RepetitionConfig, given: Given) -> Judge:
        """Returns a judge by Gopher's limits, times the scale; the first measure that is above gives the score."""
        long = {name: limit * config.scale for name, limit in GOPHER_LIMITS.items()}
        short = {name: limit for name, limit in long.items() if name not in TOP}

        def rule(example: Example) -> Opinion:
            for text in prose(example):
                tokens = words(text)
                if len(tokens) < FEWEST_WORDS:
                    continue
                is_short = len(tokens) < config.document_words
                distinct = len(set(tokens)) / len(tokens)
                if is_short and distinct < config.min_distinct:
                    return reject("few_distinct_words", distinct)
                if not repeats(text, tokens):
                    continue
                measures = measured(text)
                if above := exceeded(measures, short if is_short else long):
                    return reject(above[0], measures[above[0]])
            return keep()

        return Rule(rule)


def repeats(text: str, tokens: Sequence[str]) -> bool:
    """Tells whether a text has several lines, or a pair of words twice; else all of Gopher's measures are 0."""
    pairs = list(pairwise(tokens))
    return len(text.splitlines()) > 1 or len(set(pairs)) < len(pairs)
