"""What to do next: rules from the funnel and the gains, each a sentence, the most useful first.

To add a rule, write a function from Facts to a sentence or None, and put it in RULES where it belongs.
"""

from collections.abc import Callable
from math import ceil

from cultivar_campaigns.report.facts import ARM_NAMES, Facts

MANY = 0.25
FEW_ACCEPTED = 0.5
TIRED = 30
ENOUGH = 0.8
DUPLICATES = ("exact_duplicate", "near_duplicate", "novelty", "prompt_echo", "semantic_duplicate")


def stand_in_reviewed(facts: Facts) -> str | None:
    """Asks for a person where a program reviewed."""
    if facts.review_by != "stand-in":
        return None
    return (
        "Let a person review: here a program stood in, so the reviewed arm shows that the loop works, not what "
        "people's judgement brings (set review.by to person)."
    )


def too_few_rows(facts: Facts) -> str | None:
    """Says how many held-out rows a gain of the margin needs."""
    least = facts.minimum_detectable_gain
    if not facts.margin or least <= facts.margin:
        return None
    # The detectable gain falls with the square root of the rows.
    needed = ceil(facts.rows * (least / facts.margin) ** 2 / 10) * 10
    return (
        f"Write more held-out examples: {facts.rows} rows show a gain of {least:.3f} or more with 80 % power, and to "
        f"see one of {facts.margin:g} it takes about {needed:,}."
    )


def one_training_seed(facts: Facts) -> str | None:
    """Asks for a second training seed where the intervals do not speak of other seeds."""
    if not facts.measured or len(facts.training_seeds) > 1:
        return None
    return "Train each arm with two training seeds or more (train.seeds): with one, the intervals speak of rows alone."


def shots_beat_training(facts: Facts) -> str | None:
    """Says to prompt instead where that is as good."""
    gain = facts.gain("real", "base_with_shots")
    if gain is None or facts.best.arm != "base_with_shots":
        return None
    return (
        f"Prompt with {facts.most_shots} seeds instead of fine-tuning: no trained arm was better on these rows "
        f"(real only against it: {gain.gain:+.3f}, {gain.low:+.3f} to {gain.high:+.3f})."
    )


def many_duplicates(facts: Facts) -> str | None:
    """Asks for variety where many candidates repeat each other or the seeds."""
    candidates = facts.funnel.get("candidates", 0)
    repeated = sum(reject.count for reject in facts.rejected if reject.filter in DUPLICATES)
    if not candidates or repeated / candidates < MANY:
        return None
    return (
        f"Ask for more variety: {repeated} of {candidates} candidates repeated a seed or each other; vary a topic "
        "by axes, raise the teacher's temperature, show fewer seeds a prompt, or write more seeds."
    )


def many_rejected(facts: Facts) -> str | None:
    """Points to the filter that rejects most where much is rejected."""
    candidates = facts.funnel.get("candidates", 0)
    others = [reject for reject in facts.rejected if reject.filter not in DUPLICATES]
    worst = max(others, key=lambda reject: reject.count, default=None)
    if worst is None or not candidates or worst.count / candidates < MANY:
        return None
    return (
        f"Change the prompt or the teacher: the filter {worst.filter} rejected {worst.count} of {candidates} "
        f"candidates ({worst.reason.replace('_', ' ')}); Preview shows prompts and answers before any are paid for."
    )


def malformed_answers(facts: Facts) -> str | None:
    """Asks to look at the answers where many could not be read."""
    bad, good = facts.funnel.get("malformed", 0), facts.funnel.get("candidates", 0)
    if not bad or bad / (bad + good) < MANY:
        return None
    return f"Look at the teacher's answers: {bad} pieces could not be read beside {good} candidates."


def unreviewed_harm(facts: Facts) -> str | None:
    """Warns of candidates that made it worse without a review."""
    gain = facts.gain("real_synthetic", "real")
    if gain is None or gain.high >= 0:
        return None
    reviewed = facts.gain("real_reviewed", "real_synthetic")
    better = reviewed is not None and reviewed.seen
    return (
        f"Do not train on candidates that nobody reviewed: they cost {-gain.gain:.3f} against real examples alone"
        f"{', and reviewing them won that back' if better else ''}."
    )


def few_accepted(facts: Facts) -> str | None:
    """Points to the commonest tag where reviewers decline much."""
    reviewed, accepted = facts.funnel.get("reviewed", 0), facts.funnel.get("accepted", 0)
    if not reviewed or accepted / reviewed >= FEW_ACCEPTED:
        return None
    tag = max(facts.tags, key=lambda name: facts.tags[name], default="")
    why = f", most often for “{tag}”" if tag else ""
    return (
        f"Generate better before reviewing more: {reviewed - accepted} of {reviewed} were declined{why}; say in the "
        "prompt what reviewers miss, or take a stronger teacher."
    )


def own_messages_do_as_well(facts: Facts) -> str | None:
    """Says to write more seeds where as many real messages did as well."""
    control, reviewed = facts.arm("real_stand_in"), facts.arm("real_reviewed")
    real = facts.arm("real")
    if control is None or reviewed is None or control.value <= reviewed.value:
        return None
    if real is not None and control.value <= real.value:
        return None
    return (
        f"Write more seeds: with the {control.examples - seeds(facts)} messages that the stand-in knows as plain "
        f"training rows the score was {control.value:.3f}, with {reviewed.synthetic} generated ones "
        f"{reviewed.value:.3f}."
    )


def trained_less(facts: Facts) -> str | None:
    """Says where the bound on trained tokens let an arm with more rows see each of them less often."""
    real, reviewed = facts.arm("real"), facts.arm("real_reviewed") or facts.arm("real_synthetic")
    if real is None or reviewed is None or not reviewed.epochs or reviewed.epochs > ENOUGH * real.epochs:
        return None
    return (
        f"Raise train.max_trained_tokens: under it “{ARM_NAMES[reviewed.arm]}” saw each row {reviewed.epochs:.1f} "
        f"times and “{ARM_NAMES['real']}” {real.epochs:.1f} times, so more rows meant less training on each."
    )


def seeds(facts: Facts) -> int:
    """Returns how many seeds there are."""
    return facts.funnel.get("seeds", 0)


def tired_held_out(facts: Facts) -> str | None:
    """Asks for fresh held-out rows where many runs have seen these."""
    earlier = facts.times_scored - facts.own_scorings
    if earlier < TIRED:
        return None
    return (
        f"Write fresh held-out examples: {earlier} runs scored these rows before this campaign, and choices lean on "
        "what they showed."
    )


def take_it(facts: Facts) -> str | None:
    """Says how to take the best adapter where the target was reached."""
    if not facts.target_reached or not facts.best.examples:
        return None
    return f"Take the adapter of “{ARM_NAMES[facts.best.arm]}”: `cultivar adapter list`, then `cultivar adapter pull`."


def ask_for_more(facts: Facts) -> str | None:
    """Asks for more candidates where nothing else stands out."""
    gain = facts.gain("real_reviewed", "real") or facts.gain("real_synthetic", "real")
    if gain is None or gain.margin_met or facts.target_reached:
        return None
    return "Ask for more candidates, by another strategy or a stronger teacher, and run the campaign again."


RULES: tuple[Callable[[Facts], str | None], ...] = (
    take_it,
    shots_beat_training,
    stand_in_reviewed,
    unreviewed_harm,
    trained_less,
    too_few_rows,
    one_training_seed,
    own_messages_do_as_well,
    few_accepted,
    many_duplicates,
    many_rejected,
    malformed_answers,
    tired_held_out,
    ask_for_more,
)


def advise(facts: Facts) -> list[str]:
    """Returns what to do next."""
    return [sentence for rule in RULES if (sentence := rule(facts)) is not None]
