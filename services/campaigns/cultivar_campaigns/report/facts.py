"""The facts that a report states: plain data, kept beside the page as report.json."""

from pydantic import BaseModel, ConfigDict

ARM_NAMES = {
    "base": "base model",
    "base_with_shots": "base model + shots",
    "real": "real only",
    "real_stand_in": "real + stand-in's messages",
    "real_synthetic": "real + synthetic",
    "real_reviewed": "real + synthetic, reviewed",
}
"""The arms as people read them."""

METRIC_NAMES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "perplexity": "perplexity"}
LESS_IS_BETTER = ("perplexity",)


class Fact(BaseModel):
    """Plain data that does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmFact(Fact):
    """How one arm scored; `low` and `high` are the means of the ends over training seeds."""

    arm: str
    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    examples: int
    synthetic: int
    # How often training saw each row, a mean over training seeds; 0 where it was not trained, or nobody knows.
    epochs: float = 0.0
    evaluation_runs: tuple[str, ...] = ()


class GainFact(Fact):
    """One arm against another on the same rows."""

    arm: str
    over: str
    gain: float
    low: float
    high: float
    level: float
    covers_seeds: bool
    minimum_detectable_gain: float
    margin: float

    @property
    def seen(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def margin_met(self) -> bool:
        """Whether the whole interval lies above the margin."""
        return self.low > self.margin and self.seen


class Reject(Fact):
    """How many candidates a filter rejected for one reason."""

    filter: str
    reason: str
    count: int


class Shown(Fact):
    """One example that the report shows; outcome is kept, rejected, accepted, edited or declined."""

    outcome: str
    text: str
    label: str
    note: str = ""
    answer: str = ""
    seed: str = ""
    strategy: str = ""


class Reviewer(Fact):
    """Who reviewed; kind is person or program."""

    reviewer: str
    kind: str
    program: str
    reviewed: int
    accepted: int
    median_seconds: float


class Spending(Fact):
    """What the stages of one kind took."""

    stage: str
    runs: int
    seconds: float
    calls: int
    prompt_tokens: int
    completion_tokens: int
    trained_tokens: int
    cost: float = 0.0


class Source(Fact):
    """One file as it was read."""

    source: str
    rows: int
    bad: int
    artifact: str


class Facts(Fact):
    """All that a report states, but for its verdict and advice."""

    campaign: str
    round: int
    create_time: str
    seconds: float
    metric: str
    target: float
    margin: float
    instruction: str
    labels: tuple[str, ...]
    teacher: str
    strategies: tuple[str, ...]
    base_model: str
    training_seeds: tuple[int, ...]
    most_shots: int
    sources: tuple[Source, ...]
    funnel: dict[str, int]
    rejected: tuple[Reject, ...]
    shown: tuple[Shown, ...]
    review_by: str
    reviewers: tuple[Reviewer, ...]
    tags: dict[str, int]
    arms: tuple[ArmFact, ...]
    gains: tuple[GainFact, ...]
    rows: int
    times_scored: int
    spending: tuple[Spending, ...]
    fake_training: bool = False
    """Whether the fake launcher ran in the place of training, so that no adapter has weights."""
    rejected_answers: tuple[Reject, ...] = ()
    """What the filters rejected of the answers, where candidates were answered in a stage of their own."""

    @property
    def measured(self) -> bool:
        """Whether arms were trained and compared; otherwise the campaign ended with its dataset."""
        return bool(self.arms)

    @property
    def less_is_better(self) -> bool:
        """Whether the best arm is the one with the least value; gains are above 0 where it is better all the same."""
        return self.metric in LESS_IS_BETTER

    @property
    def best(self) -> ArmFact:
        """The arm with the best value; of equals the first, which is the simpler one."""
        return (min if self.less_is_better else max)(self.arms, key=lambda arm: arm.value)

    @property
    def target_reached(self) -> bool:
        """Whether an arm reached the target."""
        if not self.measured:
            return False
        return self.best.value <= self.target if self.less_is_better else self.best.value >= self.target

    @property
    def own_scorings(self) -> int:
        """How many of the evaluation runs that scored the held-out rows were this campaign's."""
        return sum(len(arm.evaluation_runs) for arm in self.arms)

    @property
    def minimum_detectable_gain(self) -> float:
        """The least gain over real examples alone that the held-out rows would show; the largest of the comparisons."""
        found = [gain for gain in self.gains if gain.over == "real"] or list(self.gains)
        return max((gain.minimum_detectable_gain for gain in found), default=0.0)

    def arm(self, name: str) -> ArmFact | None:
        """Returns an arm, or None where it was not run."""
        return next((arm for arm in self.arms if arm.arm == name), None)

    def gain(self, name: str, over: str) -> GainFact | None:
        """Returns a comparison, or None where it was not made."""
        return next((gain for gain in self.gains if (gain.arm, gain.over) == (name, over)), None)
