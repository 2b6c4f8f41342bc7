"""rewrite: one seed in, a variant of it out; what the variant changes is a parameter, how it changes is the prompt."""

import re
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import ClassVar, Literal

from cultivar_records import Example, TaskKind, TaskSpec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cultivar_generation.prompts import names_in
from cultivar_generation.strategies.answer import labels_in
from cultivar_generation.strategies.marking import mark, read_marked, unmark
from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import ANY_TASK, Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import CUT, EMPTY, MORE, plain, read_fields, record_schema

FIELDS = {
    "text": ("instruction", "question", "prompt", "task", "input", "problem"),
    "answer": ("response", "answer", "output", "solution"),
}
PAIR_TOKENS = 320
TAIL = re.compile(
    r"\n[ \t]*\n(?:(?:please )?(?:let me know|feel free)|i hope (?:this|that|it)|is there anything|note:)[^\n]*$", re.I
)
"""What a chat model says after the text that it was asked for."""


class RoundTrip(BaseModel):
    """A second question about a variant, whose answer must be like the seed's input, as a translation put back is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str = Field(
        min_length=1, max_length=20_000, description="The question, in Jinja2; it may name draft, text, axes and task."
    )
    least: float = Field(0.5, ge=0, le=1, description="The least ROUGE-L of the answer and the seed's input.")

    @field_validator("template")
    @classmethod
    def _names_what_it_is_given(cls, template: str) -> str:
        if unknown := names_in(template) - {"draft", "text", "axes", "task"}:
            raise ValueError(f"it names {min(unknown)!r}, and is given draft, text, axes and task")
        return template


class RewriteConfig(StrategyConfig):
    """What of a seed the teacher writes anew, and how a variant is checked."""

    changes: Literal["input", "answer", "both", "label"] = Field(
        "input",
        description="input: the input, its answer or label kept; answer: the answer, its input kept; both: a new input "
        "with an answer to it; label: the input, so that another label of the task is right.",
    )
    policy: str = Field(
        "", max_length=20_000, description="The text of a policy that a template may show, as style-answer does."
    )
    check: RoundTrip | None = Field(None, description="A second call for each variant that checks it; none if absent.")


class Rewrite:
    """Writes a variant of a seed."""

    description = "Rewrites the input of one seed and keeps its label or answer; or the answer, both, or the label."
    default_prompt = "paraphrase"
    tasks = ANY_TASK
    names: ClassVar[Mapping[str, str]] = {
        "text": "the seed's input; of an entities task with its entities marked as [surface](label)",
        "answer": "the seed's answer or label",
        "other": "another label of a classification task, empty where there is none",
        "label": "the label that the variant will have, empty where there are none",
        "policy": "what the parameter policy says",
        "task": "the task, with kind, instruction, labels, input_name and output_name",
    }
    takes_inputs = False
    Config = RewriteConfig

    def per_call(self, config: RewriteConfig) -> int:
        """Returns 1: an answer is one rewriting."""
        return 1

    def check(self, config: RewriteConfig, task: TaskSpec) -> str:
        """Refuses to change what a kind of task does not have, or cannot keep."""
        kind, changes = task.kind, config.changes
        if changes == "answer" and kind in (TaskKind.CLASSIFICATION, TaskKind.ENTITIES):
            return f"changes is answer, and the answer of the kind {kind} is its labels: use changes: input"
        if changes == "label" and (kind is not TaskKind.CLASSIFICATION or len(task.labels) < 2):
            return "changes is label, which needs a task of the kind classification with two labels or more"
        if changes == "both" and kind in (TaskKind.ENTITIES, TaskKind.CODE):
            lost, other = ("spans", "expand") if kind is TaskKind.ENTITIES else ("tests", "code")
            return f"changes is both, which loses the {lost} of the kind {kind}: use the strategy {other}"
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: RewriteConfig, random: Random) -> Plan:
        """Plans one rewriting of the next seed, round and round."""
        seed = seeds[number % len(seeds)]
        others = [label for label in task.labels if label != seed.label] if seed.label else []
        other = random.choice(others) if others else ""
        variables = {
            "label": other if config.changes == "label" else seed.label or "",
            "text": mark(seed.text, seed.spans) if task.kind is TaskKind.ENTITIES else seed.text,
            "answer": seed.answer,
            "other": other,
            "policy": config.policy,
            "task": task,
        }
        # A continuation has no end of its own; where the seed has paragraphs, a blank line is none either.
        stop = ("\n\n",) if config.changes in ("input", "label") and "\n\n" not in seed.text else ()
        schema = record_schema("instruction", "response") if config.changes == "both" else {}
        return Plan((seed,), variables, stop, schema=schema, tokens=PAIR_TOKENS if schema else 0)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: RewriteConfig, cut: bool) -> Drafts:
        """Reads the whole answer as one text, or a new input with its answer."""
        if cut:
            return Drafts(malformed=[CUT])
        seed = plan.seeds[0]
        of_one_paragraph = config.changes in ("input", "label") and "\n\n" not in seed.text
        text = plain(TAIL.sub("", answer.strip()) if of_one_paragraph else answer)
        if not text:
            return Drafts(malformed=[EMPTY])
        if config.changes == "both":
            return new_pair(answer, task)
        if config.changes == "answer":
            return Drafts(good=[Draft(seed.text, text, seed.prompt, tests=seed.tests, evidence=seed.evidence)])
        if config.changes == "label":
            other = str(plan.variables.get("other", ""))
            return Drafts(good=[Draft(text, other)]) if other else Drafts(malformed=["the task has no other label"])
        if task.kind is TaskKind.ENTITIES:
            return marked(text, seed, task)
        before = (*seed.prompt[:-1], seed.prompt[-1].model_copy(update={"content": text}))
        messages = before if seed.prompt[-1].role == "user" else ()
        return Drafts(good=[Draft(text, seed.answer, messages, tests=seed.tests, evidence=seed.evidence)])


def new_pair(answer: str, task: TaskSpec) -> Drafts:
    """Reads a new input with an answer to it, which is a label where the task has labels to sort by."""
    records, _ = read_fields(answer, FIELDS)
    record = records[0] if records else {}
    if not record.get("text") or not record.get("answer"):
        return Drafts(malformed=["the answer has no new instruction or no response to it"])
    given = record["answer"]
    if task.kind is TaskKind.CLASSIFICATION:
        named = labels_in(given, task.labels)
        if len(named) != 1:
            return Drafts(malformed=["the response to the new instruction is not one of the task's labels"])
        given = named[0]
    return Drafts([Draft(record["text"], given)], [MORE] * (len(records) - 1))


def marked(text: str, seed: Example, task: TaskSpec) -> Drafts:
    """Reads a rewritten sentence whose entities are marked; all of the seed's must be there."""
    sentence, spans = unmark(text)
    wanted = Counter((seed.text[span.start : span.end].lower(), span.label) for span in seed.spans)
    found = Counter((sentence[span.start : span.end].lower(), span.label) for span in spans)
    if wanted - found:
        return Drafts(malformed=[f"{(wanted - found).total()} of the seed's entities are not marked in the answer"])
    draft = read_marked(text, task, [seed])
    return Drafts(malformed=[draft]) if isinstance(draft, str) else Drafts(good=[draft])
