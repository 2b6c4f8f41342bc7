"""The facts of a campaign, as a report states them."""

from typing import Any

from cultivar_campaigns.report.facts import ArmFact, Facts, GainFact, Reject, Reviewer, Shown, Source, Spending

ARMS = {
    "base": (0.312, (0.312,), 0),
    "base_with_shots": (0.571, (0.571,), 0),
    "real": (0.812, (0.804, 0.821), 0),
    "real_stand_in": (0.858, (0.867, 0.85), 0),
    "real_synthetic": (0.798, (0.775, 0.821), 140),
    "real_reviewed": (0.84, (0.838, 0.842), 96),
}
GAINS = (
    ("real", "base", 0.5, 0.43, 0.56),
    ("real", "base_with_shots", 0.241, 0.17, 0.31),
    ("real_stand_in", "real", 0.046, 0.01, 0.083),
    ("real_synthetic", "real", -0.014, -0.062, 0.031),
    ("real_reviewed", "real", 0.028, -0.011, 0.066),
    ("real_reviewed", "real_synthetic", 0.042, 0.003, 0.08),
)


def arm(name: str, **changed: Any) -> ArmFact:
    value, by_seed, synthetic = ARMS[name]
    trained = name not in ("base", "base_with_shots")
    fields = {
        "arm": name,
        "value": value,
        "low": value - 0.05,
        "high": value + 0.045,
        "by_seed": by_seed,
        "examples": 96 + synthetic + (96 if name == "real_stand_in" else 0) if trained else 0,
        "synthetic": synthetic,
        "evaluation_runs": tuple(f"projects/default/evaluationRuns/{name}-{place}" for place in range(len(by_seed))),
    }
    return ArmFact(**{**fields, **changed})


def gain(arm: str, over: str, value: float, low: float, high: float, **changed: Any) -> GainFact:
    fields = {
        "covers_seeds": not over.startswith("base"),
        "minimum_detectable_gain": 0.052,
        "margin": 0.02,
        "level": 0.95,
    }
    return GainFact(arm=arm, over=over, gain=value, low=low, high=high, **{**fields, **changed})


SHOWN = [
    Shown(
        outcome="kept",
        text="my parcel says delivered but nobody rang",
        label="delivery",
        strategy="expand",
        seed="where is it",
    ),
    Shown(
        outcome="rejected",
        text="password password password password",
        label="password",
        note="repetition: repeated words",
    ),
    Shown(outcome="rejected", text="<script>alert('x')</script>", label="refund", note="nonsense: markup"),
    Shown(
        outcome="accepted",
        text="I'd like the money back for the lamp, it never came on.",
        label="refund",
        note="accuracy 5, tone 4",
    ),
    Shown(
        outcome="edited",
        text="Please stop order 4411 before it ships.",
        label="cancel",
        note="accuracy 4, tone 3; label corrected",
    ),
    Shown(
        outcome="declined",
        text="Dear customer, your order has been sent.",
        label="delivery",
        note="accuracy 2, tone 1; not-a-customer",
    ),
]
SOURCES = [
    Source(source=name, rows=rows, bad=0, artifact="projects/default/artifacts/" + "a1" * 32)
    for name, rows in (("seeds", 96), ("validation", 48), ("held_out", 240), ("stand_in", 96))
]
FUNNEL = {
    "seeds": 96,
    "held_out": 240,
    "candidates": 287,
    "malformed": 21,
    "kept": 140,
    "rejected": 147,
    "reviewed": 140,
    "accepted": 96,
    "declined": 44,
    "edited": 0,
    "selected": 96,
}
REJECTED = [
    Reject(filter="near_duplicate", reason="near_duplicate_of_seed", count=88),
    Reject(filter="length", reason="too_short", count=31),
    Reject(filter="nonsense", reason="not_language", count=28),
]
REVIEWERS = [
    Reviewer(
        reviewer="local",
        kind="program",
        program="nearest-neighbour stand-in",
        reviewed=140,
        accepted=96,
        median_seconds=0.4,
    )
]
SPENDING = [
    Spending(
        stage=stage,
        runs=runs,
        seconds=seconds,
        calls=calls,
        prompt_tokens=a,
        completion_tokens=b,
        trained_tokens=t,
    )
    for stage, runs, seconds, calls, a, b, t in (
        ("import", 4, 4, 0, 0, 0, 0),
        ("generate", 1, 141, 120, 31220, 9120, 0),
        ("filter", 1, 3, 0, 0, 0, 0),
        ("review", 1, 12, 0, 0, 0, 0),
        ("dataset", 4, 4, 0, 0, 0, 0),
        ("train", 8, 402, 0, 0, 0, 99210),
        ("evaluate", 10, 231, 2400, 912000, 0, 0),
    )
]


def facts(**changed: Any) -> Facts:
    fields: dict[str, Any] = {
        "campaign": "support-1",
        "round": 1,
        "create_time": "23 November 2026, 11:40 UTC",
        "seconds": 802.0,
        "metric": "accuracy",
        "target": 0.85,
        "margin": 0.02,
        "instruction": "Sort the message by what the customer wants done next.",
        "labels": ("refund", "delivery", "password", "invoice", "cancel", "exchange", "damaged", "discount"),
        "teacher": "local",
        "strategies": ("expand × 240", "rewrite × 60"),
        "base_model": "smollm2-135m-instruct",
        "training_seeds": (1, 2),
        "most_shots": 16,
        "sources": SOURCES,
        "funnel": FUNNEL,
        "rejected": REJECTED,
        "shown": SHOWN,
        "review_by": "stand-in",
        "reviewers": REVIEWERS,
        "tags": {"wrong-label": 31, "off-topic": 13},
        "arms": [arm(name) for name in ARMS],
        "gains": [gain(*each) for each in GAINS],
        "rows": 240,
        "times_scored": 12,
        "spending": SPENDING,
    }
    return Facts(**{**fields, **changed})
