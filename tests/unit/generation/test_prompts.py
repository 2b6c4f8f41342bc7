"""Prompts: what a template may do, and what it may not."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from cultivar_generation.checking import MADE_UP, check_prompt, check_use, config_of
from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.prompts import Prompt, compiled, shipped
from cultivar_generation.prompts.attributes import shown_of
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
    if prompt.version == max(shipped()[prompt.name]):
        assert all("formal" in text for text in rendered(prompt, axes))


@pytest.mark.parametrize(
    ("prompt", "field", "says"),
    [
        (Prompt("p", 0, "chat", "{{ txt }}", "", "rewrite"), "prompt.template", "'txt'.*did you mean 'text'"),
        (Prompt("p", 0, "chat", "{{ passage }}", "", "rewrite"), "prompt.template", "'passage'.*strategy rewrite"),
        (Prompt("p", 0, "chat", "{{ audience }}", ""), "prompt.template", "'audience', which no strategy gives"),
        (Prompt("p", 0, "chat", "{{ axes.tone }}", "", "rewrite"), "prompt.template", "tone"),
        (Prompt("p", 0, "chat", "{{ task.colour }}", "", "rewrite"), "prompt.template", "colour"),
        (
            Prompt("p", 0, "chat", "{% if not text %}{{ task.colour }}{% endif %}{{ text }}", "", "rewrite"),
            "prompt.template",
            "'colour' of 'task', which is not there",
        ),
        (
            Prompt("p", 0, "chat", "{% for one in shots if label %}{{ one.txt }}{% endfor %}", "", "expand"),
            "prompt.template",
            "'txt' of 'one', which is not there: did you mean 'text'",
        ),
        (Prompt("p", 0, "chat", "{{ text | uper }}", "", "rewrite"), "prompt.template", "No filter named 'uper'"),
        (Prompt("p", 0, "chat", "{{ text | random }}", ""), "prompt.template", "No filter named 'random'"),
        (Prompt("p", 0, "chat", "{{ text }}{{ turns[0].rolle }}", ""), "prompt.template", "'rolle' of an item"),
        (Prompt("p", 0, "chat", "{{ shots[9].text }}", "", "expand", {"shots": 8}), "prompt.template", "no element 9"),
        (
            Prompt("p", 0, "chat", "{{ axes }}{{ text }}", "", "rewrite", {"check": {"template": "{{ axes.tone }}"}}),
            "prompt.params.check.template",
            "tone",
        ),
        (
            Prompt("p", 0, "chat", "{{ text }}", "", "rewrite", {"check": {"template": "{% for %}"}}),
            "prompt.params.check.template",
            "the template cannot be used",
        ),
        (
            Prompt("p", 0, "chat", "{{ text }}", "", "rewrite", {"axes": {"tone": ["calm"]}}),
            "prompt.params.axes",
            "never names axes",
        ),
        (Prompt("p", 0, "chat", "x", "", "rewrit"), "prompt.strategy", "did you mean 'rewrite'"),
        (Prompt("p", 0, "chat", "x", "", "rewrite", {"shots": 3}), "prompt.params.shots", "not permitted"),
        (Prompt("p", 0, "chat", "x", "", "", {"shots": 3}), "prompt.params", "needs prompt.strategy"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_with_its_field(prompt: Prompt, field: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as refused:
        check_prompt(prompt)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt("p", 0, "chat", "{{ shots[1].text }}{{ shots[3].answer }}", "", "expand"),
        Prompt("p", 0, "chat", "{{ shots[7].text }}", "", "expand", {"shots": 8}),
        Prompt("p", 0, "chat", "{% if task.colour is defined %}{{ task.colour }}{% endif %}{{ text }}", "", "rewrite"),
        Prompt("p", 0, "chat", "{{ task.colour | default('red') }}{{ text }}", "", "rewrite"),
        Prompt("p", 0, "chat", "{% if 'tone' in axes %}{{ axes.tone }}{% endif %}{{ text }}", "", "rewrite"),
        Prompt("p", 0, "chat", "{% for shot in shots %}{{ shot.text.strip() }}{% endfor %}", "", "expand"),
        Prompt("p", 0, "chat", "{{ task.labels[0] }}", "", "rewrite"),
    ],
)
def test_a_prompt_that_can_be_used_with_some_seeds_is_taken(prompt: Prompt) -> None:
    assert check_prompt(prompt) is prompt


def sorting(template: str, params: dict[str, object], strategy: str = "") -> Prompt:
    """Checks a use of rewrite with a template for a task of two labels; returns its prompt."""
    config = config_of(STRATEGIES["rewrite"], params, "spec.strategies[1].params")
    prompt = Prompt("p", 1, "chat", template, "", strategy, params if strategy else {})
    check_use(prompt, STRATEGIES["rewrite"], config, TASK, "spec.strategies[1]")
    return prompt


@pytest.mark.parametrize(
    ("template", "params", "field", "says"),
    [
        ("{{ {'a': 1}[label] }}", {}, "prompt", "'b'"),
        ("{{ {'x': 1}[axes.tone] }}", {"axes": {"tone": ["x", "x", "y"]}}, "prompt", "'y'"),
        ("{{ axes.tune }}", {"axes": {"tone": ["x"]}}, "prompt", "did you mean 'tone'"),
        ("{% if not text %}{{ passage }}{% endif %}", {}, "prompt", "'passage', which the strategy does not give"),
        ("{{ text }}", {"axes": {"tone": ["x"]}}, "params.axes", "p@1 never names axes"),
        ("{{ text }}", {"check": {"template": "{{ axes.tone }}"}}, "params.check.template", "tone"),
        ("{{ text }}", {"check": {"template": "{{ task.x }}{{ draft }}"}}, "params.check.template", "'x'"),
    ],
)
def test_a_use_is_tried_with_its_own_task_axes_and_check(
    template: str, params: dict[str, object], field: str, says: str
) -> None:
    with pytest.raises(InvalidArgument, match=says) as refused:
        sorting(template, params)
    assert refused.value.field == f"spec.strategies[1].{field}"


def test_a_use_whose_template_asks_before_it_names_is_taken() -> None:
    asking = "{% if passage is defined %}{{ passage }}{% else %}{{ text }}{{ {'a': 1, 'b': 2}[label] }}{% endif %}"
    assert sorting(asking, {}).template == asking
    assert sorting("{{ {'x': 1, 'y': 2}[axes.tone] }}", {"axes": {"tone": ["x", "y"]}}).version == 1


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


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{% for axis, value in axes.items() %}{{ axis }}: {{ value }}{% endfor %}", None),
        ("{{ axes }}", None),
        ("{{ axes[text] }}", None),
        ("{{ axes.tone }} and {{ axes['length'] }}", {"tone", "length"}),
        ("{% if 'tone' in axes %}{{ axes.tone }}{% endif %}", None),
        ("{{ text }}", set()),
    ],
)
def test_a_template_is_known_to_show_all_axes_or_those_that_it_names(template: str, shown: set[str] | None) -> None:
    assert shown_of(template, "axes") == shown
