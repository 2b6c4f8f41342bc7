"""documents: one passage of a text file in, questions that it answers and their answers out, the passage as evidence.

The seeds are passages: the import of a text or Markdown file cuts them.
"""

import re
from collections.abc import Mapping
from random import Random
from typing import ClassVar

from cultivar_records import TaskKind, TaskSpec
from cultivar_texts import words
from pydantic import Field

from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import list_schema, read_fields, record_schema

YES_NO = re.compile(r"^\s*(?:yes|no)(?:[,.!:;]\s*|\s*$)", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
NAME = re.compile(r"\b(?!I\b)[A-ZÀ-ÖØ-Þ]\w*")
FIELDS = {"question": ("question", "q"), "answer": ("answer", "a", "response")}
PAIR_TOKENS = 128
PAIR = record_schema(*FIELDS)


class DocumentsConfig(StrategyConfig):
    """How many pairs a passage gives, and how far their answers must lie in it."""

    per_call: int = Field(3, ge=1, le=16, description="Pairs that one call is asked for.")
    grounded: float = Field(
        0.5,
        ge=0,
        le=1,
        description="The least share of an answer's words that the passage must hold, and with it each of its numbers "
        "and names that the question does not say; 0 for any answer.",
    )
    with_passage: bool = Field(
        False, description="Whether the passage stands before the question, to train a model that is given passages."
    )


class Documents:
    """Asks and answers what a passage says."""

    description = "Writes questions that a passage of a text file answers, with their answers; the passage is evidence."
    default_prompt = "documents"
    tasks = (TaskKind.INSTRUCTION,)
    names: ClassVar[Mapping[str, str]] = {
        "passage": "the passage",
        "count": "pairs to write",
        "task": "the task, with kind and instruction",
    }
    takes_inputs = True
    Config = DocumentsConfig

    def per_call(self, config: DocumentsConfig) -> int:
        """Returns how many pairs one call is asked for."""
        return config.per_call

    def check(self, config: DocumentsConfig, task: TaskSpec) -> str:
        """Refuses nothing."""
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: DocumentsConfig, random: Random) -> Plan:
        """Plans the questions of the next passage, round and round."""
        seed = seeds[number % len(seeds)]
        variables = {"passage": seed.text, "count": config.per_call, "task": task}
        return Plan((seed,), variables, schema=list_schema(PAIR, config.per_call), tokens=PAIR_TOKENS * config.per_call)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: DocumentsConfig, cut: bool) -> Drafts:
        """Reads pairs of question and answer, up to the number asked for."""
        passage = plan.seeds[0].text
        records, wrong = read_fields(answer, FIELDS, cut)
        drafts = Drafts(malformed=wrong)
        for record in records:
            question, reply = record.get("question", ""), record.get("answer", "")
            if not question or not reply:
                drafts.add("a pair has no question or no answer", config.per_call)
            elif config.grounded and not grounded(reply, question, passage, config.grounded):
                drafts.add("an answer says what the passage does not", config.per_call)
            else:
                text = f"{passage}\n\n{question}" if config.with_passage else question
                drafts.add(Draft(text, reply, evidence=(passage,)), config.per_call)
        return drafts if records or wrong else Drafts(malformed=["the answer holds no whole pair"])


def grounded(reply: str, question: str, passage: str, least: float) -> bool:
    """Tells whether a passage holds what a reply says: the share of its words, its numbers, and its names.

    What the question says already needs no passage, nor does a yes or no.
    """
    said = YES_NO.sub("", reply).strip()
    if not said.strip(" .!"):
        return True
    known = facts(question) | facts(passage) | set(words(passage)) | set(words(question))
    return shared(said, passage) >= least and facts(said) <= known


def facts(text: str) -> set[str]:
    """Returns the numbers of a text and its capitalised words, but for those with which a sentence merely begins."""
    found = {number.replace(",", "") for number in NUMBER.findall(text)}
    for name in NAME.finditer(text):
        before = text[: name.start()].rstrip(" \t\"'“(*-")
        if before and before[-1] not in ".!?:;\n":
            found.add(name.group().casefold())
    return found


def shared(part: str, whole: str) -> float:
    """Computes the share of the distinct words of a text that another holds too, 0 to 1; 0 for a text without words."""
    ours = set(words(part))
    return len(ours & set(words(whole))) / len(ours) if ours else 0.0
