"""What a finding makes of a prompt: the same template with one more line, which says what to avoid."""

from dataclasses import replace

from cultivar_service.errors import InvalidArgument

from cultivar_generation.checking import check_prompt
from cultivar_generation.prompts import Prompt

SLOT = "{# amendments #}"
OPENERS = ("{{", "{%", "{#")
MOST_FINDING, MOST_INSTRUCTION = 4000, 2000


def amend(prompt: Prompt, finding: str, instruction: str) -> Prompt:
    """Returns a prompt whose template says an instruction more, with what it amends and why; it has no version yet.

    Without an instruction it is made of the finding. Raises InvalidArgument for a finding that is empty, too long or
    cannot stand in a template.
    """
    finding, instruction = " ".join(finding.split()), " ".join(instruction.split())
    for name, text, most in (("finding", finding, MOST_FINDING), ("instruction", instruction, MOST_INSTRUCTION)):
        if len(text) > most:
            raise InvalidArgument(f"{name} has {len(text)} characters, {most} at most", field=name)
    if not finding:
        raise InvalidArgument("finding is empty: say what the reviews showed", field="finding")
    line = literal(instruction or f"Reviewers found a fault in earlier answers, which is to be avoided: {finding}")
    template = with_line(prompt.template, line)
    return check_prompt(replace(prompt, version=0, template=template, parent=prompt.versioned_name, finding=finding))


def with_line(template: str, line: str) -> str:
    """Returns a template with a line more, after those of earlier amendments: at its slot, else before all of it.

    Not after it: how a template ends decides how the answer begins.
    """
    if SLOT in template:
        return template.replace(SLOT, f"{line}\n{SLOT}", 1)
    return f"{line}\n{SLOT}\n{template}"


def literal(text: str) -> str:
    """Returns a text as a template shows it as it is; raises InvalidArgument where that cannot be."""
    if "endraw" in text:
        raise InvalidArgument("the instruction must not hold the word endraw: say it otherwise", field="instruction")
    return f"{{% raw %}}{text}{{% endraw %}}" if any(opener in text for opener in OPENERS) else text
