"""Findings: what the examples of a queue have in common that are declined more often than the rest.

A plain statistic: each tag, label, strategy and version of a prompt with at least 5 reviews is compared with all other
reviews of the queue, by the difference of the shares that decline. It is a finding where the interval of that lies
above 0, at a level at which all comparisons hold together with 95% (Bonferroni). A cause it is not: a label that is
hard, and a tag that a reviewer gives when declining, show alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cultivar_statistics import difference

from cultivar_review.report import Share, shares
from cultivar_review.reviews import Reviewed

LEVEL = 0.95
LEAST, FEW = 5, 30
MOST_TASKS = 10
WORDS = {"tag": "with the tag", "label": "of the label", "strategy": "of the strategy", "prompt": "of the prompt"}


@dataclass(frozen=True)
class Finding:
    """What some reviews have in common, and how much more often these decline than the others."""

    dimension: str
    key: str
    reviewed: int
    declined: int
    others_reviewed: int
    others_declined: int
    difference: float
    low: float
    high: float
    by_prompt: Sequence[Share]
    tasks: Sequence[str]

    @property
    def few(self) -> bool:
        """Whether it rests on so few reviews that it is a hint."""
        return self.reviewed < FEW

    @property
    def sentence(self) -> str:
        """Says all of it."""
        said = (
            f"{self.declined} of {self.reviewed} examples {WORDS[self.dimension]} {self.key} are declined, and "
            f"{self.others_declined} of the {self.others_reviewed} others: {100 * self.difference:.0f} in 100 more "
            f"(95% interval {100 * self.low:.0f} to {100 * self.high:.0f})"
        )
        return f"{said}; so few reviews are a hint" if self.few else said


@dataclass(frozen=True)
class Findings:
    """What the reviews of a queue show; `compared` and `too_few` count the groups that were compared and were not."""

    found: Sequence[Finding]
    reviewed: int
    compared: int
    too_few: int


def keys_of(reviewed: Reviewed) -> Iterator[tuple[str, str]]:
    """Yields what an example may have in common with others, by dimension."""
    yield from (("tag", tag) for tag in reviewed.review.tags)
    for dimension in ("label", "strategy", "prompt"):
        if key := getattr(reviewed, dimension):
            yield dimension, key


def find(reviews: Sequence[Reviewed]) -> Findings:
    """Compares each group of reviews with the rest, and returns those that decline more often, the surest first."""
    groups: defaultdict[tuple[str, str], list[Reviewed]] = defaultdict(list)
    for reviewed in reviews:
        for key in keys_of(reviewed):
            groups[key].append(reviewed)
    # One that all reviews have in common has no rest to be compared with.
    partial = {key: group for key, group in groups.items() if len(group) < len(reviews)}
    compared = {key: group for key, group in partial.items() if len(group) >= LEAST}
    level = 1 - (1 - LEVEL) / max(1, len(compared))
    judged = [compare(*key, group, reviews, level) for key, group in compared.items()]
    found = sorted((one for one in judged if one.low > 0), key=lambda one: (-one.low, one.dimension, one.key))
    return Findings(found, len(reviews), len(compared), len(partial) - len(compared))


def compare(dimension: str, key: str, group: Sequence[Reviewed], reviews: Sequence[Reviewed], level: float) -> Finding:
    """Compares a group of reviews with the rest of them."""
    declined, all_declined = (sum(declines(some)) for some in (group, reviews))
    others, others_declined = len(reviews) - len(group), all_declined - declined
    estimate = difference(declined, len(group), others_declined, others, level)
    return Finding(
        dimension=dimension,
        key=key,
        reviewed=len(group),
        declined=declined,
        others_reviewed=others,
        others_declined=others_declined,
        difference=estimate.value,
        low=estimate.low,
        high=estimate.high,
        by_prompt=sorted(
            shares((one.prompt, one) for one in group if one.prompt), key=lambda one: one.accepted - one.reviewed
        ),
        tasks=[one.task for one, declines_it in zip(group, declines(group), strict=True) if declines_it][:MOST_TASKS],
    )


def declines(reviews: Iterable[Reviewed]) -> list[bool]:
    """Tells of each review whether it declines."""
    return [one.review.decision == "decline" for one in reviews]
