"""What the fake teacher says: forms are filled in, lists go on, questions get a short reply, the rest other words."""

import random
import re

from cultivar_models.fake.forms import filled_in
from cultivar_models.fake.likelihood import Shot, answer_logprob, read_shots
from cultivar_models.fake.lists import continued, find_list
from cultivar_models.fake.wording import rephrase

_YES_NO = re.compile(r"\byes\b.{0,12}\bno\b", re.IGNORECASE)
_JUDGED = re.compile(r"\b(score|rate|rating|scale|grade)\b", re.IGNORECASE)
_SCALE = re.compile(r"\b(\d)\s*(?:to|-|and|through)\s*(\d{1,2})\b")
_CUE_ONLY = re.compile(r"^[\w ,'()-]{1,60}:$")
_CUED = re.compile(r"^[A-Z][\w ]{0,40}:[ \t]+(?=\S)")


def write(prompt: str, chance: random.Random) -> str:
    """Returns the answer to a prompt; all its choices come from `chance`, so one seed is one answer."""
    formed = filled_in(prompt, chance)
    if formed:
        return formed
    found = find_list(prompt)
    if found is not None:
        return continued(found, chance)
    lines = prompt.rstrip().split("\n")
    return _from_shots(prompt) or _short_reply(lines, chance) or rephrase(_last_text(lines), chance)


def _short_reply(lines: list[str], chance: random.Random) -> str:
    """Returns `yes` or `no`, or a number on the scale that is asked for; mostly in favour, as judges are."""
    asked = " ".join(lines[-3:] + lines[:3])
    if _YES_NO.search(asked):
        return "yes" if chance.random() < 0.8 else "no"
    scale = _SCALE.search(asked) if _JUDGED.search(asked) else None
    if scale and int(scale.group(1)) < int(scale.group(2)):
        low, high = int(scale.group(1)), int(scale.group(2))
        return str(max(chance.randint(low, high), chance.randint(low, high)))
    return ""


def _from_shots(prompt: str) -> str:
    """Returns the likeliest of the answers that the prompt's shots show, when it ends in their cue."""
    shots = list(read_shots(prompt))
    if len(shots) < 2 or shots[-1].answer:
        return ""
    asked, known = shots[-1], [shot for shot in shots[:-1] if shot.answer]
    answers = sorted({shot.answer for shot in known})
    if not answers:
        return ""
    return " " + max(answers, key=lambda answer: answer_logprob(Shot(asked.question, answer, 0, 0), known))


def _last_text(lines: list[str]) -> str:
    """Returns the text to say in other words: the last line that is not a cue alone, without the cue before it."""
    for line in reversed(lines):
        text = line.strip()
        if text and not _CUE_ONLY.match(text):
            return _CUED.sub("", text).strip("\"'`")
    return lines[-1].strip() or "There is nothing to say."
