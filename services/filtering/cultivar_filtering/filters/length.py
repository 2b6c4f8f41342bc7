"""length: texts of too few or too many words or characters."""

from collections.abc import Mapping
from typing import ClassVar, Self

from cultivar_records import Example, TaskKind
from cultivar_texts import words
from pydantic import Field, model_validator

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, Rule, keep, reject, wording

ANSWERED = (TaskKind.INSTRUCTION, TaskKind.CODE)
"""The tasks whose answer is free text; elsewhere it is a label or made of spans."""


class LengthConfig(FilterConfig):
    """Bounds, all inclusive. Words are those of the normal form: a script without spaces has one for a character."""

    min_words: int = Field(2, ge=0, description="Fewest words of a text.")
    max_words: int = Field(400, ge=1, description="Most words of a text.")
    min_characters: int = Field(4, ge=0, description="Fewest characters of a text.")
    max_characters: int = Field(4000, ge=1, description="Most characters of a text.")
    min_answer_words: int = Field(1, ge=0, description="Fewest words of an answer, for instruction and code.")
    max_answer_words: int = Field(2000, ge=1, description="Most words of an answer, for instruction and code.")

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        for name in ("words", "characters", "answer_words"):
            if getattr(self, f"min_{name}") > getattr(self, f"max_{name}"):
                raise ValueError(f"min_{name} is above max_{name}: nothing would be kept")
        return self


class Length:
    """Rejects the too short and the too long."""

    description = "Rejects texts, and free answers, of too few or too many words or characters."
    reasons: ClassVar[Mapping[str, str]] = {
        "too_few_words": "the text has fewer words than min_words; the score is their number",
        "too_many_words": "the text has more words than max_words; the score is their number",
        "too_few_characters": "the text has fewer characters than min_characters; the score is their number",
        "too_many_characters": "the text has more characters than max_characters; the score is their number",
        "answer_too_short": "the answer has fewer words than min_answer_words; the score is their number",
        "answer_too_long": "the answer has more words than max_answer_words; the score is their number",
    }
    Config = LengthConfig

    def judge(self, config: LengthConfig, given: Given) -> Judge:
        """Returns a judge of the text's length, then of the answer's."""

        def rule(example: Example) -> Opinion:
            text = wording(example)
            count = len(words(text))
            if not config.min_words <= count <= config.max_words:
                return reject("too_few_words" if count < config.min_words else "too_many_words", count)
            if len(text) < config.min_characters:
                return reject("too_few_characters", len(text))
            if len(text) > config.max_characters:
                return reject("too_many_characters", len(text))
            if example.task in ANSWERED:
                answer = len(words(example.answer))
                if not config.min_answer_words <= answer <= config.max_answer_words:
                    return reject("answer_too_short" if answer < config.min_answer_words else "answer_too_long", answer)
            return keep(count)

        return Rule(rule)
