"""Prompts: what a template may do, and what it may not."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from cultivar_generation.checking import MADE_UP, check_prompt
from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.prompts import Prompt, compiled, shipped
from cultivar_generation.strategies import STRATEGIES, Pool
from cultivar_records import TaskKind, TaskSpec
from cultivar_service.errors import InvalidArgument

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=("a", "b"))


def prompt(template: str) -> Prompt:
    """A prompt of a template."""
    return Prompt("mine", 1, "chat", template, "")


def rendered(prompt: Prompt, axes: dict[str, str]) -> Iterator[str]:
    """The texts of a prompt for a made-up seed of each kind of task that its strategy is for."""
    strategy = STRATEGIES[prompt.strategy]
    for kind in strategy.tasks:
        task, seed = MADE_UP[kind]
        plan = strategy.plan(0, Pool([seed]), task, strategy.Config.model_validate(prompt.params), Random(0))
        yield prompt.render({**plan.variables, "axes": axes})


def test_a_shipped_list_ends_where_the_model_goes_on() -> None:
    shots = [{"text": "one", "answer": "a"}, {"text": "two", "answer": "a"}]
    given = {"shots": shots, "label": "a", "task": TASK, "next": 3}
    first, second = shipped()["continue"].values()
    assert first.render(given).endswith("1. one\n2. two\n3.")
    assert second.render({**given, "axes": {}}) == first.render(given)
    assert 'kind "a"; tone: formal:' in second.render({**given, "axes": {"tone": "formal"}})


@pytest.mark.parametrize("prompt", [one for versions in shipped().values() for one in versions.values()], ids=str)
def test_a_shipped_prompt_names_what_its_strategy_gives_and_shows_its_axes(prompt: Prompt) -> None:
    if not prompt.strategy:
        assert prompt.version == 1
        return
    check_prompt(prompt)
    axes = dict.fromkeys(["tone", *prompt.params.get("axes", {})], "formal")
    assert any("formal" in text for text in rendered(prompt, axes))


@pytest.mark.parametrize(
    ("prompt", "field", "says"),
    [
        (Prompt("p", 0, "chat", "{{ txt }}", "", "rewrite"), "prompt.template", "'txt'.*did you mean 'text'"),
        (Prompt("p", 0, "chat", "{{ passage }}", "", "rewrite"), "prompt.template", "'passage'.*strategy rewrite"),
        (Prompt("p", 0, "chat", "{{ audience }}", ""), "prompt.template", "'audience', which no strategy gives"),
        (Prompt("p", 0, "chat", "{{ axes.tone }}", "", "rewrite"), "prompt.template", "tone"),
        (Prompt("p", 0, "chat", "{{ task.colour }}", "", "rewrite"), "prompt.template", "colour"),
        (Prompt("p", 0, "chat", "x", "", "rewrit"), "prompt.strategy", "did you mean 'rewrite'"),
        (Prompt("p", 0, "chat", "x", "", "rewrite", {"shots": 3}), "prompt.params.shots", "not permitted"),
        (Prompt("p", 0, "chat", "x", "", "", {"shots": 3}), "prompt.params", "needs prompt.strategy"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_with_its_field(prompt: Prompt, field: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as refused:
        check_prompt(prompt)
    assert refused.value.field == field


def test_a_prompt_of_no_strategy_may_name_what_any_gives() -> None:
    assert check_prompt(Prompt("p", 0, "chat", "{{ passage }}{{ text }}{{ axes }}", "")).template


def test_an_undefined_name_is_an_error_that_names_it() -> None:
    with pytest.raises(TemplateInvalid, match="audience"):
        prompt("for {{ audience }}").render({"text": "x"})


@pytest.mark.parametrize(
    "template",
    ["{{ ''.__class__.__mro__ }}", "{{ text.__init__.__globals__ }}", "{% for x in range(10**9) %}{{ x }}{% endfor %}"],
)
def test_a_template_reaches_nothing_outside_itself(template: str) -> None:
    with pytest.raises(TemplateInvalid):
        prompt(template).render({"text": "x"})


def test_a_template_that_is_not_jinja_is_refused_when_it_is_compiled() -> None:
    with pytest.raises(TemplateInvalid):
        compiled("{% for %}")


def test_the_digest_is_over_form_and_template_alone() -> None:
    assert Prompt("a", 1, "chat", "t", "x").digest == Prompt("b", 2, "chat", "t", "y").digest
    assert Prompt("a", 1, "chat", "t", "").digest != Prompt("a", 1, "continuation", "t", "").digest


def test_the_manual_shows_each_shipped_prompt_with_what_it_gave() -> None:
    page = (Path(__file__).parents[3] / "docs" / "prompts.md").read_text()
    told = re.findall(r"^## (\S+)$", page, re.MULTILINE)
    assert sorted(told) == sorted(versions[max(versions)].versioned_name for versions in shipped().values())
    assert len(re.findall(r"^\d+ calls: \d+ candidates, \d+ malformed\.$", page, re.MULTILINE)) == len(told)
