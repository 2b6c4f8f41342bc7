"""nonsense: texts that do not look like writing, or not like the seeds' writing.

The limits were set on banking77's test split and on the seeds, validation and stand-in messages of the support
example, all of which they leave in, and on random letters, which they leave out. The model of the seeds' characters is
the sharpest of them, and needs about 24 short seeds: then messages that people wrote come to 4.9 bits a character
at most, and random letters to 5.1 or more.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import CharacterModel, legibility
from pydantic import Field

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, Rule, keep, prose, reject, wording


class NonsenseConfig(FilterConfig):
    """Limits of what still looks like writing."""

    min_letters: float = Field(0.5, ge=0, le=1, description="Least share of letters among the visible characters.")
    min_known: float = Field(0.95, ge=0, le=1, description="Least share of assigned, printable characters.")
    max_word_length: float = Field(15.0, gt=0, description="Most characters in a word, on average.")
    max_vowelless: float = Field(0.5, ge=0, le=1, description="Most share of long Latin words without a vowel.")
    max_run: int = Field(12, ge=1, description="Most repeats of one character in a row.")
    max_surprise: float = Field(5.0, gt=0, description="Most bits a character, under a model of the seeds' characters.")
    least_learnt: int = Field(
        2000, ge=0, description="Characters that the seeds must have for `max_surprise` to be looked at."
    )


class Nonsense:
    """Rejects what does not look like writing."""

    description = "Rejects texts that do not look like writing, or whose characters follow each other as in no seed."
    reasons: ClassVar[Mapping[str, str]] = {
        "few_letters": "too few of the visible characters are letters; the score is their share",
        "unknown_characters": "too many characters are controls, unassigned or the mark of a broken encoding",
        "long_words": "the words are too long on average; the score is their mean length",
        "no_vowels": "too many of the long words have no vowel; the score is their share",
        "character_run": "one character is repeated too often in a row; the score is how often",
        "unlike_seeds": "the characters follow each other as in no seed; the score is bits a character",
    }
    Config = NonsenseConfig

    def judge(self, config: NonsenseConfig, given: Given) -> Judge:
        """Returns a judge that has learnt the seeds' characters, where the seeds have enough."""
        learnt = [wording(seed) for seed in given.seeds]
        model = CharacterModel(learnt) if learnt and sum(map(len, learnt)) >= config.least_learnt else None

        def rule(example: Example) -> Opinion:
            for text in prose(example):
                for reason, score in signs(text, config):
                    return reject(reason, score)
            surprise = model.surprise(wording(example)) if model is not None else None
            if surprise is not None and surprise > config.max_surprise:
                return reject("unlike_seeds", surprise)
            return keep(surprise)

        return Rule(rule)


def signs(text: str, config: NonsenseConfig) -> Iterator[tuple[str, float]]:
    """Yields the reasons against a text, each with what was measured."""
    measures = legibility(text)
    if measures.letters < config.min_letters:
        yield "few_letters", measures.letters
    if measures.known < config.min_known:
        yield "unknown_characters", measures.known
    if measures.word_length > config.max_word_length:
        yield "long_words", measures.word_length
    if measures.vowelless > config.max_vowelless:
        yield "no_vowels", measures.vowelless
    if measures.longest_run > config.max_run:
        yield "character_run", measures.longest_run
