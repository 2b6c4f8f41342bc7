"""One call of a run: what the teacher is asked, what became of it, and the row that says so."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from cultivar_models import Answer, ModelAnswerInvalid, ModelClient, ModelRejected, Sampling, TokenUsage
from cultivar_records import Example

from cultivar_generation import roundtrip
from cultivar_generation.budget import BudgetSpent
from cultivar_generation.own_models import answering
from cultivar_generation.plan import Call, Calls, RunSpec, candidate, sampling_of
from cultivar_generation.teacher import TeacherSpec

CALL_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
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

    def row(self) -> dict[str, Any]:
        """Returns the row of the call."""
        return {
            "id": self.call.id,
            "strategy": self.call.use.strategy,
            "prompt": self.call.prompt.versioned_name,
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
    """A run with its teacher: asks, reads, and says what became of each call."""

    def __init__(self, run: str, spec: RunSpec, teacher: TeacherSpec, client: ModelClient, calls: Calls) -> None:
        self._run = run
        self._spec = spec
        self._teacher = teacher
        self._client = client
        self.calls = calls

    async def outcome(self, call: Call) -> Outcome:
        """Makes one call; a refused or senseless answer is a failed call, an absent teacher is raised."""
        try:
            answer = await self._ask(call)
        except (ModelRejected, ModelAnswerInvalid) as error:
            return Outcome(call, error.usage, cause=str(error))
        outcome = self._read(call, answer)
        for made in list(outcome.candidates):
            if text := roundtrip.question(call, self._spec.task, made):
                await self._check(outcome, made, text)
        return outcome

    async def _check(self, outcome: Outcome, made: Example, text: str) -> None:
        """Takes a candidate out of the outcome, as malformed, where a second call speaks against it."""
        call, usage = outcome.call, TokenUsage()
        sampling = Sampling(temperature=0.0, max_tokens=self._teacher.max_tokens, seed=call.seed)
        name = f"{call.id}/check/{made.provenance.ordinal}"
        try:
            back = await self._client.chat([{"role": "user", "content": text}], sampling, call=name)
            usage, why = back.usage, roundtrip.why_not(call, back.text)
        except (ModelRejected, ModelAnswerInvalid) as error:
            usage, why = error.usage, f"the check could not be made: {error}"
        except BudgetSpent:
            why = "the check could not be made: the budget is spent"
        outcome.usage += usage
        if why:
            outcome.candidates.remove(made)
            outcome.malformed.append(why)

    async def _ask(self, call: Call) -> Answer:
        sampling = sampling_of(call, self._teacher.temperature, self._teacher.top_p, self._teacher.max_tokens)
        if call.prompt.form == "chat":
            return await self._client.chat([{"role": "user", "content": call.text}], sampling, call=call.id)
        return await self._client.complete(call.text, sampling, call=call.id)

    def _read(self, call: Call, answer: Answer) -> Outcome:
        drafts, malformed = self.calls.read(call, answer.text, answer.finish_reason == "length")
        outcome = Outcome(call, answer.usage, answer.text, malformed=malformed)
        for ordinal, draft in enumerate(drafts):
            try:
                model, licence = answering(self._teacher, answer), self._teacher.licence
                made = candidate(self._run, self._spec, model, call, ordinal, draft, licence)
                outcome.candidates.append(made)
            except ValueError as error:
                outcome.malformed.append(str(error))
        return outcome


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Counts what became of some calls."""
    counts = Counter("failed" if outcome.cause else "answered" for outcome in outcomes)
    counts["candidates"] = sum(len(outcome.candidates) for outcome in outcomes)
    counts["malformed"] = sum(len(outcome.malformed) for outcome in outcomes)
    return counts


def usage_of(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Adds up what some calls spent."""
    usage = sum((outcome.usage for outcome in outcomes), TokenUsage())
    return {
        "calls": usage.calls,
        "cached_calls": usage.cached_calls,
        "failed_calls": sum(1 for outcome in outcomes if outcome.cause),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }
