"""The plan of a round: its stages in order, made from the configuration alone, so that it is the same at each start."""

from collections.abc import Iterator
from dataclasses import dataclass

from cultivar_campaigns.config import UNTRAINED, WITH_CANDIDATES, CampaignConfig

IMPORTS = ("held_out", "validation", "seeds", "stand_in", "replay")
"""In this order, since what comes later must stay apart from what came before it; held-out comes first."""

APART_FROM = {
    "held_out": (),
    "validation": ("held_out",),
    "seeds": ("held_out", "validation"),
    "stand_in": ("held_out", "validation", "seeds"),
    "replay": ("held_out", "validation"),
}
ANSWERS = "answers"
"""What the second filter stage judges: the candidates that the stage `answer` wrote."""
COMPARISONS = (
    ("real", "base"),
    ("real", "base_with_shots"),
    ("real_stand_in", "real"),
    ("real_synthetic", "real"),
    ("real_reviewed", "real"),
    ("real_reviewed", "real_synthetic"),
    ("real_reviewed", "real_stand_in"),
)
"""Each arm, and what it is compared with."""


@dataclass(frozen=True)
class Step:
    """One stage as it is planned."""

    stage: str
    source: str = ""
    arm: str = ""
    training_seed: int = 0

    @property
    def key(self) -> str:
        """Its name within the round, such as `train/real/1`."""
        parts = [self.stage, self.source or self.arm]
        trained = self.stage in ("train", "evaluate") and self.arm not in UNTRAINED
        return "/".join(part for part in [*parts, str(self.training_seed) if trained else ""] if part)


def plan_round(config: CampaignConfig) -> list[Step]:
    """Returns the stages of a round in the order in which they are done."""
    compared = [Step("compare")] if config.trains else []
    return [*before_training(config), *of_arms(config), *compared, Step("report")]


def before_training(config: CampaignConfig) -> Iterator[Step]:
    """Yields imports, generation, filtering and review, as far as an arm needs them."""
    yield from (Step("import", source=source) for source in IMPORTS if config.files[source] is not None)
    if any(arm in WITH_CANDIDATES for arm in config.arms):
        yield Step("generate")
        yield Step("filter")
        if config.answer is not None:
            yield Step("answer")
            yield Step("filter", source=ANSWERS)
    if "real_reviewed" in config.arms:
        yield Step("review")


def of_arms(config: CampaignConfig) -> Iterator[Step]:
    """Yields datasets, training and evaluation; evaluation comes last, since it and training want the same cores."""
    trained = [arm for arm in config.arms if arm not in UNTRAINED]
    yield from (Step("dataset", arm=arm) for arm in trained)
    if config.train is None:
        return
    yield from (Step("train", arm=arm, training_seed=seed) for arm in trained for seed in config.train.seeds)
    yield from (Step("evaluate", arm=arm) for arm in config.arms if arm in UNTRAINED)
    yield from (Step("evaluate", arm=arm, training_seed=seed) for arm in trained for seed in config.train.seeds)


def judged(config: CampaignConfig) -> str:
    """Returns the key of the filter stage whose kept examples are reviewed and selected."""
    return "filter" if config.answer is None else f"filter/{ANSWERS}"


def comparisons(config: CampaignConfig) -> list[tuple[str, str]]:
    """Returns the pairs of arms that are compared, the first against the second."""
    return [(arm, over) for arm, over in COMPARISONS if arm in config.arms and over in config.arms]
