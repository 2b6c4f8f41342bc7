"""Answers in the form that a prompt asks for: named fields, turns of a conversation, a problem with its tests."""

import random
import re

from cultivar_models.fake.wording import rephrase

_BLANK = re.compile(r"^([A-Z][\w ]{0,30}): \.\.\.$", re.MULTILINE)
_COUNT = re.compile(r"\b[Ww]rite (?:the next )?(\d{1,2})\b")
_WORD = re.compile(r"[^\W\d_]{3,}")
_MOST = 30


def filled_in(prompt: str, chance: random.Random) -> str:
    """Returns the answer to a prompt that shows or names the form of its answer; empty where it does neither."""
    if "```python" in prompt and "Tests:" in prompt:
        return program(chance)
    times = asked_for(prompt)
    if '"User:"' in prompt and '"Assistant:"' in prompt:
        return "\n".join(f"{role}: {sentence(prompt, chance)}" for _ in range(times) for role in ("User", "Assistant"))
    names = _BLANK.findall(prompt)
    if not names:
        return ""
    records = ("\n".join(f"{name}: {sentence(prompt, chance)}" for name in names) for _ in range(times))
    return "\n\n".join(records)


def asked_for(prompt: str) -> int:
    """Returns how many records a prompt asks for, 1 where it does not say."""
    asked = _COUNT.search(prompt)
    return min(int(asked.group(1)), _MOST) if asked else 1


def sentence(prompt: str, chance: random.Random) -> str:
    """Returns some words of the prompt that follow each other, a little changed."""
    words = _WORD.findall(prompt)
    start = chance.randrange(max(1, len(words) - 12))
    return rephrase(" ".join(words[start : start + chance.randint(5, 12)]), chance)


def program(chance: random.Random) -> str:
    """Returns a problem with its solution in Python and tests of it."""
    factor, name = chance.randint(2, 99), chance.choice(("scaled", "multiple", "product", "times"))
    return (
        f"Problem: Write a function {name}_{factor}(n) that multiplies a number by {factor}.\n"
        f"Solution:\n```python\ndef {name}_{factor}(n):\n    return n * {factor}\n```\n"
        f"Tests:\n```python\nassert {name}_{factor}(0) == 0\nassert {name}_{factor}(2) == {2 * factor}\n```"
    )
