"""The page: one HTML file that needs nothing else, and runs nothing."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cultivar_campaigns.report.advice import advise
from cultivar_campaigns.report.facts import ARM_NAMES, METRIC_NAMES, Facts
from cultivar_campaigns.report.plots import arms_plot, funnel_plot, gains_plot
from cultivar_campaigns.report.verdict import signed, verdict_sentence

TEMPLATE = "report.html.j2"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
OUTCOMES = ("kept", "rejected", "accepted", "edited", "declined")


def duration(seconds: float) -> str:
    """Writes seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


ENVIRONMENT.filters |= {"duration": duration, "signed": signed}


def render(facts: Facts) -> str:
    """Returns the page of a campaign."""
    return ENVIRONMENT.get_template(TEMPLATE).render(
        facts=facts,
        verdict=verdict_sentence(facts),
        advice=advise(facts),
        arm_names=ARM_NAMES,
        metric=METRIC_NAMES.get(facts.metric, ""),
        outcomes=OUTCOMES,
        plots=plots(facts),
    )


def plots(facts: Facts) -> dict[str, Markup]:
    """Draws what there is to draw."""
    drawn = {"funnel": funnel_plot(facts)}
    return {**drawn, "arms": arms_plot(facts), "gains": gains_plot(facts)} if facts.measured else drawn
