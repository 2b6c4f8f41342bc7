"""expand: several seeds in, new examples in their manner out, as a list.

Self-Instruct (arXiv 2212.10560) shows eight examples and lets the model go on; a small teacher does better when it
continues a list than when it is told what to write.
"""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, Literal

from cultivar_records import Example, TaskKind, TaskSpec, entities_answer
from pydantic import Field

from cultivar_generation.strategies.choosing import Rule, choose
from cultivar_generation.strategies.marking import mark, unmark
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import (
    HALF,
    half_json,
    list_schema,
    read_fields,
    read_json,
    read_texts,
    record_schema,
)

ITEM = re.compile(r"^\s*(?:(\d+)[.):]|[-*•])\s*")
RESPONSE = re.compile(r"\n\s*[*#]*\s*(?:Response|Answer)[*]*:[*]*\s*")
BLOCK = re.compile(r"\n\s*(?:\d+[.)]\s*)?[*#]*\s*Instruction(?: \d+)?[*]*:[*]*\s*")
FIELDS = {"text": ("instruction", "task", "question", "input"), "answer": ("response", "answer", "output")}
NO_ITEM = "the answer holds no whole item"


class ExpandConfig(StrategyConfig):
    """How many seeds a prompt shows, which, and what is read from an answer."""

    shots: int = Field(8, ge=1, le=32, description="Seeds that a prompt shows, fewer where a label has fewer.")
    per_call: int = Field(4, ge=1, le=16, description="New examples that one call is asked for.")
    choose: Rule = Field(
        "random",
        description="Which seeds a prompt shows: random, nearest to one drawn, most diverse among them, or "
        "best-reviewed: those with the highest mean score of their reviews, as accepted examples have it, and seeds "
        "without one last.",
    )
    guidelines: dict[str, str] = Field({}, description="What belongs to a label, in a sentence or two, for each label.")
    answers: Literal["write", "leave"] = Field(
        "write", description="Whether new instructions come with responses, or are left for the strategy answer."
    )


class Expand:
    """Writes new examples in the manner of several."""

    description = "Continues a list of seeds, of one label where there are labels, with new examples in their manner."
    default_prompt = "continue"
    tasks = (TaskKind.CLASSIFICATION, TaskKind.ENTITIES, TaskKind.INSTRUCTION)
    names: ClassVar[Mapping[str, str]] = {
        "shots": "the seeds, each with text and answer; of an entities task marked as [surface](label)",
        "label": "the label of a classification task, else empty",
        "guideline": "what the parameter guidelines says of the label, else empty",
        "count": "examples to write",
        "next": "the number that the list goes on with",
        "task": "the task, with kind, instruction, labels, input_name and output_name",
    }
    takes_inputs = False
    Config = ExpandConfig

    def per_call(self, config: ExpandConfig) -> int:
        """Returns how many examples one call is asked for."""
        return config.per_call

    def plan(self, number: int, seeds: Sequence[Example], task: TaskSpec, config: ExpandConfig, random: Random) -> Plan:
        """Plans one list; labels take turns."""
        label = ""
        if task.kind is TaskKind.CLASSIFICATION:
            labels = [label for label in task.labels if any(seed.label == label for seed in seeds)]
            label = labels[number % len(labels)]
            seeds = [seed for seed in seeds if seed.label == label]
        shown = choose(config.choose, seeds, config.shots, random)
        entities = task.kind is TaskKind.ENTITIES
        shots = [
            {
                "text": one_line(mark(seed.text, seed.spans) if entities else seed.text),
                "answer": one_line(seed.answer),
            }
            for seed in shown
        ]
        variables = {
            "shots": shots,
            "label": label,
            "guideline": config.guidelines.get(label, ""),
            "count": config.per_call,
            "next": len(shots) + 1,
            "task": task,
        }
        # The list ends before the first item that was not asked for, so that no token is paid for it.
        last = f"\n{len(shots) + 1 + config.per_call}."
        lines = bool(label) or config.answers == "leave"
        schema = list_schema({"type": "string"} if lines or entities else record_schema("instruction", "response"))
        return Plan(shown, variables, ("\n\n", last) if lines else (last,), schema=schema)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: ExpandConfig, cut: bool) -> Drafts:
        """Reads the items of the list that the answer continues or is, up to the number asked for."""
        label = str(plan.variables["label"])
        if half_json(answer):
            return Drafts(malformed=[HALF])
        if label or task.kind is TaskKind.ENTITIES or config.answers == "leave":
            texts = read_texts(answer)
            if texts is not None:
                return self._read_lines([f"- {text}" for text in texts], label, task, config.per_call)
            lines = [line for line in answer.strip().split("\n") if line.strip()]
            if lines and lines[0].rstrip().endswith(":") and not ITEM.match(lines[0]):
                lines = lines[1:]
            return self._read_lines(lines[:-1] if cut else lines, label, task, config.per_call)
        if isinstance(read_json(answer), list | dict):
            records = read_fields(answer, FIELDS)
            return as_pairs([(one.get("text", ""), one.get("answer", "")) for one in records[: config.per_call]])
        blocks = [block for block in BLOCK.split("\n" + answer.strip()) if block.strip()]
        whole = blocks[:-1] if cut else blocks
        pairs = [[part.strip() for part in RESPONSE.split(block.strip(), maxsplit=1)] for block in whole]
        return as_pairs([(pair[0], pair[1] if len(pair) > 1 else "") for pair in pairs[: config.per_call]])

    def _read_lines(self, lines: Sequence[str], label: str, task: TaskSpec, most: int) -> Drafts:
        drafts = Drafts()
        for place, line in enumerate(lines[:most]):
            text = ITEM.sub("", line).strip().strip('"').strip()
            if place and not ITEM.match(line):
                drafts.malformed.append("a line is not an item of the list")
            elif not text:
                drafts.malformed.append("an item of the list is empty")
            elif task.kind is TaskKind.ENTITIES:
                read_marked(text, task, drafts)
            else:
                drafts.good.append(Draft(text, label))
        return drafts if lines else Drafts(malformed=[NO_ITEM])


def read_marked(text: str, task: TaskSpec, drafts: Drafts) -> None:
    """Reads a sentence whose entities are marked, with labels of the task alone."""
    sentence, spans = unmark(text)
    unknown = [span for span in spans if task.labels and span.label not in task.labels]
    if unknown:
        drafts.malformed.append("an entity has a label that the task does not have")
    else:
        drafts.good.append(Draft(sentence, entities_answer(sentence, spans), spans=spans))


def as_pairs(pairs: Sequence[tuple[str, str]]) -> Drafts:
    """Returns the drafts of pairs of instruction and response, those that are not whole as malformed."""
    drafts = Drafts()
    for text, response in pairs:
        if text and response:
            drafts.good.append(Draft(text, response))
        else:
            drafts.malformed.append("an item has no instruction or no response")
    return drafts if pairs else Drafts(malformed=[NO_ITEM])


def one_line(text: str) -> str:
    """Returns a text with each run of white space made one space."""
    return " ".join(text.split())
