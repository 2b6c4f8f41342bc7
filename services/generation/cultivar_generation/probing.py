"""What a teacher is asked before it is trusted: whether it answers, in its own words and format, and how fast."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cultivar_models import Answer, ModelClient, ModelError, Sampling
from cultivar_service.errors import CultivarError
from cultivar_service.parts import Models

from cultivar_generation.strategies.reading import list_schema, read_texts
from cultivar_generation.teacher import Probe, TeacherSpec

READY_SECONDS = 3.0
PROBE_SECONDS = 90.0
SPEED_SECONDS = 30.0
AT_ONCE = 8
WORDS = 24
LIST = "Name three fruits as a numbered list of three lines: 1. 2. 3. Write nothing else."
LINES = 96
GOES_ON = "One, two, three, four,"
SCHEMA = list_schema({"type": "string"}, 3)
PROSE = Sampling(temperature=0.7, max_tokens=64)
# Marks of turns in the templates of common model families; where an answer holds one, the server applies another's.
MARKS = re.compile(
    r"<\|im_(?:start|end)\|>|<\|(?:user|assistant|system|end|eot_id|start_header_id)\|>|\[/?INST\]|</?s>|<(?:start|end)_of_turn>|"
    r"^\s*(?:###\s*)?(?:assistant|user|human)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
NUMBERED = re.compile(r"^\s*(\d)[.)]\s+\S", re.MULTILINE)
State = Literal["fine", "poor", "wrong"]


@dataclass(frozen=True)
class Problem:
    """What a probe found: `wrong` makes a teacher unusable, `poor` makes its candidates few, `fine` is to be known."""

    state: State
    said: str


async def probe(teacher: TeacherSpec, models: Models) -> Probe:
    """Asks a teacher some ten short questions and says in words what is wrong; never raises for what a teacher does."""
    try:
        async with asyncio.timeout(PROBE_SECONDS), await teacher.client(models, retries=1) as client:
            return await _questioned(client, teacher)
    except TimeoutError:
        return Probe(state="wrong", problems=(f"it answered too few questions within {PROBE_SECONDS:.0f} s",))
    except (ModelError, CultivarError) as error:
        return Probe(state="wrong", problems=(str(error),))


async def _questioned(client: ModelClient, teacher: TeacherSpec) -> Probe:
    problems: list[Problem] = []
    try:
        await client.wait_ready(READY_SECONDS)
    except ModelError as error:
        # Some servers list no models and answer all the same; one that does not answer is found out next.
        problems.append(Problem("poor", str(error)))
    began = time.monotonic()
    ready = await client.chat(one_message("Reply with the one word: ready"), _brief(teacher, WORDS))
    latency = time.monotonic() - began
    problems += template_problems(ready)
    problems += word_problems(ready)
    listed = await client.chat(one_message(LIST), _brief(teacher, LINES))
    problems += format_problems(listed)
    problems += terms_problems(client.left_out, listed.usage.uncounted_calls > 0)
    schema = teacher.structured_output == "auto" and await follows_schema(client)
    chat_only = not await goes_on(client)
    # Last, for many servers go on with answers that nobody waits for any more.
    speed = await _speed(client)
    if not speed:
        slow = f"it did not write {AT_ONCE} short answers at once within {SPEED_SECONDS:.0f} s: lower its concurrency"
        problems.append(Problem("poor", slow))
    return Probe(
        state=worst(problems),
        problems=tuple(problem.said for problem in problems),
        latency_seconds=latency,
        tokens_per_second=speed,
        structured_output=schema,
        chat_only=chat_only,
    )


async def _speed(client: ModelClient) -> float:
    """Returns the tokens a second of a few answers at once; 0 where they took too long."""

    async def write(number: int) -> Answer:
        return await client.chat(one_message(f"Write a short paragraph about the number {number}."), PROSE)

    began = time.monotonic()
    try:
        async with asyncio.timeout(SPEED_SECONDS):
            answers = await asyncio.gather(*(write(number) for number in range(AT_ONCE)))
    except TimeoutError:
        return 0.0
    return sum(answer.usage.completion_tokens for answer in answers) / (time.monotonic() - began)


def _brief(teacher: TeacherSpec, tokens: int) -> Sampling:
    # A model that thinks first needs all that it will have in a run.
    return Sampling(temperature=0.0, max_tokens=max(tokens, teacher.max_tokens))


def one_message(text: str) -> list[dict[str, str]]:
    """Returns a conversation of one message of a user."""
    return [{"role": "user", "content": text}]


async def follows_schema(client: ModelClient) -> bool:
    """Tells whether an answer is JSON where a JSON schema was given and the question does not ask for JSON."""
    try:
        asked = Sampling(temperature=0.0, max_tokens=LINES)
        answer = await client.chat(one_message(LIST), asked, schema=lambda: SCHEMA)
    except ModelError:
        return False
    return read_texts(answer.text) is not None


async def goes_on(client: ModelClient) -> bool:
    """Tells whether a server goes on with texts, or answers chats alone."""
    try:
        await client.complete(GOES_ON, Sampling(temperature=0.0, max_tokens=4))
    except ModelError:
        return False
    return True


def terms_problems(left_out: Sequence[str], uncounted: bool) -> list[Problem]:
    """Tells on which terms a server answers, where they are not the usual ones."""
    problems = []
    if left_out:
        problems.append(Problem("fine", f"it refuses {', '.join(left_out)}, and does there as it likes"))
    if uncounted:
        problems.append(Problem("fine", "it does not count tokens: a quarter of the characters stands in for them"))
    return problems


def template_problems(answer: Answer) -> list[Problem]:
    """Looks for the marks of turns, which no answer holds where the chat template is the model's own."""
    found = MARKS.search(answer.text)
    if found is None:
        return []
    mark = found.group().strip()
    return [Problem("wrong", f"its answer holds {mark!r}, a mark between turns: serve it with its own chat template")]


def word_problems(answer: Answer) -> list[Problem]:
    """Looks whether one word came where one was asked for."""
    if "ready" in answer.text.lower() and len(answer.text.split()) <= 3:
        return []
    said = " ".join(answer.text.split())[:60]
    return [Problem("poor", f"asked for the one word ready it said {said!r}: prompts that give orders will often fail")]


def format_problems(answer: Answer) -> list[Problem]:
    """Looks whether a numbered list came where one was asked for."""
    if NUMBERED.findall(answer.text)[:3] == ["1", "2", "3"]:
        return []
    return [Problem("poor", "it does not keep to a numbered list: use prompts of the form CONTINUATION with it")]


def worst(problems: list[Problem]) -> Literal["fine", "poor", "wrong"]:
    """Returns the worst state of some problems."""
    states = {problem.state for problem in problems}
    return "wrong" if "wrong" in states else "poor" if "poor" in states else "fine"
