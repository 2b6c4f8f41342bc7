"""rewrite: one seed in, the same thing said another way out; the answer or label of the seed is kept."""

import re
from collections.abc import Sequence
from random import Random

from cultivar_records import Example, TaskSpec

from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig

LEAD = re.compile(r"^(?:sure|certainly|here(?:'s| is| are)|rewritten|paraphrase)\b[^\n:]{0,80}:\s*", re.IGNORECASE)


class RewriteConfig(StrategyConfig):
    """Rewrite takes each seed in turn and has no parameters."""


class Rewrite:
    """Says what a seed says in other words."""

    description = "Rewrites the input of one seed in other words and keeps its label or answer."
    default_prompt = "paraphrase"
    Config = RewriteConfig

    def per_call(self, config: RewriteConfig) -> int:
        """Returns 1: an answer is one rewriting."""
        return 1

    def plan(
        self, number: int, seeds: Sequence[Example], task: TaskSpec, config: RewriteConfig, random: Random
    ) -> Plan:
        """Plans one rewriting of the next seed, round and round; the template may name `text`, `answer`, `task`."""
        seed = seeds[number % len(seeds)]
        return Plan((seed,), {"text": seed.text, "answer": seed.answer, "task": task}, stop=("\n\n",))

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: RewriteConfig, cut: bool) -> Drafts:
        """Reads the whole answer as one text, without a lead such as "Here is …:" and without quotation marks."""
        if cut:
            return Drafts(malformed=["the answer was cut at its greatest length"])
        text = LEAD.sub("", answer.strip()).strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1].strip()
        if not text:
            return Drafts(malformed=["the answer is empty"])
        return Drafts(good=[Draft(text, plan.seeds[0].answer)])
