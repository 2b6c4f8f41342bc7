"""What a generation run does: calls in ranges, several ranges under way at once, each committed in order."""

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from cultivar_artifacts import ArtifactStore, File, load_manifest
from cultivar_models import Lines
from cultivar_records import Example, TaskKind, to_table
from cultivar_service.answers import Answers
from cultivar_service.artifacts import Output, read_examples
from cultivar_service.database import Database
from cultivar_service.holds import Hold, Settled
from cultivar_service.parts import Models
from cultivar_service.runs import RETRIED
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation import store as tables
from cultivar_generation import yields
from cultivar_generation.asking import opened, wait_for_one
from cultivar_generation.budget import BudgetSpent, Purse
from cultivar_generation.coverage import ROUNDS, Coverage, added
from cultivar_generation.errors import SeedsUnusable
from cultivar_generation.freezing import as_frozen
from cultivar_generation.plan import Call, Calls, Pick, RunSpec, identified, unchanged
from cultivar_generation.retaking import take_back
from cultivar_generation.sifting import Sifting
from cultivar_generation.strategies import STRATEGIES
from cultivar_generation.teacher import TeacherSpec
from cultivar_generation.teaching import CALL_SCHEMA, Outcome, Teaching, counted, usage_of

RANGE_CALLS = 256
# A range waits for its slowest call, which a teacher may send away for a minute: the others must not wait for it.
OPEN_RANGES = 32
READY_SECONDS = 10.0
PLANNING_SECONDS = 0.005
CANDIDATES, CALLS, KEPT = "candidates", "calls", "kept"
ENDED = ("answered", "failed")


@dataclass
class Attempt:
    """One attempt at a run: what this replica holds of it, what it works with, and how many calls began and ended."""

    hold: Hold
    answers: Answers
    teaching: Teaching
    purse: Purse
    ended: int
    open: int = 0
    hungry: asyncio.Event = field(default_factory=asyncio.Event)
    coverage: Coverage = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    unmade: list[Pick] = field(default_factory=list)
    short: bool = False

    def goes_on(self, start: int) -> bool:
        """Tells whether calls from a number on are to be made, or were paid for by an attempt that was cut off."""
        return not self.purse.stopped or self.answers.left_from(start // RANGE_CALLS) > 0

    @property
    def idle_soon(self) -> bool:
        """Whether the teacher will soon have nothing to do; calls that wait to be tried again do not count."""
        return self.open - self.teaching.pausing < 2 * self.teaching.concurrency

    async def hungry_or(self, task: asyncio.Task[None]) -> None:
        """Waits until the teacher will soon be idle, or a task has ended."""
        self.hungry.clear()
        hunger = asyncio.create_task(self.hungry.wait())
        try:
            await asyncio.wait({task, hunger}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hunger.cancel()

    def end_call(self) -> None:
        """Counts a call that has ended, however it did."""
        self.open -= 1
        if self.idle_soon:
            self.hungry.set()

    async def refill(self) -> bool:
        """Plans calls for what is short once all others are committed; tells whether there are any to make.

        Where the budget is spent there are none; that some would have been makes the run short.
        """
        self.short |= bool(self.unmade) or self.hold.cursor.get("next", 0) < self.teaching.calls.end
        if self.short or sum("coverage" in each for each in self.rounds) == ROUNDS:
            return False
        planned = await self._begin_round(coverage=self.coverage)
        self.short = planned and bool(self.purse.stopped)
        return planned and not self.short

    async def repeat(self) -> None:
        """Plans again the calls that an earlier attempt, cut short, passed over, or that failed and are retried."""
        unmade, self.unmade = self.unmade, []
        if unmade:
            await self._begin_round(calls=unmade)

    async def _begin_round(self, **fields: Any) -> bool:
        first = -(-self.teaching.calls.end // RANGE_CALLS) * RANGE_CALLS
        planned = await add_round(self.teaching.calls, {"first": first, **fields})
        if planned:
            # With the first range that is committed, so that whoever goes on plans the same calls.
            self.rounds.append({"first": first, **fields})
        return planned > 0


class Range:
    """Calls under way together; those that have ended are in `outcomes`, in no order."""

    def __init__(self, attempt: Attempt, start: int) -> None:
        self._start = start
        self.number = start // RANGE_CALLS
        self.outcomes: list[Outcome] = []
        self.committed = False
        attempt.open += attempt.teaching.calls.count(start, start + RANGE_CALLS)
        self.task = asyncio.create_task(self._make(attempt, start))

    def unmade(self, calls: Calls) -> list[Pick]:
        """Returns which calls have not ended: none, but for a run that was cancelled or has spent its budget."""
        made = {outcome.call.id for outcome in self.outcomes}
        picks = calls.picks(self._start, self._start + RANGE_CALLS)
        return [pick for pick in picks if identified(*pick) not in made]

    async def _make(self, attempt: Attempt, start: int) -> None:
        attempt.answers.of_part(self.number)
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as group:
            since = clock()
            for call in attempt.teaching.calls.range(start, start + RANGE_CALLS):
                group.create_task(self._make_call(attempt, call))
                # To render 256 prompts may take most of a second, which others must not wait for. Not in a thread: it
                # would take the interpreter from the calls under way again and again.
                if clock() - since > PLANNING_SECONDS:
                    await asyncio.sleep(0)
                    since = clock()

    async def _make_call(self, attempt: Attempt, call: Call) -> None:
        attempt.answers.of_call(call.id)
        try:
            outcome = await attempt.teaching.outcome(call)
        except BudgetSpent:
            return
        finally:
            attempt.end_call()
        attempt.purse.pay(outcome.usage, outcome.cost)
        self.outcomes.append(outcome)
        attempt.ended += 1
        await attempt.hold.report(stage="generating", done=attempt.ended)


async def ended(ranges: Iterable[Range]) -> None:
    """Ends the calls under way; what is done stays in their ranges."""
    # All before any is waited for: a call that ends makes room for another.
    for each in ranges:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in ranges), return_exceptions=True)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Waits until something has ended, though this task is cancelled meanwhile; that is raised then."""
    task, cut = asyncio.create_task(work), None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancelled:
            cut = cancelled
    error = task.exception()
    if cut or error:
        raise cut or error  # type: ignore[misc]


class GenerationWork:
    """The work of a generation run."""

    def __init__(self, database: Database, store: ArtifactStore, models: Models, sifting: Sifting) -> None:
        self._database = database
        self._store = store
        self._models = models
        self._sifting = sifting
        self._lines = Lines()

    async def advance(self, hold: Hold) -> None:
        """Makes every call that the cursor has not passed, unless the budget ends before."""
        spec = RunSpec.model_validate(hold.run.spec)
        answers = Answers(self._database, hold.run.id)
        await answers.load()
        teachers, calls = await self._open(hold.run.project, spec)
        tokens = sum(int(hold.usage.get(name, 0)) for name in ("prompt_tokens", "completion_tokens"))
        purse = Purse(spec.budget, tokens, float(hold.usage.get("cost", 0.0)))
        rounds = list(hold.cursor.get("rounds", []))
        for each in rounds:
            await add_round(calls, each)
        if hold.cursor.get(RETRIED):
            await take_back(self._store, hold, CALLS, calls)
        await hold.report(stage="waking the teacher", total=len(calls), unit="calls", now=True)
        async with opened(teachers, self._models, answers, purse.guard, lines=self._lines) as asked:
            await wait_for_one(asked, READY_SECONDS)
            teaching = Teaching(hold.run.id, spec, asked, calls)
            counts = hold.progress.get("counts", {})
            ended = sum(counts.get(state, 0) for state in ENDED)
            attempt = Attempt(hold, answers, teaching, purse, ended)
            attempt.coverage, attempt.rounds = {**calls.unseen(), **hold.cursor.get("coverage", {})}, rounds
            attempt.unmade = [(place, within) for place, within in hold.cursor.get("unmade", [])]
            await attempt.repeat()
            await self._work_ranges(attempt)
            await self._recount(attempt, spec)
            while await attempt.refill():
                await hold.report(stage="refilling", total=len(calls), now=True)
                await self._work_ranges(attempt)
                await self._recount(attempt, spec)
        # The last call that was to be made may have been the one that spent the budget.
        stopped = purse.stopped if attempt.short else ""
        if stopped != hold.cursor.get("stopped", ""):
            async with hold.commit(stopped=stopped):
                pass

    async def _open(self, project: str, spec: RunSpec) -> tuple[dict[str, TeacherSpec], Calls]:
        async with self._database.begin() as connection:
            now = {name: (await tables.get_teacher(connection, project, name))[0] for name in spec.weights}
            prompts = [await tables.get_prompt(connection, project, use.prompt) for use in spec.uses]
        manifest = await load_manifest(self._store, project, spec.seeds)
        seeds = [seed async for seed in read_examples(self._store, manifest)]
        teachers = {name: as_frozen(teacher, spec.frozen.get(name)) for name, teacher in now.items()}
        return teachers, Calls(spec, usable(seeds, spec), unchanged(prompts, spec))

    async def _work_ranges(self, attempt: Attempt) -> None:
        starts = deque(range(attempt.hold.cursor.get("next", 0), attempt.teaching.calls.end, RANGE_CALLS))
        underway: deque[Range] = deque()
        try:
            while True:
                may_open = bool(starts) and len(underway) < OPEN_RANGES and attempt.goes_on(starts[0])
                if may_open and attempt.idle_soon:
                    underway.append(Range(attempt, starts.popleft()))
                elif not underway:
                    return
                elif may_open and not underway[0].task.done():
                    await attempt.hungry_or(underway[0].task)
                else:
                    await underway[0].task
                    await to_its_end(self._commit_range(attempt, underway[0]))
                    underway.popleft()
        except asyncio.CancelledError:
            await ended(underway)
            if attempt.hold.cancelling:
                for each in underway:
                    if not each.committed:
                        await to_its_end(self._commit_range(attempt, each))
            raise
        finally:
            await ended(underway)

    async def _recount(self, attempt: Attempt, spec: RunSpec) -> None:
        """Lets only those candidates count that the filters keep, of all that were made so far.

        Not where the budget is spent, for nothing can be refilled then: a retry with a larger one begins with it.
        """
        hold, calls = attempt.hold, attempt.teaching.calls
        if spec.filter is None or hold.cursor.get("sifted") == calls.end:
            return
        if attempt.purse.stopped:
            attempt.short = True
            return
        async with hold.commit() as connection:
            made = await Output(self._store, hold).commit(connection, CANDIDATES, hold.run.spec, (spec.seeds,))
        name = await self._sifting.begin(hold, spec, made.digest, calls.end)
        kept = await self._sifting.kept(hold, name)
        attempt.coverage, rows = await self._sifting.recounted(hold.run.project, kept, attempt.coverage, calls)
        more = {KEPT: rows - hold.progress.get("counts", {}).get(KEPT, 0)}
        names = [*hold.cursor.get("filter_runs", []), name]
        async with hold.commit(add=more, coverage=attempt.coverage, sifted=calls.end, filter_runs=names):
            pass

    async def _commit_range(self, attempt: Attempt, made: Range) -> None:
        hold, number, outcomes = attempt.hold, made.number, made.outcomes
        output = Output(self._store, hold)
        candidates = [example for outcome in outcomes for example in outcome.candidates]
        rows = pa.Table.from_pylist([outcome.row() for outcome in outcomes], CALL_SCHEMA)
        files: dict[str, File] = await output.put(CANDIDATES, number, to_table(candidates))
        files |= await output.put(CALLS, number, rows)
        unmade = made.unmade(attempt.teaching.calls)
        names = {identified(*pick) for pick in unmade}
        await attempt.answers.close_part(number, names)
        cursor: dict[str, Any] = {
            "next": (number + 1) * RANGE_CALLS,
            "stopped": attempt.purse.stopped,
            "coverage": added(attempt.coverage, map(covered, outcomes)),
            "rounds": attempt.rounds,
            "unmade": attempt.unmade + unmade,
        }
        async with hold.commit(add=counted(outcomes), spent=usage_of(outcomes), **cursor) as connection:
            await output.add(connection, number, files)
            await attempt.answers.prune(connection, number, names)
            await add_yields(connection, hold, outcomes)
        attempt.coverage, attempt.unmade, made.committed = cursor["coverage"], cursor["unmade"], True

    async def settle(self, hold: Hold, connection: AsyncConnection) -> Settled:
        """Commits the manifests of candidates and calls; each call that was made ended answered or failed."""
        output, spec = Output(self._store, hold), hold.run.spec
        candidates = await output.commit(connection, CANDIDATES, spec, (spec["seeds"],))
        calls = await output.commit(connection, CALLS, spec, (spec["seeds"],))
        counts = hold.progress.get("counts", {})
        return Settled(
            result={
                CANDIDATES: candidates.digest,
                CALLS: calls.digest,
                "stopped": hold.cursor.get("stopped", ""),
                "coverage": hold.cursor.get("coverage", {}),
                "filter_runs": hold.cursor.get("filter_runs", []),
            },
            inputs=calls.rows,
            outputs={state: counts.get(state, 0) for state in ENDED},
            # A retry would make the failed calls again.
            short=bool(hold.cursor.get("stopped", "") or counts.get("failed", 0)),
        )


async def add_round(calls: Calls, planned: Mapping[str, Any]) -> int:
    """Adds calls beyond those of the spec, which were planned so at first; returns how many."""
    if "coverage" in planned:
        # Off the loop, where the lease is renewed: of a million calls it takes a minute.
        return await asyncio.to_thread(calls.refill, planned["coverage"], planned["first"])
    calls.repeat([(place, within) for place, within in planned["calls"]], planned["first"])
    return len(planned["calls"])


def covered(outcome: Outcome) -> tuple[Sequence[str], int, int]:
    """Returns what a call aimed at, and how many candidates it was asked for and made."""
    return outcome.call.aims, outcome.call.asked, len(outcome.candidates)


async def add_yields(connection: AsyncConnection, hold: Hold, outcomes: Sequence[Outcome]) -> None:
    """Adds what became of some calls to what is known of their prompts."""
    by_prompt: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_prompt.setdefault(outcome.call.prompt.versioned_name, []).append(outcome)
    for group in by_prompt.values():
        prompt = group[0].call.prompt
        reasons = Counter(reason for outcome in group for reason in (*outcome.malformed, outcome.cause) if reason)
        await yields.add_yield(connection, hold.run.project, hold.run.id, prompt, counted(group), reasons)


def usable(seeds: Sequence[Example], spec: RunSpec) -> Sequence[Example]:
    """Returns the seeds; raises SeedsUnusable where there are none, or they lack what the task or a strategy needs."""
    if not seeds:
        raise SeedsUnusable("the seeds are empty: import some with ImportExamples")
    needy = [use.strategy for use in spec.uses if not STRATEGIES[use.strategy].takes_inputs]
    if needy and any(not seed.answer.strip() for seed in seeds):
        raise SeedsUnusable(f"some seeds have no answer, which {needy[0]} needs: write them with the strategy answer")
    sorts = spec.task.kind is TaskKind.CLASSIFICATION and any(use.strategy != "answer" for use in spec.uses)
    if sorts and spec.task.labels and not any(seed.label in spec.task.labels for seed in seeds):
        raise SeedsUnusable(f"no seed has one of the task's labels ({', '.join(spec.task.labels[:10])})")
    return seeds
