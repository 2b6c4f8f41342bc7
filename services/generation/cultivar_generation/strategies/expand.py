"""expand: several seeds in, new examples in their manner out, as the continuation of a list.

Self-Instruct (arXiv 2212.10560) shows eight examples and lets the model go on; a small teacher does better when it
continues a list than when it is told what to write.
"""

import re
from collections.abc import Sequence
from random import Random

from cultivar_records import Example, TaskKind, TaskSpec
from pydantic import Field

from cultivar_generation.strategies.protocol import Draft, Drafts, Plan, StrategyConfig

ITEM = re.compile(r"^\s*(?:(\d+)[.):]|[-*•])\s*")
RESPONSE = re.compile(r"\n\s*Response:\s*")
BLOCK = re.compile(r"\n\s*\d+\.\s+Instruction:\s*")


class ExpandConfig(StrategyConfig):
    """How many seeds a prompt shows, and how many new examples are read from an answer."""

    shots: int = Field(8, ge=1, le=32, description="Seeds that a prompt shows, fewer where a label has fewer.")
    per_call: int = Field(4, ge=1, le=16, description="New examples that one call is asked for.")


class Expand:
    """Writes new examples in the manner of several."""

    description = "Continues a list of seeds, of one label where there are labels, with new examples in their manner."
    default_prompt = "continue"
    Config = ExpandConfig

    def per_call(self, config: ExpandConfig) -> int:
        """Returns how many examples one call is asked for."""
        return config.per_call

    def plan(self, number: int, seeds: Sequence[Example], task: TaskSpec, config: ExpandConfig, random: Random) -> Plan:
        """Plans one list; labels take turns. The template may name `shots` (text, answer), `label`, `task`, `next`."""
        label = ""
        if task.kind is TaskKind.CLASSIFICATION:
            labels = [label for label in task.labels if any(seed.label == label for seed in seeds)]
            label = labels[number % len(labels)]
            seeds = [seed for seed in seeds if seed.label == label]
        shown = tuple(random.sample(list(seeds), min(config.shots, len(seeds))))
        shots = [{"text": one_line(seed.text), "answer": one_line(seed.answer)} for seed in shown]
        variables = {"shots": shots, "label": label, "task": task, "next": len(shots) + 1}
        # The list ends before the first item that was not asked for, so that no token is paid for it.
        last = f"\n{len(shots) + 1 + config.per_call}."
        return Plan(shown, variables, stop=("\n\n", last) if label else (last,))

    def read(self, answer: str, plan: Plan, task: TaskSpec, config: ExpandConfig, cut: bool) -> Drafts:
        """Reads the items of the list that the answer continues, up to the number asked for."""
        if plan.variables["label"]:
            lines = [line for line in answer.strip().split("\n") if line.strip()]
            return self._read_lines(lines[:-1] if cut else lines, str(plan.variables["label"]), config.per_call)
        blocks = BLOCK.split("\n" + answer.strip())
        return self._read_pairs(blocks[:-1] if cut else blocks, config.per_call)

    def _read_lines(self, lines: Sequence[str], label: str, most: int) -> Drafts:
        drafts = Drafts()
        for place, line in enumerate(lines[:most]):
            text = ITEM.sub("", line).strip().strip('"').strip()
            if place and not ITEM.match(line):
                drafts.malformed.append("a line is not an item of the list")
            elif not text:
                drafts.malformed.append("an item of the list is empty")
            else:
                drafts.good.append(Draft(text, label))
        return drafts if lines else Drafts(malformed=["the answer holds no whole item"])

    def _read_pairs(self, blocks: Sequence[str], most: int) -> Drafts:
        drafts = Drafts()
        for block in blocks[:most]:
            text, *response = (part.strip() for part in RESPONSE.split(block.strip(), maxsplit=1))
            if text and response and response[0]:
                drafts.good.append(Draft(text, response[0]))
            else:
                drafts.malformed.append("an item has no instruction or no response")
        return drafts if blocks else Drafts(malformed=["the answer holds no whole item"])


def one_line(text: str) -> str:
    """Returns a text with each run of white space made one space."""
    return " ".join(text.split())
