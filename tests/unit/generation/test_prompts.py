"""Prompts: what a template may do, and what it may not."""

import pytest
from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.prompts import Prompt, compiled, shipped
from cultivar_records import TaskKind, TaskSpec

TASK = TaskSpec(kind=TaskKind.CLASSIFICATION, instruction="Sort it.", labels=("a", "b"))


def prompt(template: str) -> Prompt:
    """A prompt of a template."""
    return Prompt("mine", 1, "chat", template, "")


def test_a_shipped_list_ends_where_the_model_goes_on() -> None:
    shots = [{"text": "one", "answer": "a"}, {"text": "two", "answer": "a"}]
    text = shipped()["continue"].render({"shots": shots, "label": "a", "task": TASK, "next": 3})
    assert text.endswith("1. one\n2. two\n3.")


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
