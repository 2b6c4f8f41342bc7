"""Templates are rendered between calls that others wait for: no template may hold them up, and all prompts pass."""

import time

import pytest
from cultivar_generation.checking import check_prompt
from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.prompts import Prompt, render
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

GIVEN = {
    "text": "a cat",
    "shots": [{"text": "one\ntwo", "answer": "1"}, {"text": "three", "answer": "2"}],
    "axes": {"tone": "formal", "length": "short"},
    "passage": "word " * 18_000,
}
HEAVY = [
    "{{ 10**2000000 % 7 }}",
    "{% for a in range(1700) %}{% for b in range(1700) %}{{ a }}{% endfor %}{% endfor %}",
    "{% for a in range(100000) %}{% endfor %}",
    "{% for a in range(9000) %}{% for b in range(9000) if b and false %}{% endfor %}{% endfor %}",
    "{% for a in range(9000) %}" + "y" * 90_000 + "{% endfor %}",
    "{% for a in 'x' * 90000 recursive %}{{ loop('x' * 90000) }}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ [1] * 100000000 }}",
    "{{ 'x' | center(1000000000) }}",
    "{{ 'x' | indent(1000000000) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ ('x' * 90000).replace('x', 'y' * 90000) }}",
    "{{ ('x' * 90000) | replace('x', 'y' * 90000) }}",
    "{{ range(99999) | join('x' * 90000) }}",
    "{{ ('x' * 90000).join(range(99999) | map('string') | list) }}",
    "{{ [1] | slice(100000000) | list }}",
    "{{ 1.5 | round(2000000, 'ceil') }}",
    "{{ range(100000)" + "| select" * 900 + "| list }}",
    "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
    "{% set x = (1,) %}" + "{% set x = (x, x) %}" * 60 + "{{ {x: 1} }}",
    "{% set x = 'a' %}" + "{% set x = x ~ x %}" * 60 + "{{ x | length }}",
    "{% set x = 'a' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60 + "{{ x }}",
    "{% set n = namespace(x=2) %}{% for i in range(100) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for i in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ lipsum(n=100000) }}",
    "{{ text }}" * 3000,
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "x" * 100_001,
]
ORDINARY = [
    "{{ text.replace('a', 'b') | upper }} {{ text[:3] }} {{ text.split() | length * 2 }} {{ -1 + 3 % 2 }}",
    "{% for shot in shots %}{{ loop.index }}/{{ loop.length }} {{ shot.text | indent(2) }}{{ ', ' if not loop.last }}"
    "{% endfor %}",
    "{% macro quoted(x) %}<{{ x }}>{% endmacro %}{{ quoted(text) }}{{ quoted('b') | trim }}",
    "{% set n = namespace(c=0) %}{% for shot in shots %}{% set n.c = n.c + 1 %}{% endfor %}{{ n.c }}",
    "{{ shots | map(attribute='text') | join('; ') }}{{ shots | selectattr('answer') | list | tojson }}{{ axes }}",
    "{{ '%.2f' | format(0.5) }} {{ '%s-%d' % (text, 3) }} {{ text ~ 1 ~ text }} {{ 2 * 'ab' }} {{ 1.25 | round(1) }}",
    "{% for axis, value in axes.items() if axis != 'tone' %}{{ axis }}={{ value }}{% else %}none{% endfor %}",
    "{% if label is defined %}{{ label }}{% elif 'cat' in text %}{{ nothing | default('none') }}{% endif %}",
    "{% filter upper %}ab{% endfilter %}{% set x %}{{ text }}{% endset %}{{ x }}",
    "{% for i in range(3) %}{{ i }}{% endfor %}",
    "{{ passage | wordcount }}{{ passage | truncate(2000) }}{{ passage | replace(' ', '_') | length }}",
]


@pytest.mark.parametrize("template", HEAVY, ids=lambda text: text[:40])
def test_a_template_that_would_hold_up_other_calls_is_refused_at_once(template: str) -> None:
    for prompt in (Prompt("p", 0, "chat", template, "", "rewrite"), Prompt("p", 0, "chat", template, "")):
        took = []
        for _ in range(3):
            before = time.thread_time()
            with pytest.raises(TemplateInvalid) as refused:
                check_prompt(prompt)
                render(template, GIVEN)
            took.append(time.thread_time() - before)
        # The quickest, for others use this machine too.
        assert min(took) < 0.2 and refused.value.field == "prompt.template"


@pytest.mark.parametrize("template", ORDINARY, ids=lambda text: text[:40])
def test_an_ordinary_template_gives_what_jinja_gives(template: str) -> None:
    jinja = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    assert render(template, GIVEN) == jinja.from_string(template).render(GIVEN)


@given(steps=st.integers(0, 40_000))
def test_whether_a_template_does_too_much_is_the_same_each_time(steps: int) -> None:
    ended = []
    for _ in range(2):
        try:
            render("{% for a in range(steps) %}{% endfor %}", {"steps": steps})
            ended.append(True)
        except TemplateInvalid:
            ended.append(False)
    assert ended[0] == ended[1] and ended[0] == (steps <= 9523)
