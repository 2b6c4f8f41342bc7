"""answer: one instruction in, a response to it out; of a classification task, the label of a text.

It answers seeds that have no answer yet (an import with `unanswered`), and answers others anew.
"""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from cultivar_records import TaskKind, TaskSpec

from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import CUT, EMPTY, plain, read_json

NEGATION = re.compile(
    r"""(?:\b(?:not|never|neither|nor|than)|n['’]t)(?:\s+(?!but\b)[\w-]+){0,3}[\s"'*`]*\Z""", re.IGNORECASE
)
"""What stands before a label that an answer denies, in the same clause and some words away at most."""


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

    def check(self, config: AnswerConfig, task: TaskSpec) -> str:
        """Refuses nothing."""
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: AnswerConfig, random: Random) -> Plan:
        """Plans a response to the next seed, round and round."""
        seed = seeds[number % len(seeds)]
        turns = [{"role": message.role, "content": message.content} for message in seed.prompt]
        stop = ("\n",) if task.kind is TaskKind.CLASSIFICATION else ()
        label = {"type": "string", "enum": list(task.labels)}
        schema = {
            "type": "object",
            "properties": {"label": label},
            "required": ["label"],
            "additionalProperties": False,
        }
        variables = {"text": seed.text, "turns": turns, "task": task}
        return Plan((seed,), variables, stop, schema if task.kind is TaskKind.CLASSIFICATION else {})

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: AnswerConfig, cut: bool) -> Drafts:
        """Reads the whole answer as the response; a label may be in any case, and have other words around it."""
        seed, text = plan.seeds[0], plain(answer)
        if not text:
            return Drafts(malformed=[EMPTY])
        if task.kind is TaskKind.CLASSIFICATION:
            # Of an answer that was cut the last line is half, and may have gone on to another label.
            whole = text.rpartition("\n")[0] if cut else text
            named = labels_in(whole, task.labels)
            if cut and not named:
                return Drafts(malformed=[CUT])
            if len(named) != 1:
                return Drafts(malformed=[f"the answer names {len(named) or 'none'} of the task's labels, not one"])
            return Drafts(good=[Draft(seed.text, named[0], seed.prompt)])
        return Drafts(malformed=[CUT]) if cut else Drafts(good=[Draft(seed.text, text, seed.prompt)])


def labels_in(text: str, labels: Sequence[str]) -> list[str]:
    """Returns the labels that a text gives: that of its JSON, those that are a line of it, or those that it names."""
    value = read_json(text) if text.startswith(("{", "```")) else None
    if isinstance(value, dict) and len(value) == 1:
        text = str(next(iter(value.values())))
    lines = [line.strip(" \t\r.\"'*`") for line in text.split("\n")]
    lower = [line.lower() for line in lines]
    whole = [label for label in labels if label in lines] or [label for label in labels if label.lower() in lower]
    return whole or named_in(text, labels)


def named_in(text: str, labels: Sequence[str]) -> list[str]:
    """Returns the labels that stand in a text as whole words, are no part of a longer one, and are not denied."""
    longest_first = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    named = {
        match.group().lower()
        for match in re.finditer(rf"(?<![\w-])(?:{longest_first})(?![\w-])", text, re.IGNORECASE)
        if not NEGATION.search(text[max(0, match.start() - 80) : match.start()])
    }
    return [label for label in labels if label.lower() in named]
