"""The report says what the figures say, no more."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from cultivar_campaigns.report.advice import advise
from cultivar_campaigns.report.facts import Facts, Reject, Shown
from cultivar_campaigns.report.page import render
from cultivar_campaigns.report.verdict import verdict_sentence
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.campaigns.facts import GAINS, arm, facts, gain


def with_gain(value: float, low: float, high: float, **changed: Any) -> Facts:
    """The facts, with another gain of reviewed examples over real ones."""
    others = [gain(*each) for each in GAINS if each[:2] != ("real_reviewed", "real")]
    return facts(gains=[*others, gain("real_reviewed", "real", value, low, high)], **changed)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.05, 0.03, 0.07), "more than the margin of 0.02"),
        ((0.05, 0.01, 0.09), "but not surely the margin of 0.02"),
        ((0.01, -0.02, 0.04), "no gain of"),
        ((-0.05, -0.08, -0.01), "made it worse than real ones alone"),
    ],
)
def test_the_verdict_says_what_the_interval_shows(interval: tuple[float, float, float], said: str) -> None:
    assert said in verdict_sentence(with_gain(*interval))


def test_the_verdict_answers_the_target_by_the_best_arm() -> None:
    assert verdict_sentence(facts()).startswith("The target of 0.85 accuracy was reached, best by “real + stand-in's")
    assert verdict_sentence(facts(target=0.95)).startswith("The target of 0.95 accuracy was not reached, nearest by")


def test_the_verdict_never_calls_the_stand_in_a_person() -> None:
    assert "reviewed by the stand-in" in verdict_sentence(facts())
    page = render(facts())
    assert "No person reviewed" in page
    assert "nearest-neighbour stand-in" in page
    assert "No person reviewed" not in render(facts(review_by="person"))


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.3), st.floats(0, 0.2))
def test_a_margin_is_met_only_by_an_interval_above_it_and_above_nothing(
    value: float, half: float, margin: float
) -> None:
    found = gain("real_reviewed", "real", value, value - half, value + half, margin=margin)
    assert found.margin_met == (value - half > margin and value - half > 0)
    assert not found.margin_met or found.seen


class Names(HTMLParser):
    """Collects the elements of a page and what they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_runs_nothing_and_needs_nothing() -> None:
    page = render(facts())
    names = Names()
    names.feed(page)
    assert not {"script", "iframe", "link", "img", "object"} & set(names.elements)
    assert names.elements.count("svg") == 3
    assert all(link.startswith("#") for link in names.links)
    assert not re.search(r"""\son\w+=["']""", page)
    assert "&lt;script&gt;alert" in page


def test_a_figure_of_each_arm_stands_in_the_page() -> None:
    page = render(facts())
    for each in facts().arms:
        assert f"{each.value:.3f}" in page
    assert "12 times" in page
    assert "0.052" in page


def test_a_report_without_generated_arms_can_be_written() -> None:
    page = render(
        facts(arms=[arm("base")], gains=[], funnel={"seeds": 9}, rejected=[], shown=[], reviewers=[], tags={})
    )
    assert "not compared with real ones alone" in page


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "it takes about 1,630"),
        ({"review_by": "stand-in"}, "Let a person review"),
        ({"gains": [gain("real_synthetic", "real", -0.1, -0.2, -0.03)]}, "nobody reviewed: they cost 0.100"),
        ({"training_seeds": (1,)}, "two training seeds or more"),
        ({"times_scored": 99}, "Write fresh held-out examples: 89 runs"),
        ({"funnel": {"seeds": 9, "candidates": 100, "malformed": 80}}, "80 pieces could not be read"),
        ({"funnel": {"seeds": 9, "reviewed": 100, "accepted": 20}}, "most often for “wrong-label”"),
        ({"arms": [arm("base_with_shots", value=0.9), arm("real")]}, "instead of fine-tuning"),
        ({}, "Write more seeds: with the 96 messages that the stand-in knows"),
        (
            {"arms": [arm("real", epochs=4.0), arm("real_reviewed", epochs=2.0)]},
            "saw each row 2.0 times and “real only” 4.0 times",
        ),
    ],
)
def test_advice_follows_from_the_figures(changed: dict[str, Any], said: str) -> None:
    assert any(said in sentence for sentence in advise(facts(**changed)))


def test_advice_is_silent_where_its_reason_is_absent() -> None:
    calm = with_gain(0.05, 0.04, 0.06, review_by="person", rejected=[], margin=0.06, target=0.99, arms=[arm("real")])
    assert not any("person review" in one or "variety" in one or "more held-out" in one for one in advise(calm))
    worse = [arm("real", value=0.9, epochs=2.0), arm("real_stand_in"), arm("real_reviewed", epochs=1.9)]
    assert not any("stand-in knows" in one or "max_trained_tokens" in one for one in advise(facts(arms=worse)))


def test_the_facts_survive_their_file() -> None:
    assert Facts.model_validate_json(facts().model_dump_json()) == facts()


def test_a_report_without_training_says_that_it_is_of_no_model() -> None:
    assert verdict_sentence(facts(fake_training=True)).startswith("Nothing was trained (fake launcher)")
    assert "Nothing was trained" not in verdict_sentence(facts())


FALLS = (gain("real", "base", 20.0, 15.0, 25.0), gain("real_synthetic", "real", 1.5, -0.5, 3.0))


def test_less_perplexity_is_better_and_a_fall_is_a_gain() -> None:
    arms = [arm("base", value=40.0, low=35.0, high=46.0), arm("real", value=20.0, low=18.0, high=22.0)]
    found = facts(metric="perplexity", target=25.0, margin=1.0, arms=arms, gains=FALLS)
    assert found.best.arm == "real" and found.target_reached
    assert not facts(metric="perplexity", target=15.0, margin=1.0, arms=arms, gains=()).target_reached
    assert verdict_sentence(found).startswith(
        "The target of 25 perplexity was reached, best by “real only” with 20.000"
    )
    page = render(found)
    assert "perplexity of 25 or less" in page and "How much perplexity falls" in page and "fall of" in page


def test_a_campaign_that_ended_with_its_dataset_says_that_nothing_was_measured() -> None:
    counts = {"seeds": 100, "candidates": 1500, "kept": 1200, "answered": 1100, "kept_answers": 1050, "selected": 1000}
    pair = Shown(outcome="kept", text="Name a tree.", label="", answer="An oak is a tree.", strategy="answer")
    lost = Reject(filter="repetition", reason="few_distinct_words", count=50)
    found = facts(
        arms=(), gains=(), funnel=counts, metric="", target=0.0, margin=0.0, training_seeds=(), rows=0, times_scored=0,
        review_by="nobody", sources=(), shown=(pair,), rejected_answers=(lost,), labels=(), instruction="",
    )  # fmt: skip
    sentence = verdict_sentence(found)
    assert "The dataset holds 1,000 generated examples, which nobody reviewed, beside 100 seeds" in sentence
    page = render(found)
    assert "Nothing was trained or measured" in sentence and "Nothing was trained or measured" in page
    assert "An oak is a tree." in page and "kept answers" in page and "answered candidates" in page
    assert not [words for words in ("The arms", "held-out", "training seeds", "None") if words in page]
    assert advise(found) == []
    alike = Reject(filter="novelty", reason="like_earlier", count=600)
    (told,) = advise(found.model_copy(update={"rejected": (alike,)}))
    assert told.startswith("Ask for more variety: 600 of 1500 candidates")
