"""answer: one instruction in, a response to it out; of a classification task, the label of a text.

It answers seeds that have no answer yet (an import with `unanswered`), and answers others anew.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from cultivar_records import Example, TaskKind, TaskSpec

from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import CUT, EMPTY, plain


class AnswerConfig(StrategyConfig):
    """Answer takes each seed in turn and has no parameters."""


class Answer:
    """Responds to given instructions."""

    description = "Writes a response to the instruction of each seed; of a classification task, its label."
    default_prompt = "answer"
    tasks = (TaskKind.INSTRUCTION, TaskKind.CLASSIFICATION)
    names: ClassVar[Mapping[str, str]] = {
        "text": "what the seed asks",
        "turns": "the messages before the answer, each with role and content",
        "task": "the task, with kind, instruction and labels",
    }
    takes_inputs = True
    Config = AnswerConfig

    def per_call(self, config: AnswerConfig) -> int:
        """Returns 1: an answer is one response."""
        return 1

    def plan(self, number: int, seeds: Sequence[Example], task: TaskSpec, config: AnswerConfig, random: Random) -> Plan:
        """Plans a response to the next seed, round and round."""
        seed = seeds[number % len(seeds)]
        turns = [{"role": message.role, "content": message.content} for message in seed.prompt]
        stop = ("\n",) if task.kind is TaskKind.CLASSIFICATION else ()
        return Plan((seed,), {"text": seed.text, "turns": turns, "task": task}, stop, stop)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: AnswerConfig, cut: bool) -> Drafts:
        """Reads the whole answer as the response; a label may be in any case, and have other words around it."""
        seed, text = plan.seeds[0], plain(answer)
        if not text:
            return Drafts(malformed=[EMPTY])
        if task.kind is TaskKind.CLASSIFICATION:
            named = labels_in(text, task.labels)
            if len(named) != 1:
                return Drafts(malformed=[f"the answer names {len(named) or 'none'} of the task's labels, not one"])
            return Drafts(good=[Draft(seed.text, named[0], seed.prompt)])
        return Drafts(malformed=[CUT]) if cut else Drafts(good=[Draft(seed.text, text, seed.prompt)])


def labels_in(text: str, labels: Sequence[str]) -> list[str]:
    """Returns the labels that a text names, or the one that it is."""
    said = text.strip().strip(".\"'*`").lower()
    whole = [label for label in labels if label.lower() == said]
    return whole or [label for label in labels if label.lower() in said]
