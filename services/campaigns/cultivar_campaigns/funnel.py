"""The funnel of a round: how many examples there were at each step, and where the others went."""

from collections.abc import Iterable, Mapping
from typing import Any

from cultivar_campaigns.store import Stage

TOKENS = ("prompt_tokens", "completion_tokens")
SPENT = ("calls", "cached_calls", "failed_calls", *TOKENS)


MADE = ("candidates", "malformed")
REVIEWED = ("reviewed", "accepted", "declined", "edited")
STEPS: Mapping[str, Mapping[str, str]] = {
    # A failed call of generation and a candidate that a filter could not judge are different things.
    "generate": {**{name: name for name in MADE}, "failed": "failed_calls"},
    "filter": {"kept": "kept", "rejected": "rejected"},
    "answer": {"candidates": "answered", "malformed": "malformed_answers", "failed": "failed_answers"},
    "filter/answers": {"kept": "kept_answers", "rejected": "rejected_answers"},
    "review": {name: name for name in REVIEWED},
}
"""The counts that a stage reports and the word of each in the funnel, by the stage's key."""


def funnel(stages: Mapping[str, Stage]) -> dict[str, int]:
    """Returns the counts by plain words; what is not known yet is left out."""
    counts: dict[str, int] = {}
    for source in ("seeds", "held_out"):
        if f"import/{source}" in stages and "rows" in stages[f"import/{source}"].result:
            counts[source] = int(stages[f"import/{source}"].result["rows"])
    for key, names in STEPS.items():
        found = counts_of(stages.get(key))
        counts |= {word: found[name] for name, word in names.items() if name in found}
    for arm in ("real_reviewed", "real_synthetic"):
        stage = stages.get(f"dataset/{arm}")
        if stage is not None and "by_role" in stage.result:
            counts.setdefault("selected", int(stage.result["by_role"].get("synthetic", 0)))
    return counts


def counts_of(stage: Stage | None) -> dict[str, int]:
    """Returns the counts that a stage's child reported."""
    counts: dict[str, int] = stage.progress.get("counts", {}) if stage is not None else {}
    return counts


def spent(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Returns the usage of all stages together."""
    counts = {name: sum(int(stage.usage.get(name, 0)) for stage in stages.values()) for name in SPENT}
    return {**counts, "cost": cost_of(stages.values())}


def tokens_of(stages: Iterable[Stage]) -> int:
    """Returns the tokens that stages spent."""
    return sum(int(stage.usage.get(name, 0)) for stage in stages for name in TOKENS)


def cost_of(stages: Iterable[Stage]) -> float:
    """Returns the money that stages spent."""
    return sum(float(stage.usage.get("cost", 0)) for stage in stages)
