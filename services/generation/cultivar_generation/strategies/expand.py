"""expand: several seeds in, new examples in their manner out, as a list.

Self-Instruct (arXiv 2212.10560) shows eight examples and lets the model go on; a small teacher does better when it
continues a list than when it is told what to write.
"""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, Literal

from cultivar_records import TaskKind, TaskSpec
from pydantic import Field

from cultivar_generation.prompts import Form
from cultivar_generation.strategies.choosing import Rule, choose
from cultivar_generation.strategies.marking import mark, read_marked
from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import (
    CUT,
    HALF,
    is_json,
    json_start,
    list_schema,
    marked_in,
    read_fields,
    read_texts,
    record_schema,
    unbolded,
    unquoted,
)

# No number with a fraction is the mark of an item, nor a dash before a word.
ITEM = re.compile(r"^\s*(?:[*_]*\d{1,3}[.):](?!\d)[*_]*|[-*•](?=\s|$))\s*")
POLITE = re.compile(r"^\W*(?:sure|certainly|of course|absolutely|okay|here(?:['’]s| is| are))\b", re.IGNORECASE)
LINE_TOKENS, PAIR_TOKENS = 64, 160
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
    guidelines: dict[str, str] = Field(
        {},
        description="What belongs to a label, in a sentence or two, for each label. A label without seeds is written "
        "from its guideline alone; one that has neither is left out.",
    )
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

    def check(self, config: ExpandConfig, task: TaskSpec) -> str:
        """Refuses guidelines of what is no label."""
        unknown = sorted(set(config.guidelines) - set(task.labels))
        if unknown:
            known = ", ".join(task.labels) or "none"
            return f"guidelines names {unknown[0]!r}, which is no label of the task (its labels: {known})"
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: ExpandConfig, random: Random) -> Plan:
        """Plans one list; labels that have seeds or a guideline take turns."""
        label = ""
        if task.kind is TaskKind.CLASSIFICATION:
            labels = [label for label in task.labels if seeds.of(label) or label in config.guidelines]
            label = labels[number % len(labels)]
            seeds = seeds.of(label)
        shown = choose(config.choose, seeds, config.shots, random)
        entities, lines = task.kind is TaskKind.ENTITIES, in_lines(task, config)
        texts = [mark(seed.text, seed.spans) if entities else seed.text for seed in shown]
        variables = {
            "shots": [
                {"text": one_line(text) if lines else text, "answer": seed.answer}
                for text, seed in zip(texts, shown, strict=True)
            ],
            "label": label,
            "guideline": config.guidelines.get(label, ""),
            "count": config.per_call,
            "next": len(shown) + 1,
            "task": task,
        }
        # The list ends before the first item that was not asked for, so that no token is paid for it.
        last = f"\n{len(shown) + 1 + config.per_call}."
        stop = ("\n\n", last) if lines and not entities else (last,) if lines else (f"{last} Instruction:",)
        # Lines are read as they come: small models write them worse within JSON, and no model needs it for a list.
        schema = {} if lines else list_schema(record_schema("instruction", "response"), config.per_call)
        tokens = (LINE_TOKENS if lines else PAIR_TOKENS) * config.per_call
        return Plan(shown, variables, stop, schema=schema, tokens=tokens)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: ExpandConfig, cut: bool) -> Drafts:
        """Reads the items of the list that the answer continues or is, up to the number asked for."""
        if in_lines(task, config):
            texts, wrong = items(answer, plan.form, cut)
            entities, label = task.kind is TaskKind.ENTITIES, str(plan.variables["label"])
            found = [read_marked(text, task, plan.seeds) if entities else Draft(text, label) for text in texts]
        else:
            found, wrong = pairs(answer, plan, cut)
        drafts = Drafts(malformed=wrong)
        for one in found:
            drafts.add(one, config.per_call)
        return drafts if drafts.good or drafts.malformed else Drafts(malformed=[NO_ITEM])


def in_lines(task: TaskSpec, config: ExpandConfig) -> bool:
    """Tells whether an example is one line of a list, and not an instruction with its response."""
    return task.kind is not TaskKind.INSTRUCTION or config.answers == "leave"


def items(answer: str, form: Form, cut: bool) -> tuple[list[str], list[str]]:
    """Returns the texts of a list, JSON or marked lines, and why the other pieces of the answer are none.

    A continuation goes on after the mark of its first item. In chat what stands before the first mark is no item; where
    no line has a mark, the first that is no mere politeness is one.
    """
    lines = [line for line in answer.split("\n") if line.strip() and not line.lstrip().startswith("```")]
    marked = next((place for place, line in enumerate(lines) if ITEM.match(line)), None)
    if is_json(answer) or (json_start(answer) is not None and form == "chat" and marked is None):
        texts = read_texts(answer)
        return ([], [HALF]) if texts is None else sorted_out(texts)
    wrong = [CUT] if cut else []
    lines = lines[:-1] if cut else lines
    if form == "chat" and marked is not None:
        lines = lines[marked:]
    while lines and not ITEM.match(lines[0]) and is_lead(lines[0], form):
        lines = lines[1:]
    # The first may be without a mark, which stands in the prompt or was not written.
    whole = [line for place, line in enumerate(lines) if not place or ITEM.match(line)]
    good, empty = sorted_out([ITEM.sub("", line, count=1) for line in whole])
    return good, [*wrong, *empty, *["a line is not an item of the list"] * (len(lines) - len(whole))]


def is_lead(line: str, form: Form) -> bool:
    """Tells whether an unmarked line leads to what was asked for; in chat a politeness is no more either."""
    return line.rstrip().endswith(":") or (form == "chat" and POLITE.match(line) is not None)


def sorted_out(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the texts of items without quotation marks or bold type around them, and a reason for each empty one."""
    bare = [unquoted(unbolded(text.strip())) for text in texts]
    return [text for text in bare if text], ["an item of the list is empty" for text in bare if not text]


def pairs(answer: str, plan: Plan, cut: bool) -> tuple[list[Draft | str], list[str]]:
    """Returns the pairs of instruction and response of an answer, and why the rest of it is none."""
    if plan.form == "continuation":
        fields = {name: marked_in(plan.template, words) for name, words in FIELDS.items()}
        records, wrong = read_fields(answer, fields, cut, opens="text")
    else:
        records, wrong = read_fields(answer, FIELDS, cut)
    whole = [Draft(one["text"], one["answer"]) for one in records if one.get("text") and one.get("answer")]
    return [*whole], [*wrong, *["an item has no instruction or no response"] * (len(records) - len(whole))]


def one_line(text: str) -> str:
    """Returns a text with each run of white space made one space."""
    return " ".join(text.split())
