"""preference: one seed in, a chosen and a rejected answer to it out.

The chosen answer is the seed's own (a person wrote it, the teacher writes a worse one with a given flaw), or both are
the teacher's.
"""

from collections.abc import Mapping
from random import Random
from typing import ClassVar, Literal

from cultivar_records import TaskKind, TaskSpec
from pydantic import Field

from cultivar_generation.strategies.pool import Pool
from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig
from cultivar_generation.strategies.reading import CUT, EMPTY, MORE, plain, read_fields, record_schema

FIELDS = {
    "chosen": ("chosen", "better", "good", "better answer", "good answer"),
    "rejected": ("rejected", "worse", "bad", "worse answer", "bad answer"),
}
SCHEMA = record_schema(*FIELDS)
TOKENS = 384
FLAWS = (
    "it leaves out what matters most",
    "it states something that is not true",
    "it does not do what was asked",
    "it is vague and says little",
    "it is rude",
)


class PreferenceConfig(StrategyConfig):
    """Where the chosen answer comes from, and what is wrong with the other."""

    chosen: Literal["seed", "teacher"] = Field(
        "seed",
        description="Whose the chosen answer is: the seed's own, or one that the teacher writes beside the other.",
    )
    flaws: tuple[str, ...] = Field(FLAWS, min_length=1, description="What is wrong with a rejected answer, in turn.")


class Preference:
    """Writes pairs of answers."""

    description = "Writes to the instruction of a seed a chosen and a rejected answer."
    default_prompt = "preference"
    tasks = (TaskKind.INSTRUCTION, TaskKind.CODE)
    names: ClassVar[Mapping[str, str]] = {
        "text": "what the seed asks",
        "answer": "the seed's own answer",
        "flaw": "what is to be wrong with the rejected answer",
        "chosen": "whose the chosen answer is, seed or teacher",
        "task": "the task, with kind and instruction",
    }
    takes_inputs = False
    Config = PreferenceConfig

    def per_call(self, config: PreferenceConfig) -> int:
        """Returns 1: an answer is one pair."""
        return 1

    def check(self, config: PreferenceConfig, task: TaskSpec) -> str:
        """Refuses nothing."""
        return ""

    def plan(self, number: int, seeds: Pool, task: TaskSpec, config: PreferenceConfig, random: Random) -> Plan:
        """Plans the pair of the next seed, round and round; each round of the seeds has another flaw for a seed."""
        seed = seeds[number % len(seeds)]
        flaw = config.flaws[(number + number // len(seeds)) % len(config.flaws)]
        variables = {"text": seed.text, "answer": seed.answer, "flaw": flaw, "chosen": config.chosen, "task": task}
        schema = SCHEMA if config.chosen == "teacher" else {}
        return Plan((seed,), variables, schema=schema, tokens=TOKENS)

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: PreferenceConfig, cut: bool) -> Drafts:
        """Reads the rejected answer, or both; two that are alike are no pair."""
        seed, records = plan.seeds[0], read_fields(answer, FIELDS)[0] if config.chosen == "teacher" else []
        if config.chosen == "seed":
            chosen, rejected = seed.answer, plain(answer)
        else:
            record = records[0] if records else {}
            chosen, rejected = record.get("chosen", ""), record.get("rejected", "")
        if cut:
            return Drafts(malformed=[CUT])
        if not answer.strip():
            return Drafts(malformed=[EMPTY])
        if not chosen.strip() or not rejected:
            return Drafts(malformed=["a chosen or a rejected answer is missing"])
        if " ".join(chosen.split()).lower() == " ".join(rejected.split()).lower():
            return Drafts(malformed=["the rejected answer is the chosen one"])
        draft = Draft(seed.text, chosen, seed.prompt, tests=seed.tests, rejected=rejected)
        return Drafts([draft], [MORE] * (len(records) - 1))
