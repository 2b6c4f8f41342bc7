"""What the fake teacher says: lists go on, questions get a short reply, anything else is said in other words."""

import random
import re

from cultivar_models.fake.likelihood import answer_logprob, read_shots
from cultivar_models.fake.wording import recombine, rephrase

_ITEM = re.compile(r"^[ \t]*(?:(\d{1,3})([.)])|([-*•]))(?:[ \t]+(.*))?$")
_MORE = re.compile(r"\b(more|new|other|another|additional|further|continue|similar|different)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\b(\d{1,2})\b")
_NUMERALS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "ten": 10, "twenty": 20}
_YES_NO = re.compile(r"\byes\b.{0,12}\bno\b", re.IGNORECASE)
_SCALE = re.compile(r"\b(\d)\s*(?:to|-|–|and|through)\s*(\d{1,2})\b")  # noqa: RUF001
_CUE_ONLY = re.compile(r"^[\w ,'()-]{1,60}:$")
_CUED = re.compile(r"^[A-Z][\w ]{0,40}:[ \t]+(?=\S)")
_MOST_ITEMS = 30


def write(prompt: str, chance: random.Random) -> str:
    """Returns the answer to a prompt; all its choices come from `chance`, so one seed is one answer."""
    lines = prompt.rstrip().split("\n")
    found = _list_at(lines)
    if found is not None:
        return _more_items(lines, *found, chance)
    reply = _from_shots(prompt) or _short_reply(lines, chance)
    return reply or rephrase(_last_text(lines), chance)


def _list_at(lines: list[str]) -> tuple[int, int] | None:
    """Returns first and past-last line of the list that the prompt ends in, or asks for more of."""
    last = len(lines) - 1
    while last >= 0 and not _ITEM.match(lines[last]):
        last -= 1
    if last < 0:
        return None
    tail = [line.strip() for line in lines[last + 1 :] if line.strip()]
    asks = len(tail) <= 2 and all(_MORE.search(line) and len(line) < 200 for line in tail)
    if tail and not asks:
        return None
    first = last
    while first > 0 and (_ITEM.match(lines[first - 1]) or not lines[first - 1].strip()):
        first -= 1
    return first, last + 1


def _more_items(lines: list[str], first: int, past: int, chance: random.Random) -> str:
    marks = [match for match in map(_ITEM.match, lines[first:past]) if match]
    texts = [match.group(4).strip() for match in marks if match.group(4) and match.group(4).strip()]
    around = "\n".join(lines[:first] + lines[past:])
    texts = texts or [_last_text(lines[:first])]
    count = _asked_for(around) or chance.randint(5, 8)
    items: list[str] = []
    for _ in range(count):
        items.append(recombine(texts, items, chance))
    open_item = not (marks[-1].group(4) or "").strip() and past == len(lines)
    return _numbered(items, marks[-1], open_item)


def _numbered(items: list[str], last: re.Match[str], open_item: bool) -> str:
    """Writes items as the list before them is marked; an item that the prompt left open needs no mark."""
    number = int(last.group(1)) if last.group(1) else 0
    written = []
    for place, item in enumerate(items):
        next_number = number + place + (0 if open_item else 1)
        mark = f"{next_number}{last.group(2)}" if last.group(1) else last.group(3)
        written.append(item if open_item and place == 0 else f"{mark} {item}")
    return (" " if open_item else "") + "\n".join(written)


def _asked_for(text: str) -> int:
    """Returns how many items the words around the list ask for, 0 where they do not say."""
    for line in reversed([line for line in text.split("\n") if _MORE.search(line)]):
        named = [_NUMERALS[word] for word in line.lower().split() if word in _NUMERALS]
        counts = [int(number) for number in _NUMBER.findall(line)] or named
        if counts and 0 < counts[0] <= _MOST_ITEMS:
            return counts[0]
    return 0


def _short_reply(lines: list[str], chance: random.Random) -> str:
    """Returns `yes` or `no`, or a number on the scale that is asked for; mostly in favour, as judges are."""
    asked = " ".join(lines[-3:] + lines[:3])
    if _YES_NO.search(asked):
        return "yes" if chance.random() < 0.8 else "no"
    scale = _SCALE.search(asked) if re.search(r"\b(score|rate|rating|scale|grade)\b", asked, re.IGNORECASE) else None
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
    asked_as = [type(asked)(asked.question, answer, 0, 0) for answer in answers]
    return " " + max(asked_as, key=lambda shot: answer_logprob(shot, known)).answer


def _last_text(lines: list[str]) -> str:
    """Returns the text to say in other words: the last line that is not a cue alone, without the cue before it."""
    for line in reversed(lines):
        text = line.strip()
        if text and not _CUE_ONLY.match(text):
            return _CUED.sub("", text).strip("\"'`")
    return lines[-1].strip() or "There is nothing to say."
