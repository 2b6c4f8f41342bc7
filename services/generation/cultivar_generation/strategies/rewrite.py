"""rewrite: one seed in, a variant of it out; what the variant changes is a parameter, how it changes is the prompt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, Literal

from cultivar_records import Example, TaskKind, TaskSpec, entities_answer
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cultivar_generation.prompts import names_in
from cultivar_generation.strategies.marking import mark, unmark
from cultivar_generation.strategies.protocol import ANY_TASK, Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import CUT, EMPTY, plain, read_fields, record_schema

FIELDS = {
    "text": ("instruction", "question", "prompt", "task", "input", "problem"),
    "answer": ("response", "answer", "output", "solution"),
}


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
        "task": "the task, with kind, instruction, labels, input_name and output_name",
    }
    takes_inputs = False
    Config = RewriteConfig

    def per_call(self, config: RewriteConfig) -> int:
        """Returns 1: an answer is one rewriting."""
        return 1

    def plan(
        self, number: int, seeds: Sequence[Example], task: TaskSpec, config: RewriteConfig, random: Random
    ) -> Plan:
        """Plans one rewriting of the next seed, round and round."""
        seed = seeds[number % len(seeds)]
        others = [label for label in task.labels if label != seed.label] if seed.label else []
        other = random.choice(others) if others else ""
        variables = {
            "label": other if config.changes == "label" else seed.label or "",
            "text": mark(seed.text, seed.spans) if task.kind is TaskKind.ENTITIES else seed.text,
            "answer": seed.answer,
            "other": other,
            "task": task,
        }
        stop = ("\n\n",) if config.changes in ("input", "label") else ()
        schema = record_schema("instruction", "response") if config.changes == "both" else {}
        return Plan((seed,), variables, stop, stop, schema)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: RewriteConfig, cut: bool) -> Drafts:
        """Reads the whole answer as one text, or a new input with its answer."""
        if cut:
            return Drafts(malformed=[CUT])
        text, seed = plain(answer), plan.seeds[0]
        if not text:
            return Drafts(malformed=[EMPTY])
        if config.changes == "both":
            record = next(iter(read_fields(answer, FIELDS)), {})
            if not record.get("text") or not record.get("answer"):
                return Drafts(malformed=["the answer has no new instruction or no response to it"])
            return Drafts(good=[Draft(record["text"], record["answer"])])
        if config.changes == "answer":
            if task.kind in (TaskKind.CLASSIFICATION, TaskKind.ENTITIES):
                return Drafts(malformed=["the answer of this kind of task is its label, which cannot be rewritten"])
            return Drafts(good=[Draft(seed.text, text, seed.prompt, tests=seed.tests, evidence=seed.evidence)])
        if config.changes == "label":
            other = str(plan.variables.get("other", ""))
            return Drafts(good=[Draft(text, other)]) if other else Drafts(malformed=["the task has no other label"])
        if task.kind is TaskKind.ENTITIES:
            return marked(text, seed)
        before = (*seed.prompt[:-1], seed.prompt[-1].model_copy(update={"content": text}))
        messages = before if seed.prompt[-1].role == "user" else ()
        return Drafts(good=[Draft(text, seed.answer, messages, tests=seed.tests, evidence=seed.evidence)])


def marked(text: str, seed: Example) -> Drafts:
    """Reads a rewritten sentence whose entities are marked; all of the seed's must be there."""
    sentence, spans = unmark(text)
    wanted = Counter((seed.text[span.start : span.end].lower(), span.label) for span in seed.spans)
    found = Counter((sentence[span.start : span.end].lower(), span.label) for span in spans)
    if wanted - found:
        return Drafts(malformed=[f"{(wanted - found).total()} of the seed's entities are not marked in the answer"])
    return Drafts(good=[Draft(sentence, entities_answer(sentence, spans), spans=spans)])
