"""What the reviews of a queue say: shares with their intervals, scores, tags, reviewers, times."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from cultivar_statistics import wilson

from cultivar_review.queues import QueueSpec
from cultivar_review.reviews import Reviewed


@dataclass(frozen=True)
class Share:
    """A share of reviews that accept, with its 95% interval."""

    key: str
    reviewed: int
    accepted: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """The share, 0 to 1; 0 without a review."""
        return self.accepted / self.reviewed if self.reviewed else 0.0


@dataclass(frozen=True)
class ReviewerSummary:
    """The reviews of one reviewer."""

    reviewer: str
    kind: str
    program: str
    reviewed: int
    accepted: int
    median_seconds: float


@dataclass
class Report:
    """What the reviews of a queue say."""

    acceptance: Share
    by_label: list[Share]
    by_strategy: list[Share]
    by_prompt: list[Share]
    scores: dict[str, list[int]]
    tags: dict[str, int]
    reviewers: list[ReviewerSummary] = field(default_factory=list)
    median_seconds: float = 0.0


def share(key: str, found: Iterable[Reviewed]) -> Share:
    """Returns the share of some reviews that accepts."""
    decisions = Counter(reviewed.review.decision for reviewed in found)
    accepted, reviewed = decisions["accept"], decisions.total()
    if not reviewed:
        return Share(key, 0, 0, 0.0, 1.0)
    interval = wilson(accepted, reviewed)
    return Share(key, reviewed, accepted, interval.low, interval.high)


def shares(found: Iterable[tuple[str, Reviewed]]) -> list[Share]:
    """Returns the shares of groups of reviews, by key."""
    groups: defaultdict[str, list[Reviewed]] = defaultdict(list)
    for key, reviewed in found:
        groups[key].append(reviewed)
    return [share(key, groups[key]) for key in sorted(groups)]


def report(spec: QueueSpec, found: list[Reviewed]) -> Report:
    """Returns what reviews say, under the rubric of their queue."""
    given: defaultdict[tuple[str, str, str], list[Reviewed]] = defaultdict(list)
    for reviewed in found:
        given[reviewed.reviewer, reviewed.review.kind, reviewed.review.program].append(reviewed)
    scores = {criterion.criterion: [0] * 5 for criterion in spec.rubric}
    for reviewed in found:
        for criterion, score in reviewed.review.scores.items():
            scores[criterion][score - 1] += 1
    return Report(
        acceptance=share("", found),
        by_label=shares((reviewed.label, reviewed) for reviewed in found if reviewed.label),
        by_strategy=shares((reviewed.strategy, reviewed) for reviewed in found if reviewed.strategy),
        by_prompt=shares((reviewed.prompt, reviewed) for reviewed in found if reviewed.prompt),
        scores=scores,
        tags=dict(Counter(tag for reviewed in found for tag in reviewed.review.tags)),
        reviewers=[summary(*who, of_one) for who, of_one in sorted(given.items())],
        median_seconds=median_seconds(reviewed for reviewed in found if reviewed.review.kind == "person"),
    )


def summary(reviewer: str, kind: str, program: str, found: list[Reviewed]) -> ReviewerSummary:
    """Returns the summary of one reviewer."""
    own = share("", found)
    return ReviewerSummary(reviewer, kind, program, own.reviewed, own.accepted, median_seconds(found))


def median_seconds(found: Iterable[Reviewed]) -> float:
    """Returns the median of the seconds that reviews took; 0 without a review."""
    seconds = [reviewed.seconds for reviewed in found]
    return median(seconds) if seconds else 0.0
