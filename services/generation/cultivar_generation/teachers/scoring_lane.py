"""Scores prompts: how likely the model finds each token after those before it."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from torch import Tensor

from cultivar_generation.teachers.decoder import HEAD_ROWS, Decoder, TreeReader
from cultivar_generation.teachers.generation_lane import Limits
from cultivar_generation.teachers.prompt_tree import PromptTree, Run
from cultivar_generation.teachers.sampling import likeliest_tokens
from cultivar_generation.teachers.work import Scored, ScoreWork, TokenChoice, TopTokens


class _Job:
    """Some pieces of work whose prompts form one tree, and what is known of its nodes."""

    def __init__(self, works: Sequence[ScoreWork], decoder: Decoder, run_tokens: int) -> None:
        self.works = works
        self.tree = PromptTree([prompt for work in works for prompt in work.prompts])
        self.reader = TreeReader(decoder, self.tree, run_tokens)
        self.top = max(work.top for work in works)
        self.logprobs = [0.0] * len(self.tree)
        self.tops: list[TopTokens] = [()] * len(self.tree)
        self._decoder = decoder
        self._children = self.tree.children()
        ends = iter(self.tree.ends)
        self._asked_next = {end for work in works for end in islice(ends, len(work.prompts)) if work.with_next}

    def step(self) -> None:
        """Reads one run and scores all tokens that follow its nodes."""
        run, hidden, _ = self.reader.next()
        # Most nodes at the ends of prompts have nothing behind them: their logits are never computed.
        nodes = [node for node in range(run.first, run.last) if self._children[node] or node in self._asked_next]
        for start in range(0, len(nodes), HEAD_ROWS):
            self._score(nodes[start : start + HEAD_ROWS], run, hidden)

    def _score(self, nodes: Sequence[int], run: Run, hidden: Tensor) -> None:
        logits = self._decoder.logits(hidden[[node - run.first for node in nodes]])
        totals = logits.logsumexp(-1, keepdim=True)
        count = 1 if self.top == 0 and self._asked_next else self.top
        for node, likeliest in zip(nodes, likeliest_tokens(logits, totals, count), strict=True):
            self.tops[node] = likeliest
        pairs = [(row, child) for row, node in enumerate(nodes) for child in self._children[node]]
        if pairs:
            rows = [row for row, _ in pairs]
            tokens = [self.tree.tokens[child] for _, child in pairs]
            for (_, child), value in zip(pairs, (logits[rows, tokens] - totals[rows, 0]).tolist(), strict=True):
                self.logprobs[child] = value

    def deliver(self) -> None:
        """Hands each piece of work the scores of its prompts."""
        ends = iter(self.tree.ends)
        for work in self.works:
            work.finish([self._scored(next(ends), work) for _ in work.prompts])

    def _scored(self, end: int, work: ScoreWork) -> Scored:
        path = self.tree.path(end)
        logprobs = (None, *(self.logprobs[node] for node in path[1:]))
        tops = ((), *(self.tops[node][: work.top] for node in path[:-1]))
        if not work.with_next:
            return Scored(logprobs, tops)
        token, logprob = self.tops[end][0]
        return Scored(logprobs, tops, TokenChoice(token, logprob, self.tops[end][: work.top]))


class ScoringLane:
    """Scores the prompts sent to one model or adapter; prompts of several requests are read as one tree."""

    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        self._decoder = decoder
        self._limits = limits
        self._waiting: deque[ScoreWork] = deque()
        self._job: _Job | None = None

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._job)

    def add(self, work: ScoreWork) -> None:
        """Takes a piece of work."""
        self._waiting.append(work)

    def step(self) -> None:
        """Reads and scores one run of prompts."""
        if self._job is None or all(work.dropped for work in self._job.works):
            self._job = self._next_job()
        if self._job is None:
            return
        self._job.step()
        if self._job.reader.done:
            self._job.deliver()
            self._job = None

    def fail(self, error: BaseException) -> None:
        """Fails everything under way, and leaves the lane empty."""
        for work in (*self._waiting, *(self._job.works if self._job else ())):
            work.fail(error)
        self._waiting.clear()
        self._job = None

    def _next_job(self) -> _Job | None:
        works: list[ScoreWork] = []
        weight = 0
        while self._waiting and (not works or weight + self._waiting[0].weight <= self._limits.tree_tokens):
            work = self._waiting.popleft()
            if not work.dropped:
                works.append(work)
                weight += work.weight
        return _Job(works, self._decoder, self._limits.run_tokens) if works else None
