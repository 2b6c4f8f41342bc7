"""The verdict: one sentence that answers the goal. "No gain" is a result like any other."""

from cultivar_campaigns.report.facts import ARM_NAMES, METRIC_NAMES, Facts, GainFact


def verdict_sentence(facts: Facts) -> str:
    """Returns the answer to the goal: whether the target was reached, and what generated examples brought."""
    if not facts.measured:
        return dataset_words(facts)
    told = f"{target_part(facts)}; {gain_part(facts)}."
    return (
        f"Nothing was trained (fake launcher), so this says nothing of a model. {told}" if facts.fake_training else told
    )


def dataset_words(facts: Facts) -> str:
    """Says what a campaign without training ended with."""
    selected, seeds = facts.funnel.get("selected", 0), facts.funnel.get("seeds", 0)
    looked = "" if facts.review_by != "nobody" else ", which nobody reviewed,"
    return (
        f"The dataset holds {selected:,} generated examples{looked} beside {seeds:,} seeds. "
        "Nothing was trained or measured, so this says nothing of what they are worth."
    )


def target_part(facts: Facts) -> str:
    """Says whether the target was reached, and by which arm."""
    best, metric = facts.best, METRIC_NAMES[facts.metric]
    named = f"“{ARM_NAMES[best.arm]}” with {best.value:.3f}"
    if facts.target_reached:
        return f"The target of {facts.target:g} {metric} was reached, best by {named}"
    return f"The target of {facts.target:g} {metric} was not reached, nearest by {named}"


def gain_part(facts: Facts) -> str:
    """Says what reviewed, or else unreviewed, generated examples brought over real ones alone."""
    for arm, words in (("real_reviewed", reviewed_words(facts)), ("real_synthetic", "generated examples")):
        gain = facts.gain(arm, "real")
        if gain is not None:
            return gain_words(gain, words)
    return "generated examples were not compared with real ones alone"


def reviewed_words(facts: Facts) -> str:
    """Names reviewed examples by who reviewed them."""
    return "examples reviewed by the stand-in" if facts.review_by == "stand-in" else "generated and reviewed examples"


def gain_words(gain: GainFact, what: str) -> str:
    """Says what an interval shows."""
    interval = f"{signed(gain.gain)}, {gain.level:.0%} interval {signed(gain.low)} to {signed(gain.high)}"
    if gain.margin_met:
        return f"{what} gained over real ones alone ({interval}), more than the margin of {gain.margin:g}"
    if gain.seen:
        return f"{what} gained over real ones alone ({interval}), but not surely the margin of {gain.margin:g}"
    if gain.high < 0:
        return f"{what} made it worse than real ones alone ({interval})"
    return f"no gain of {what} over real ones alone was seen ({interval})"


def signed(value: float) -> str:
    """Writes a gain with its sign, and a real minus."""
    return f"{value:+.3f}".replace("-", "−")
