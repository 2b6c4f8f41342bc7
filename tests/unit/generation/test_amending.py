"""What a finding makes of a prompt."""

import pytest
from cultivar_generation.amending import amend
from cultivar_generation.prompts import Prompt, shipped
from cultivar_service.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

FIRST = Prompt("polite", 3, "chat", "Say politely:\n{{ text }}", "", "rewrite")
GIVEN = {"text": "my lamp"}


def test_a_finding_becomes_a_line_before_the_template_and_the_next_after_it() -> None:
    second = amend(FIRST, "9 of 40 are declined for another order number", "Keep each number.")
    assert second.render(GIVEN) == "Keep each number.\n\nSay politely:\nmy lamp"
    assert (second.parent, second.finding) == ("polite@3", "9 of 40 are declined for another order number")
    third = amend(second, "too stiff", "")
    assert third.render(GIVEN) == (
        "Keep each number.\nReviewers found a fault in earlier answers, which is to be avoided: too stiff\n\n"
        "Say politely:\nmy lamp"
    )


def test_a_template_may_say_where_amendments_stand() -> None:
    slot = Prompt("polite", 1, "chat", "Say politely.\n{# amendments #}\n{{ text }}", "", "rewrite")
    assert amend(slot, "stiff", "Be warm.").render(GIVEN) == "Say politely.\nBe warm.\n\nmy lamp"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(str.strip))
def test_an_instruction_is_shown_as_it_is_and_runs_nothing(text: str) -> None:
    said = " ".join(text.split())
    for written in (text, f"{text} {{{{ 1 / 0 }}}} {{% for %}}"):
        shown = amend(FIRST, "worse", written).render(GIVEN)
        assert shown.split("\n")[0].startswith(said)
    assert "{{ 1 / 0 }} {% for %}" in shown


@pytest.mark.parametrize(
    ("finding", "instruction", "says"),
    [
        (" ", "", "finding is empty"),
        ("x", "{% endraw %}", "endraw"),
        ("x" * 4001, "", "4000"),
        ("x", "y" * 2001, "2000"),
    ],
)
def test_an_amendment_that_cannot_be_is_refused(finding: str, instruction: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        amend(FIRST, finding, instruction)


def test_every_shipped_prompt_can_be_amended() -> None:
    for versions in shipped().values():
        for prompt in versions.values():
            assert amend(prompt, "worse", "Be brief.").template.startswith("Be brief.\n")
