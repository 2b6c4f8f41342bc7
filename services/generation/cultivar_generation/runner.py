"""What a generation run does: calls in ranges, several ranges under way at once, each committed in order."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from cultivar_artifacts import ArtifactStore, File, load_manifest
from cultivar_models import Answer, ModelAnswerInvalid, ModelClient, ModelRejected, TokenUsage
from cultivar_records import Example, to_table
from cultivar_service.answers import Answers
from cultivar_service.artifacts import Output, read_examples
from cultivar_service.database import Database
from cultivar_service.engine import Hold, Settled
from cultivar_service.parts import Models
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation import store as tables
from cultivar_generation.errors import SeedsUnusable
from cultivar_generation.plan import Call, Calls, RunSpec, candidate, sampling_of
from cultivar_generation.teacher import TeacherSpec

RANGE_CALLS = 256
# A range waits for its slowest call, which a teacher may send away for a second: the others must not wait for it.
OPEN_RANGES = 16
READY_SECONDS = 10.0
CANDIDATES, CALLS = "candidates", "calls"

CALL_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("seeds", pa.list_(pa.string()), nullable=False),
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
        return self._read(call, answer)

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
                made = candidate(self._run, self._spec, self._teacher.model, call, ordinal, draft)
                outcome.candidates.append(made)
            except ValueError as error:
                outcome.malformed.append(str(error))
        return outcome


class GenerationWork:
    """The work of a generation run."""

    def __init__(self, database: Database, store: ArtifactStore, models: Models) -> None:
        self._database = database
        self._store = store
        self._models = models

    async def advance(self, hold: Hold) -> None:
        """Makes every call that the cursor has not passed."""
        spec = RunSpec.model_validate(hold.run.spec)
        answers = Answers(self._database, hold.run.id)
        await answers.load()
        teacher, calls = await self._open(hold.run.project, spec)
        await hold.report(stage="waking the teacher", total=len(calls), unit="calls", now=True)
        endpoint = await teacher.endpoint(self._models)
        async with ModelClient(endpoint, concurrency=teacher.concurrency, recorder=answers) as client:
            await client.wait_ready(READY_SECONDS)
            await self._work_ranges(hold, answers, Teaching(hold.run.id, spec, teacher, client, calls))

    async def _open(self, project: str, spec: RunSpec) -> tuple[TeacherSpec, Calls]:
        async with self._database.begin() as connection:
            teacher, _ = await tables.get_teacher(connection, project, spec.teacher)
            prompts = [await tables.get_prompt(connection, project, use.prompt) for use in spec.uses]
        manifest = await load_manifest(self._store, project, spec.seeds)
        seeds = [seed async for seed in read_examples(self._store, manifest)]
        return teacher, Calls(spec, usable(seeds, spec), prompts)

    async def _work_ranges(self, hold: Hold, answers: Answers, teaching: Teaching) -> None:
        underway: deque[tuple[int, asyncio.Task[list[Outcome]]]] = deque()
        try:
            for start in range(hold.cursor.get("next", 0), len(teaching.calls), RANGE_CALLS):
                underway.append((start, asyncio.create_task(self._make_range(hold, answers, teaching, start))))
                if len(underway) == OPEN_RANGES:
                    await self._commit_range(hold, answers, underway[0][0], await underway[0][1])
                    underway.popleft()
            while underway:
                await self._commit_range(hold, answers, underway[0][0], await underway[0][1])
                underway.popleft()
        finally:
            for _, task in underway:
                task.cancel()
            await asyncio.gather(*(task for _, task in underway), return_exceptions=True)

    async def _make_range(self, hold: Hold, answers: Answers, teaching: Teaching, start: int) -> list[Outcome]:
        answers.of_part(start // RANGE_CALLS)
        done = 0

        async def make(call: Call) -> Outcome:
            nonlocal done
            outcome = await teaching.outcome(call)
            done += 1
            await hold.report(stage="generating", done=max(hold.progress.get("done", 0), start + done))
            return outcome

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(make(call)) for call in teaching.calls.range(start, start + RANGE_CALLS)]
        return [task.result() for task in tasks]

    async def _commit_range(self, hold: Hold, answers: Answers, start: int, outcomes: Sequence[Outcome]) -> None:
        number, output = start // RANGE_CALLS, Output(self._store, hold)
        candidates = [example for outcome in outcomes for example in outcome.candidates]
        rows = pa.Table.from_pylist([outcome.row() for outcome in outcomes], CALL_SCHEMA)
        files: dict[str, File] = await output.put(CANDIDATES, number, to_table(candidates))
        files |= await output.put(CALLS, number, rows)
        await answers.close_part(number)
        async with hold.commit(add=counted(outcomes), spent=spent(outcomes), next=start + len(outcomes)) as connection:
            await output.add(connection, number, files)
            await answers.prune(connection, number)

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the manifests of candidates and calls; each call ended answered or failed."""
        output, spec = Output(self._store, hold), hold.run.spec
        candidates = await output.commit(connection, CANDIDATES, spec, (spec["seeds"],))
        calls = await output.commit(connection, CALLS, spec, (spec["seeds"],))
        counts = hold.progress.get("counts", {})
        return Settled(
            result={CANDIDATES: candidates.digest, CALLS: calls.digest},
            inputs=hold.cursor.get("next", 0),
            outputs={state: counts.get(state, 0) for state in ("answered", "failed")},
        )


def usable(seeds: Sequence[Example], spec: RunSpec) -> Sequence[Example]:
    """Returns the seeds; raises SeedsUnusable where there are none, or none of the task's labels."""
    if not seeds:
        raise SeedsUnusable("the seeds are empty: import some with ImportExamples")
    if spec.task.labels and not any(seed.label in spec.task.labels for seed in seeds):
        raise SeedsUnusable(f"no seed has one of the task's labels ({', '.join(spec.task.labels[:10])})")
    return seeds


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Counts what became of some calls."""
    counts = Counter("failed" if outcome.cause else "answered" for outcome in outcomes)
    counts["candidates"] = sum(len(outcome.candidates) for outcome in outcomes)
    counts["malformed"] = sum(len(outcome.malformed) for outcome in outcomes)
    return counts


def spent(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Adds up what some calls cost."""
    usage = sum((outcome.usage for outcome in outcomes), TokenUsage())
    return {
        "calls": usage.calls,
        "cached_calls": usage.cached_calls,
        "failed_calls": sum(1 for outcome in outcomes if outcome.cause),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }
