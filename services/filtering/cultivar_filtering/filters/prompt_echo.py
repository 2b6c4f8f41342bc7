"""prompt_echo: candidates that copy a seed of their own prompt, or the instruction.

A copy is measured twice, because a copy may be whole with a few words changed, or a part with others around it: by
ROUGE-L (Lin, 2004) and by the share of the text that is one run of words out of the other.
"""

from collections.abc import Mapping, Sequence, Set
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import echo_share, rouge_l, words
from cultivar_texts.near_duplicates import Neighbour
from pydantic import Field

from cultivar_filtering.filters.protocol import Given, Judge, Opinion, Rule, keep, reject, wording
from cultivar_filtering.filters.rests import CopyConfig, Rests


class PromptEchoConfig(CopyConfig):
    """How near a copy may come."""

    max_similarity: float = Field(
        0.85, gt=0, le=1, description="Likeness to a seed of its prompt from which a text is a copy, 0 to 1."
    )
    max_instruction: float = Field(
        0.6, gt=0, le=1, description="Share of a text that may be one run of words of the instruction."
    )
    least_words: int = Field(4, ge=1, description="Words that a text must have to be a copy of the instruction.")


class PromptEcho:
    """Rejects copies of what the prompt showed."""

    description = "Rejects near-copies of the seeds that the prompt showed, and copies of the task's instruction."
    reasons: ClassVar[Mapping[str, str]] = {
        "copy_of_seed": "it is nearly a seed of its prompt, answer included; the score is the likeness of their texts",
        "copy_of_instruction": "the text is a piece of the instruction; the score is its share",
    }
    Config = PromptEchoConfig

    def judge(self, config: PromptEchoConfig, given: Given) -> Judge:
        """Returns a judge that knows the seeds by id; a seed that it was not given is passed over."""
        seeds = {seed.id: (wording(seed), words(wording(seed))) for seed in given.seeds}
        rests = Rests(config)
        for seed in given.seeds:
            rests.hold(seed)
        instruction = given.task.instruction
        told = set(words(instruction))

        def rule(example: Example) -> Opinion:
            text, nearest = wording(example), 0.0
            spoken = words(text)
            for shown in example.provenance.seeds:
                if shown in seeds and shown != example.id:
                    near = Neighbour(shown, likeness(text, spoken, *seeds[shown], config.max_similarity))
                    if near.similarity < config.max_similarity or rests.first(example, [near]):
                        nearest = max(nearest, near.similarity)
            if nearest >= config.max_similarity:
                return reject("copy_of_seed", nearest)
            # A run out of the instruction holds no word that the instruction lacks.
            if len(spoken) >= config.least_words and part_in(spoken, told) > config.max_instruction:
                share = echo_share(instruction, text)
                if share > config.max_instruction:
                    return reject("copy_of_instruction", share)
            return keep(nearest)

        return Rule(rule)


def likeness(text: str, spoken: list[str], seed: str, shown: list[str], threshold: float) -> float:
    """Computes how near a text comes to a seed, from 0 to 1; below the threshold it may be an upper bound instead."""
    if not spoken or not shown:
        return float(text.split() == seed.split())
    part = part_in(spoken, set(shown))
    # Neither measure can be above this, which is computed in a hundredth of their time.
    bound = max(part, min(1.0, 2 * part * len(spoken) / (len(spoken) + len(shown))))
    return bound if bound < threshold else max(rouge_l(text, seed), echo_share(seed, text))


def part_in(spoken: Sequence[str], known: Set[str]) -> float:
    """Computes the share of words that are among others, from 0 to 1; `spoken` is not empty."""
    return sum(word in known for word in spoken) / len(spoken)
