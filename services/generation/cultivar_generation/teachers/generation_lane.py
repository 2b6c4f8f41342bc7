"""Continuous batching: reads new prompts between steps, adds a token to all rows at each step, drops finished rows."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from cultivar_generation.teachers.allowance import Allowance
from cultivar_generation.teachers.decoder import NOTHING, Decoder, TreeReader
from cultivar_generation.teachers.errors import BadRequest
from cultivar_generation.teachers.keys_values import RowMemory
from cultivar_generation.teachers.prompt_tree import Run
from cultivar_generation.teachers.sampling import Sampler, choose, sampler_for
from cultivar_generation.teachers.tokens import StopFinder, Tokens
from cultivar_generation.teachers.work import GenerateWork, Made, TokenChoice

_LONGEST_WAIT = 8
"""Runs of prompts that are read, at most, before rows which could go on do so."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one step and of the memory it needs.

    rows: answers under way at once in one lane. row_tokens: rows times the widest row's prompt and answer, in tokens;
    the sum of it over all generation lanes that share an `Allowance`. run_tokens:
    prompt tokens read at once. tree_tokens: prompt tokens gathered before they are read. before_tokens: how much of
    the prompt that was read last is kept, for those that begin alike.
    """

    rows: int = 64
    row_tokens: int = 32_768
    run_tokens: int = 256
    tree_tokens: int = 65_536
    before_tokens: int = 1_024


@dataclass(slots=True)
class _Row:
    work: GenerateWork
    sampler: Sampler
    stops: StopFinder
    ends: frozenset[int]
    choices: list[TokenChoice] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    taken: int = 0

    def take(self, choice: TokenChoice) -> str:
        """Takes the next token; returns why the answer is finished, or nothing."""
        self.taken += 1
        if choice.token in self.ends:
            return "stop"
        self.choices.append(choice)
        self.tokens.append(choice.token)
        whole = self.sampler.form is not None and self.sampler.form.take(choice.token)
        if whole or self.stops.reached(self.tokens):
            return "stop"
        if len(self.tokens) >= self.work.rules.max_tokens:
            return "length"
        if self.work.told:
            self.work.told(choice)
        return ""


class GenerationLane:
    """Makes the answers of one model or adapter; without an allowance to share it has one of its own."""

    def __init__(self, decoder: Decoder, tokens: Tokens, limits: Limits, allowance: Allowance | None = None) -> None:
        self._decoder = decoder
        self._tokens = tokens
        self._limits = limits
        self._waiting: deque[GenerateWork] = deque()
        self._before = NOTHING
        self._reader: TreeReader | None = None
        self._reading: list[_Row] = []
        self._unread = 0
        self._waited = 0
        self._rows: list[_Row] = []
        self._memory = RowMemory()
        self.turn = 0
        self._allowance = allowance or Allowance(limits.row_tokens)
        self._allowance.join(self)

    @property
    def held(self) -> int:
        """Rows times the widest row's prompt and answer, in tokens."""
        widths = [row.work.weight for row in (*self._reading, *self._rows)]
        return len(widths) * max(widths, default=0)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._reading or self._rows)

    def add(self, work: GenerateWork) -> None:
        """Takes a piece of work; it starts when rows are free, first come, first served."""
        self._waiting.append(work)

    def step(self) -> None:
        """Reads one run of prompts, if any wait, and adds one token to each row, unless most rows are still to come."""
        self._drop_unwanted()
        if not self._reading and self._waiting:
            self._admit()
        if self._reading:
            self._read()
        if self._rows and not self._wait_for_more():
            self._extend()

    def _wait_for_more(self) -> bool:
        """Tells whether the rows wait for others that are being read: a step costs little more with all of them."""
        self._waited = self._waited + 1 if len(self._rows) < self._unread else 0
        return 0 < self._waited <= _LONGEST_WAIT

    def fail(self, error: BaseException) -> None:
        """Fails everything under way, and leaves the lane empty."""
        for work in (*self._waiting, *(row.work for row in (*self._reading, *self._rows))):
            work.fail(error)
        self._waiting.clear()
        self.turn = 0
        self._reading, self._rows, self._reader, self._memory = [], [], None, RowMemory()
        self._unread = 0

    def _drop_unwanted(self) -> None:
        for index in reversed(range(len(self._rows))):
            if self._rows[index].work.dropped:
                self._leave(index)
        if any(work.dropped for work in self._waiting):
            self._waiting = deque(work for work in self._waiting if not work.dropped)
        if not self._waiting:
            self.turn = 0

    def _admit(self) -> None:
        widths = [row.work.weight for row in self._rows]
        admitted: list[GenerateWork] = []
        while self._waiting and len(widths) < self._limits.rows:
            widest = max(self._waiting[0].weight, *widths, 0)
            if not self._allowance.allows(self, widest * (len(widths) + 1), not widths):
                break
            admitted.append(self._waiting.popleft())
            widths.append(admitted[-1].weight)
        if admitted:
            prompts = [work.prompt for work in admitted]
            self._reader = TreeReader(self._decoder, prompts, self._limits.run_tokens, self._before)
            self._reading = [self._new_row(work) for work in admitted]
            self._unread = len(admitted)

    def _new_row(self, work: GenerateWork) -> _Row:
        stops = StopFinder(self._tokens, work.rules.stop)
        sampler = sampler_for(work.rules, work.form.fresh() if work.form else None)
        return _Row(work, sampler, stops, self._tokens.ends)

    def _read(self) -> None:
        assert self._reader is not None
        run, hidden = self._reader.next()
        ended = [index for index, end in enumerate(self._reader.tree.ends) if run.first <= end < run.last]
        if ended:
            self._begin(self._reader, ended, run, hidden)
        if self._reader.done:
            # Prompts of one kind begin alike: the next ones may share this one's beginning.
            self._before = self._reader.read_to(self._reader.tree.ends[ended[-1]], self._limits.before_tokens)
            self._reader, self._reading = None, []

    def _begin(self, reader: TreeReader, ended: Sequence[int], run: Run, hidden: Tensor) -> None:
        rows = [self._reading[index] for index in ended]
        self._unread -= len(rows)
        ends = [reader.tree.ends[index] for index in ended]
        logits = self._decoder.logits(hidden[[end - run.first for end in ends]])
        for row, end, choice in zip(rows, ends, choose(logits, [row.sampler for row in rows]), strict=True):
            if reason := row.take(choice):
                self._finish(row, reason)
            elif not row.work.dropped:
                self._memory.add(reader.read_to(end).pairs)
                self._rows.append(row)

    def _extend(self) -> None:
        logits = self._decoder.step([row.tokens[-1] for row in self._rows], self._memory)
        choices = choose(logits, [row.sampler for row in self._rows])
        for index in reversed(range(len(self._rows))):
            row = self._rows[index]
            if reason := row.take(choices[index]):
                self._finish(row, reason)
                self._leave(index)

    def _leave(self, index: int) -> None:
        self._memory.remove(index)
        self._rows[index] = self._rows[-1]
        self._rows.pop()

    def _finish(self, row: _Row, reason: str) -> None:
        if row.sampler.form is not None and row.sampler.form.failed:
            row.work.fail(BadRequest("the schema is too complex to hold an answer to", param="response_format"))
            return
        text = self._tokens.decode(row.tokens)
        row.work.finish(Made(row.stops.cut(text), reason, tuple(row.choices), row.taken))
