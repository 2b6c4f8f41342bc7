"""Log-probabilities for prompts: invented, but the same each time, and in favour of what the prompt's shots suggest."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cultivar_models.fake.embedding import embedding, similarity, words

_TOKEN = re.compile(r"\s*[^\W_]{1,6}_?|\s*[^\w\s]|\s*_|\s+")
_CUE = re.compile(r"^([A-Z][\w ]{0,30}:)[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a prompt: its text with the space before it, where it begins (characters), and its logprob."""

    text: str
    offset: int
    logprob: float | None


@dataclass(frozen=True, slots=True)
class Shot:
    """A question and its answer as a prompt shows them; `start` and `end` bound the answer's characters."""

    question: str
    answer: str
    start: int
    end: int


def tokens(prompt: str) -> list[Token]:
    """Returns the tokens of a prompt with their logprobs: the first has none, the others are below 0.

    Ordinary words cost 1.5 to 6.5, those that the prompt used before 0.5 to 2.5. The answer after the last cue (a
    line that begins as `Intent:` does) is judged as a whole, by `answer_logprob`.
    """
    shots = list(read_shots(prompt))
    last = shots[-1] if shots and prompt[shots[-1].end :].strip() == "" else None
    whole = answer_logprob(last, shots[:-1]) if last and last.answer else 0.0
    seen: set[str] = set()
    found: list[Token] = []
    first_of_answer = True
    for match in _TOKEN.finditer(prompt):
        word = match.group().strip().lower()
        logprob = -(0.5 + 2 * chance(word)) if word in seen else -(1.5 + 5 * chance(word, str(len(seen))))
        if last and match.start() >= last.start:
            logprob = whole if first_of_answer else -0.02 - 0.05 * chance(word)
            first_of_answer = False
        seen.add(word)
        found.append(Token(match.group(), match.start(), logprob if found else None))
    return found


def answer_logprob(asked: Shot, shots: list[Shot]) -> float:
    """Returns how likely an answer is: between -9 and -0.05.

    It rises with the likeness of its question to those of shots with the same answer, against the nearest shot with
    another one, and with the words that answer and question share; up to one unit is chance.
    """
    question = embedding(asked.question)
    nearest = {True: 0.0, False: 0.0}
    for shot in shots:
        same = shot.answer == asked.answer
        nearest[same] = max(nearest[same], similarity(question, _embedded(shot.question)))
    shared = set(words(asked.answer)) & set(words(asked.question))
    known = any(shot.answer == asked.answer for shot in shots)
    merit = 4 * nearest[True] - 2 * nearest[False] + 2 * min(2, len(shared)) + (1 if known else 0)
    noise = chance(asked.answer, asked.question)
    return max(-9.0, min(-0.05, -6 + merit + noise))


def read_shots(prompt: str) -> Iterator[Shot]:
    """Yields the question and answer pairs of a prompt: answers stand after the cue of its last cued line.

    A question is the text between the answer before it and its own cue, without its own cue's name.
    """
    cues = list(_CUE.finditer(prompt))
    if not cues:
        return
    name = cues[-1].group(1)
    begin = 0
    for cue in cues:
        if cue.group(1) != name:
            continue
        question = prompt[begin : cue.start()].strip().rpartition("\n")[2]
        yield Shot(_CUE.sub(r"\2", question), cue.group(2).strip(), cue.end(1), cue.end())
        begin = cue.end()


def chance(*parts: str) -> float:
    """Returns a number from 0 to below 1 that depends on the parts alone."""
    return int.from_bytes(hashlib.blake2b("/".join(parts).encode(), digest_size=4).digest(), "big") / 2**32


@lru_cache(maxsize=4096)
def _embedded(text: str) -> list[float]:
    return embedding(text)
