"""Scores prompts: how likely the model finds each token after those before it."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from torch import Tensor

from cultivar_generation.teachers.decoder import HEAD_ROWS, NOTHING, Decoder, ReadPrompt, TreeReader
from cultivar_generation.teachers.generation_lane import Limits
from cultivar_generation.teachers.prompt_tree import common_length
from cultivar_generation.teachers.sampling import likeliest_tokens
from cultivar_generation.teachers.work import Scored, ScoreWork, TokenChoice, TopTokens


class _Job:
    """Some pieces of work whose prompts form one tree, and what is known of its nodes."""

    def __init__(self, works: Sequence[ScoreWork], decoder: Decoder, run_tokens: int, before: ReadPrompt) -> None:
        prompts = [prompt for work in works for prompt in work.prompts]
        self.reader = TreeReader(decoder, prompts, run_tokens, before)
        self.tree = self.reader.tree
        self.top = max(work.top for work in works)
        self.logprobs = [0.0] * len(self.tree)
        self.tops: list[TopTokens] = [()] * len(self.tree)
        self._decoder = decoder
        self._children = self.tree.children()
        ends = iter(self.tree.ends)
        self.waiting = [(work, list(islice(ends, len(work.prompts)))) for work in works]
        self._asked_next = {end for work, found in self.waiting if work.with_next for end in found}
        if self.reader.known_hidden is not None:
            self._score_all(range(self.tree.known), self.reader.known_hidden)

    def step(self) -> int:
        """Reads one run, scores all tokens that follow its nodes, and returns how far the nodes are read."""
        run, hidden = self.reader.next()
        self._score_all(range(run.first, run.last), hidden)
        return run.last

    def deliver(self, read: int) -> None:
        """Hands their scores to the pieces of work whose prompts lie before the node `read`."""
        for work, ends in self.waiting:
            if max(ends) < read:
                work.finish([self._scored(end, work) for end in ends])
        self.waiting = [(work, ends) for work, ends in self.waiting if max(ends) >= read]

    def _score_all(self, nodes: range, hidden: Tensor) -> None:
        # Most nodes at the ends of prompts have nothing behind them: their logits are never computed.
        wanted = [node for node in nodes if self._children[node] or node in self._asked_next]
        for start in range(0, len(wanted), HEAD_ROWS):
            some = wanted[start : start + HEAD_ROWS]
            self._score(some, self._decoder.logits(hidden[[node - nodes.start for node in some]]))

    def _score(self, nodes: Sequence[int], logits: Tensor) -> None:
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
        self._before = NOTHING

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._job)

    def add(self, work: ScoreWork) -> None:
        """Takes a piece of work."""
        self._waiting.append(work)

    def step(self) -> None:
        """Reads and scores one run of prompts."""
        if self._job is None or all(work.dropped for work, _ in self._job.waiting):
            self._job = self._next_job()
        if self._job is None:
            return
        read = self._job.step()
        self._job.deliver(read)
        if self._job.reader.done:
            self._before = self._job.reader.read_to(read - 1, self._limits.before_tokens)
            self._job = None

    def fail(self, error: BaseException) -> None:
        """Fails everything under way, and leaves the lane empty."""
        for work in (*self._waiting, *(work for work, _ in (self._job.waiting if self._job else ()))):
            work.fail(error)
        self._waiting.clear()
        self._job = None

    def _next_job(self) -> _Job | None:
        works: list[ScoreWork] = []
        tokens = 0
        while self._waiting:
            work = self._waiting[0]
            reference = works[0].prompts[0] if works else self._before.tokens
            # What all begin with is read once: it counts for nothing.
            more = sum(len(prompt) - common_length(prompt, reference) for prompt in work.prompts)
            if works and tokens + more > self._limits.tree_tokens:
                break
            self._waiting.popleft()
            if not work.dropped:
                works.append(work)
                tokens += more
        return _Job(works, self._decoder, self._limits.run_tokens, self._before) if works else None
