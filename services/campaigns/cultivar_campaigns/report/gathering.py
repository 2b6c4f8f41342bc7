"""The facts of a round, gathered from its stages and artifacts."""

from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from cultivar_artifacts import ArtifactStore

from cultivar_campaigns.funnel import cost_of, counts_of, funnel
from cultivar_campaigns.plan import ANSWERS
from cultivar_campaigns.report.evidence import show_examples
from cultivar_campaigns.report.facts import ArmFact, Facts, GainFact, Reject, Reviewer, Source, Spending
from cultivar_campaigns.round import Round
from cultivar_campaigns.store import Stage

REJECTED = "rejected."


async def gather_facts(store: ArtifactStore, round_: Round) -> Facts:
    """Returns what the report of a round states."""
    config, stages, goal = round_.config, round_.stages, round_.config.goal
    begun = min(stage.start_time for stage in stages.values() if stage.start_time is not None)
    review = stages.get("review")
    reviewed = review.result if review is not None else {}
    return Facts(
        campaign=round_.campaign,
        round=round_.number,
        create_time=begun.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        seconds=(datetime.now(UTC) - begun).total_seconds(),
        metric=goal.metric if goal is not None else "",
        target=goal.target if goal is not None else 0.0,
        margin=goal.margin if goal is not None else 0.0,
        instruction=config.task.instruction,
        labels=round_.labels,
        teacher=config.teacher,
        strategies=strategies(round_),
        base_model=base_model(round_),
        training_seeds=config.train.seeds if config.train is not None else (),
        most_shots=config.evaluate.most_shots,
        sources=sources(stages),
        funnel=funnel(stages),
        rejected=rejects(stages.get("filter")),
        rejected_answers=rejects(stages.get(f"filter/{ANSWERS}")),
        shown=tuple(await show_examples(store, round_)),
        review_by=config.review.by if review is not None else "nobody",
        reviewers=tuple(Reviewer(**one) for one in reviewed.get("reviewers", ())),
        tags=dict(sorted(reviewed.get("tags", {}).items(), key=lambda tag: -tag[1])),
        arms=tuple(arm_fact(round_, arm, goal.metric) for arm in config.arms) if goal is not None else (),
        gains=gains(round_),
        rows=int(stages["import/held_out"].result["rows"]) if "import/held_out" in stages else 0,
        times_scored=max((int(each.result.get("times_scored", 0)) for each in stages.values()), default=0),
        spending=spending(stages),
        fake_training=any(stage.result.get("measures", {}).get("fake") for stage in stages.values()),
    )


def strategies(round_: Round) -> tuple[str, ...]:
    """Returns the strategies that wrote candidates, each with how many it was asked for."""
    config = round_.config
    used = [f"{use.strategy} × {use.count:,}" for use in config.generate] if "generate" in round_.stages else []
    return (*used, "answer, for each that was kept") if config.answer is not None else tuple(used)


def gains(round_: Round) -> tuple[GainFact, ...]:
    """Returns the comparisons of arms; none where nothing was measured."""
    goal = round_.config.goal
    if goal is None:
        return ()
    return tuple(GainFact(**gain, margin=goal.margin) for gain in round_.stages["compare"].result["gains"])


def base_model(round_: Round) -> str:
    """Returns the model that the arms were trained on."""
    trained = (stage.result.get("base_model", "") for stage in round_.stages.values() if stage.stage == "train")
    train = round_.config.train
    named = train.base_model if train is not None else ""
    return next((name for name in trained if name), "") or named or "the shipped one"


def sources(stages: dict[str, Stage]) -> tuple[Source, ...]:
    """Returns what was read of each file."""
    return tuple(
        Source(
            source=stage.source,
            rows=int(stage.result.get("rows", 0)),
            bad=counts_of(stage).get("bad", 0),
            artifact=stage.artifacts.get(stage.source, ""),
        )
        for stage in stages.values()
        if stage.stage == "import"
    )


def rejects(stage: Stage | None) -> tuple[Reject, ...]:
    """Returns how many candidates each filter rejected for each reason, the most first."""
    found = [
        Reject(filter=parts[1], reason=parts[2], count=count)
        for name, count in counts_of(stage).items()
        if name.startswith(REJECTED) and len(parts := name.split(".", 2)) == 3
    ]
    return tuple(sorted(found, key=lambda reject: (-reject.count, reject.filter, reject.reason)))


def arm_fact(round_: Round, arm: str, metric: str) -> ArmFact:
    """Returns how an arm scored: the means over its training seeds."""
    evaluations = round_.evaluations(arm)
    found: list[dict[str, Any]] = [stage.result["metrics"][metric] for stage in evaluations]
    dataset = round_.stages.get(f"dataset/{arm}")
    made = dataset.result if dataset is not None else {}
    trained = [stage for stage in round_.stages.values() if stage.stage == "train" and stage.arm == arm]
    return ArmFact(
        arm=arm,
        value=fmean(one["value"] for one in found),
        low=fmean(one["low"] for one in found),
        high=fmean(one["high"] for one in found),
        by_seed=tuple(one["value"] for one in found),
        examples=int(made.get("rows", 0)),
        synthetic=int(made.get("by_role", {}).get("synthetic", 0)),
        epochs=fmean(stage.result.get("measures", {}).get("epochs", 0.0) for stage in trained) if trained else 0.0,
        evaluation_runs=tuple(stage.child for stage in evaluations),
    )


def spending(stages: dict[str, Stage]) -> tuple[Spending, ...]:
    """Returns what the stages of each kind took, in their order."""
    kinds = list(dict.fromkeys(stage.stage for stage in stages.values() if stage.stage not in ("compare", "report")))
    return tuple(spending_of(kind, [stage for stage in stages.values() if stage.stage == kind]) for kind in kinds)


def spending_of(kind: str, stages: list[Stage]) -> Spending:
    """Returns what the stages of one kind took together."""
    took = [(stage.end_time - stage.start_time) for stage in stages if stage.end_time and stage.start_time]
    trained = sum(int(stage.progress.get("done", 0)) for stage in stages) if kind == "train" else 0
    names = ("calls", "prompt_tokens", "completion_tokens")
    return Spending(
        stage=kind,
        runs=len(stages),
        seconds=sum(each.total_seconds() for each in took),
        trained_tokens=trained,
        cost=cost_of(stages),
        **{name: sum(int(stage.usage.get(name, 0)) for stage in stages) for name in names},
    )
