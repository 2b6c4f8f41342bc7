"""One call of a run: what the teacher is asked, what became of it, and the row that says so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from cultivar_models import (
    Answer,
    ModelError,
    ModelUnavailable,
    TokenUsage,
)
from cultivar_records import Example

from cultivar_generation import roundtrip
from cultivar_generation.asking import Asked, away, refuses_us
from cultivar_generation.errors import TemplateInvalid
from cultivar_generation.own_models import answering
from cultivar_generation.plan import Call, Calls, RunSpec, candidate
from cultivar_generation.teacher import TeacherSpec

CALL_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("teacher", pa.string(), nullable=False),
        pa.field("seeds", pa.list_(pa.string()), nullable=False),
        pa.field("axes", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
        pa.field("candidates", pa.int64(), nullable=False),
        pa.field("malformed", pa.list_(pa.string()), nullable=False),
        # What could not be read is kept raw, so that a person can see why.
        pa.field("raw", pa.string(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
        pa.field("completion_tokens", pa.int64(), nullable=False),
    ]
)


@dataclass
class Outcome:
    """What became of one call: its answer and the candidates in it, or the cause of its failure."""

    call: Call
    usage: TokenUsage = field(default_factory=TokenUsage)
    answer: str = ""
    candidates: list[Example] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    cause: str = ""
    cost: float = 0.0
    schema_refused: bool = False

    def row(self) -> dict[str, Any]:
        """Returns the row of the call."""
        return {
            "id": self.call.id,
            "strategy": self.call.use.strategy,
            "prompt": self.call.prompt.versioned_name,
            "teacher": self.call.teacher,
            "seeds": [seed.id for seed in self.call.plan.seeds],
            "axes": list(self.call.axes.items()),
            "state": "failed" if self.cause else "answered",
            "cause": self.cause,
            "candidates": len(self.candidates),
            "malformed": self.malformed,
            "raw": self.answer if self.malformed else "",
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
        }


class Teaching:
    """A run with its teachers: asks, reads, and says what became of each call."""

    def __init__(self, run: str, spec: RunSpec, teachers: Mapping[str, Asked], calls: Calls) -> None:
        self._run = run
        self._spec = spec
        self._teachers = teachers
        self.calls = calls

    @property
    def concurrency(self) -> int:
        """How many calls may be under way at most, with all teachers."""
        return sum(each.spec.concurrency for each in self._teachers.values())

    @property
    def pausing(self) -> int:
        """How many calls wait to be tried again."""
        return sum(each.client.pausing for each in self._teachers.values())

    async def outcome(self, call: Call) -> Outcome:
        """Makes one call; one that is refused, or whose answer is senseless, is a failed call.

        So is one that gets no answer while its teacher answers others, or another teacher of the run does. Raises Away
        where none answers, or the teacher refuses us, and BudgetSpent where nothing more may be asked.
        """
        outcome = await self._outcome(call)
        outcome.cost = self._of(call).cost(outcome.usage)
        return outcome

    async def _outcome(self, call: Call) -> Outcome:
        if call.unusable:
            return Outcome(call, cause=call.unusable)
        try:
            reply = await self._teachers[call.teacher].ask(call)
        except ModelError as error:
            await self._blame(call, error)
            return Outcome(call, error.usage, cause=str(error))
        outcome = self._read(reply.call, reply.answer)
        outcome.schema_refused = reply.schema_refused
        for made in list(outcome.candidates):
            try:
                text = roundtrip.question(call, self._spec.task, made)
            except TemplateInvalid as error:
                outcome.candidates.remove(made)
                outcome.malformed.append(f"the check could not be made: {error}")
                continue
            if text:
                await self._check(outcome, made, text)
        return outcome

    def _of(self, call: Call) -> TeacherSpec:
        return self._teachers[call.teacher].spec

    async def _blame(self, call: Call, error: ModelError) -> None:
        """Raises Away where an error says nothing against the call, for every other would meet it too."""
        if refuses_us(error) or (isinstance(error, ModelUnavailable) and not await self._any_answers(call)):
            raise away(call.teacher, error) from error

    async def _any_answers(self, call: Call) -> bool:
        for each in sorted(self._teachers, key=lambda name: name != call.teacher):
            if await self._teachers[each].answers(call.prompt.form):
                return True
        return False

    async def _check(self, outcome: Outcome, made: Example, text: str) -> None:
        """Takes a candidate out of the outcome, as malformed, where a second call speaks against it.

        Where the budget ends before the check is made, so does the call: a retry finds its first answer recorded.
        """
        call = outcome.call
        name = f"{call.id}/check/{made.provenance.ordinal}"
        try:
            back = await self._teachers[call.teacher].check(text, call.seed, name)
            usage, why = back.usage, roundtrip.why_not(call, back.text)
        except ModelError as error:
            await self._blame(call, error)
            usage, why = error.usage, f"the check could not be made: {error}"
        outcome.usage += usage
        if why:
            outcome.candidates.remove(made)
            outcome.malformed.append(why)

    def _read(self, call: Call, answer: Answer) -> Outcome:
        drafts, malformed = self.calls.read(call, answer.text, answer.cut)
        outcome, teacher = Outcome(call, answer.usage, answer.text, malformed=malformed), self._of(call)
        for ordinal, draft in enumerate(drafts):
            try:
                model = answering(teacher, answer)
                made = candidate(self._run, self._spec, model, call, ordinal, draft, teacher.licence)
                outcome.candidates.append(made)
            except ValueError as error:
                outcome.malformed.append(str(error))
        return outcome


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Counts what became of some calls."""
    counts = Counter("failed" if outcome.cause else "answered" for outcome in outcomes)
    counts["candidates"] = sum(len(outcome.candidates) for outcome in outcomes)
    counts["malformed"] = sum(len(outcome.malformed) for outcome in outcomes)
    if refused := sum(outcome.schema_refused for outcome in outcomes):
        counts["schemas_refused"] = refused
    return counts


def usage_of(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Adds up what some calls spent."""
    usage = sum((outcome.usage for outcome in outcomes), TokenUsage())
    return {
        **usage.counts(),
        "failed_calls": sum(1 for outcome in outcomes if outcome.cause),
        "cost": sum(outcome.cost for outcome in outcomes),
    }
