"""Lists in prompts: where they are, how their items are built, and how they go on."""

import random
import re
from dataclasses import dataclass
from itertools import pairwise

from cultivar_models.fake.wording import recombine

_MARK = re.compile(r"^[ \t]*(?:(\d{1,3})([.)])|([-*•]))(?:[ \t]+(.*))?$")
_CUE = re.compile(r"^([A-Z][\w ]{0,40}):(?:[ \t]+(.*))?$")
_MORE = re.compile(r"\b(more|new|other|another|additional|further|continue|similar|different)\b", re.IGNORECASE)
_NUMBER = re.compile(r"\b(\d{1,2})\b")
_NUMERALS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "ten": 10, "twenty": 20}
_MOST_ITEMS = 30

Fields = list[tuple[str, str]]
"""An item's parts, each with the cue before it: `Instruction: …` and `Response: …`, or one part without a cue."""


@dataclass(frozen=True, slots=True)
class PromptList:
    """A list that a prompt shows and wants continued.

    cues: the names of each item's parts, one empty name for plain items. texts: for each part what the items say.
    mark: the last item's. open_at: the part of the last item that is left to be written; None when it is whole.
    around: the words of the prompt outside the list.
    """

    cues: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    mark: re.Match[str]
    open_at: int | None
    around: str


def find_list(prompt: str) -> PromptList | None:
    """Returns the list that the prompt ends in, or that its last two lines ask for more of; or None."""
    lines = prompt.rstrip().split("\n")
    marks = [(at, match) for at, match in enumerate(map(_MARK.match, lines)) if match]
    if not marks:
        return None
    chain = _chain(lines, marks)
    end = chain[-1][0] + 1
    while end < len(lines) and _CUE.match(lines[end].strip()):
        end += 1
    tail = [line for line in lines[end:] if line.strip()]
    if len(tail) > 2 or not all(_MORE.search(line) and len(line) < 200 for line in tail):
        return None
    starts = [at for at, _ in chain] + [end]
    items = [_fields(lines[at:until]) for at, until in pairwise(starts)]
    around = "\n".join(lines[: starts[0]] + tail)
    return _built(items, chain[-1][1], around, ended=not tail)


def continued(found: PromptList, chance: random.Random) -> str:
    """Returns the list's further items, as many as the prompt asks for or five to eight, marked as it marks them."""
    number = int(found.mark.group(1) or 0) - (0 if found.open_at is None else 1)
    made: list[str] = []
    written: list[str] = []
    for place in range(_asked_for(found.around) or chance.randint(5, 8)):
        number += 1
        mark = f"{number}{found.mark.group(2)}" if found.mark.group(1) else str(found.mark.group(3))
        first = found.open_at if place == 0 and found.open_at is not None else 0
        parts = [recombine(list(texts), made, chance) for texts in found.texts[first:]]
        made.extend(parts)
        said = [f"{cue}: {part}" if cue else part for cue, part in zip(found.cues[first:], parts, strict=True)]
        if place == 0 and found.open_at is not None:
            said[0] = f" {parts[0]}"
        else:
            said[0] = f"{mark} {said[0]}"
        written.append("\n".join(said))
    return "\n".join(written)


def _chain(lines: list[str], marks: list[tuple[int, re.Match[str]]]) -> list[tuple[int, re.Match[str]]]:
    """Returns the marks of the last list: numbers that count down to its first item, or bullets one below the other."""
    chain = [marks[-1]]
    for at, match in reversed(marks[:-1]):
        first_at, first = chain[0]
        if first.group(1) and match.group(1):
            follows = int(match.group(1)) == int(first.group(1)) - 1
        else:
            between = [line.strip() for line in lines[at + 1 : first_at]]
            follows = first.group(3) == match.group(3) and all(not line or _CUE.match(line) for line in between)
        if follows:
            chain.insert(0, (at, match))
        elif first.group(3):
            break
    return chain


def _fields(lines: list[str]) -> Fields:
    mark = _MARK.match(lines[0])
    first = (mark.group(4) or "") if mark else lines[0]
    fields: Fields = []
    for line in [first.strip(), *(line.strip() for line in lines[1:])]:
        cue = _CUE.match(line)
        if cue:
            fields.append((cue.group(1), cue.group(2) or ""))
        elif fields:
            name, text = fields[-1]
            fields[-1] = (name, f"{text} {line}".strip())
        else:
            fields.append(("", line))
    return fields


def _built(items: list[Fields], mark: re.Match[str], around: str, ended: bool) -> PromptList | None:
    *whole, last = items
    left_open = ended and not last[-1][1]
    if not left_open:
        whole.append(last)
    whole = [item for item in whole if all(text for _, text in item)]
    if not whole:
        return None
    cues = tuple(cue for cue, _ in whole[0])
    if any(tuple(cue for cue, _ in item) != cues for item in whole):
        # Where items are built unlike each other, what looks like a cue is part of what they say.
        cues, whole = ("",), [[("", _joined(item))] for item in whole]
    texts = tuple(tuple(item[part][1] for item in whole) for part in range(len(cues)))
    open_at = min(len(last), len(cues)) - 1 if left_open else None
    return PromptList(cues, texts, mark, open_at, around)


def _joined(item: Fields) -> str:
    return " ".join(f"{cue}: {text}" if cue else text for cue, text in item)


def _asked_for(text: str) -> int:
    """Returns how many items the words around a list ask for, 0 where they do not say."""
    for line in reversed([line for line in text.split("\n") if _MORE.search(line)]):
        named = [_NUMERALS[word] for word in line.lower().split() if word in _NUMERALS]
        counts = [int(number) for number in _NUMBER.findall(line)] or named
        if counts and 0 < counts[0] <= _MOST_ITEMS:
            return counts[0]
    return 0
