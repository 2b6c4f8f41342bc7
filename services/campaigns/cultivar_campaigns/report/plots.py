"""The plots of a report, as SVG that stands in the page."""

import re
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from cultivar_campaigns.config import UNTRAINED
from cultivar_campaigns.report.facts import ARM_NAMES, METRIC_NAMES, Facts

INK, MUTED, GRID = "#1f2a2e", "#66757b", "#e3e8e8"
GREEN, PALE, AMBER, RED = "#2f6f5e", "#a9c9bf", "#c98a2b", "#b4513f"
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
WIDTH = 760
LABELS = 230
"""Pixels kept for the names of rows: a page may have a wider font than the one that the plot is measured with."""
TRAINED_ON_GENERATED = ("real_synthetic", "real_reviewed")


def svg(chart: alt.LayerChart | alt.Chart, title: str) -> Markup:
    """Renders a chart with its title for readers that cannot see it."""
    config: dict[str, Any] = {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": INK,
            "titleColor": MUTED,
            "labelFontSize": 13,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "gridColor": GRID,
            "domain": False,
            "ticks": False,
            "labelLimit": 320,
            "labelPadding": 8,
        },
        "axisY": {"minExtent": LABELS},
        "padding": {"left": 16, "right": 24, "top": 8, "bottom": 8},
    }
    drawn: str = vl_convert.vegalite_to_svg(chart.properties(config=config).to_dict())
    return Markup(re.sub(r"<svg ", f'<svg role="img" aria-label="{title}" ', drawn, count=1))


def funnel_plot(facts: Facts) -> Markup:
    """Draws the funnel: what came in, what was kept, what was accepted, what a dataset took."""
    wanted = ("seeds", "candidates", "kept", "answered", "kept_answers", "reviewed", "accepted", "selected")
    rows = [
        {"step": name.replace("_", " "), "count": count, "kind": "seeds" if name == "seeds" else "generated"}
        for name in wanted
        if (count := facts.funnel.get(name)) is not None
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("step:N", sort=[row["step"] for row in rows], title=None),
        x=alt.X("count:Q", title=None, axis=None),
    )
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["seeds", "generated"], range=[PALE, GREEN]), legend=None)
    bars = base.mark_bar(cornerRadiusEnd=3, height=20).encode(color=colour)
    numbers = base.mark_text(align="left", dx=6, fontSize=13, color=INK).encode(text="count:Q")
    return svg(alt.layer(bars, numbers).properties(width=WIDTH - LABELS - 60, height=34 * len(rows)), "The funnel")


def arms_plot(facts: Facts) -> Markup:
    """Draws each arm: its interval, its mean, each training seed as a dot, and the target."""
    rows = [
        {
            "arm": ARM_NAMES[arm.arm],
            "value": arm.value,
            "low": arm.low,
            "high": arm.high,
            "kind": "generated" if arm.arm in TRAINED_ON_GENERATED else "other",
        }
        for arm in facts.arms
    ]
    seeds = [{"arm": ARM_NAMES[arm.arm], "seed": value} for arm in facts.arms for value in arm.by_seed]
    scale = alt.Scale(domain=ends_of(facts))
    y = alt.Y("arm:N", sort=[row["arm"] for row in rows], title=None)
    axis = alt.Axis(format=".2f", tickCount=6)
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["generated", "other"], range=[GREEN, MUTED]), legend=None)
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=colour)
    title = f"{METRIC_NAMES[facts.metric]} on {facts.rows} held-out rows"
    bars = base.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x=alt.X("low:Q", scale=scale, title=title, axis=axis), x2="high:Q"
    )
    means = base.mark_point(filled=True, size=120, opacity=1).encode(x=alt.X("value:Q", scale=scale))
    dots = (
        alt.Chart(alt.Data(values=seeds))
        .mark_point(size=42, color=INK, strokeWidth=1.2, yOffset=11)
        .encode(y=y, x=alt.X("seed:Q", scale=scale))
    )
    target = alt.Chart(alt.Data(values=[{"target": facts.target}]))
    rule = target.mark_rule(color=AMBER, strokeDash=[5, 4], strokeWidth=1.5).encode(x=alt.X("target:Q", scale=scale))
    name = target.mark_text(align="center", dy=-8, color=AMBER, fontSize=12, baseline="bottom").encode(
        x=alt.X("target:Q", scale=scale), y=alt.value(0), text=alt.value(f"target {facts.target:g}")
    )
    layers = alt.layer(bars, means, dots, rule, name)
    return svg(layers.properties(width=WIDTH - LABELS, height=48 * len(rows)), "The arms with their intervals")


def ends_of(facts: Facts) -> list[float]:
    """Returns the ends of the scale that holds every arm and the target; a share ends at 0 and 1, perplexity at 1."""
    lowest = min(facts.target, *(arm.low for arm in facts.arms))
    highest = max(facts.target, *(arm.high for arm in facts.arms))
    if facts.less_is_better:
        room = 0.05 * (highest - lowest)
        return [max(1.0, lowest - room), highest + room]
    return [max(0.0, lowest - 0.05), min(1.0, highest + 0.03)]


def gains_plot(facts: Facts) -> Markup:
    """Draws each comparison of trained arms with its interval, against no gain and against the margin.

    The comparisons with models that were not trained are on another scale: the table has them.
    """
    gains = [gain for gain in facts.gains if gain.over not in UNTRAINED]
    rows = [
        {"pair": f"{ARM_NAMES[gain.arm]}|over {ARM_NAMES[gain.over]}", "kind": kind_of(gain.low, gain.high), **bounds}
        for gain in gains
        for bounds in [{"gain": gain.gain, "low": gain.low, "high": gain.high}]
    ]
    if not rows:
        return Markup("")
    ends = [0.0, facts.margin, *(gain.low for gain in gains), *(gain.high for gain in gains)]
    room = 0.05 * (max(ends) - min(ends)) if facts.less_is_better else 0.02
    scale = alt.Scale(domain=[min(ends) - room, max(ends) + room])
    y = alt.Y(
        "pair:N", sort=[row["pair"] for row in rows], title=None, axis=alt.Axis(labelExpr="split(datum.label, '|')")
    )
    kinds = alt.Scale(domain=["above", "below", "both"], range=[GREEN, RED, MUTED])
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=alt.Color("kind:N", scale=kinds, legend=None))
    axis = alt.Axis(format="+.2f", tickCount=7)
    title = f"{'fall of' if facts.less_is_better else 'gain in'} {METRIC_NAMES[facts.metric]}"
    bars = base.mark_rule(strokeWidth=3, opacity=0.5).encode(
        x=alt.X("low:Q", scale=scale, title=title, axis=axis), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=110, opacity=1).encode(x=alt.X("gain:Q", scale=scale))
    lines = (
        alt.Chart(alt.Data(values=[{"at": 0.0}]))
        .mark_rule(color=INK, strokeWidth=1)
        .encode(x=alt.X("at:Q", scale=scale))
    )
    margin = alt.Chart(alt.Data(values=[{"at": facts.margin}]))
    rule = margin.mark_rule(color=AMBER, strokeDash=[5, 4], strokeWidth=1.5).encode(x=alt.X("at:Q", scale=scale))
    name = margin.mark_text(dy=-8, color=AMBER, fontSize=12, baseline="bottom", align="left").encode(
        x=alt.X("at:Q", scale=scale), y=alt.value(0), text=alt.value(f"margin {facts.margin:g}")
    )
    layers = alt.layer(lines, rule, name, bars, points)
    return svg(layers.properties(width=WIDTH - LABELS, height=52 * len(rows)), "The gains with their intervals")


def kind_of(low: float, high: float) -> str:
    """Says where an interval lies: above 0, below 0, or on both sides."""
    return "above" if low > 0 else "below" if high < 0 else "both"
