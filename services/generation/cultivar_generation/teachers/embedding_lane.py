"""Embeds texts: the mean of an encoder's last hidden states over the text's tokens, of length 1."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from cultivar_generation.teachers.errors import BadRequest
from cultivar_generation.teachers.work import EmbedWork

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Embedder:
    """Embeds batches of texts with a sentence encoder that pools by the mean (as MiniLM does)."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_tokens: int) -> None:
        self._model: Any = model
        self._tokenizer: Any = tokenizer
        self._max_tokens = max_tokens

    def encode(self, texts: Sequence[str] | Sequence[list[int]]) -> list[list[int]]:
        """Gives the tokens of each text, cut at the model's limit; tokens stay as they are.

        Raises `BadRequest` for tokens that the model does not have: another model's mean something else.
        """
        if isinstance(texts[0], str):
            found: list[list[int]] = self._tokenizer(
                list(texts), truncation=True, max_length=self._max_tokens, padding=False
            )["input_ids"]
            return found
        size = len(self._tokenizer)
        if any(isinstance(row, str) or max(row) >= size for row in texts):
            raise BadRequest(
                f"a token is not below {size}: give texts, or the embedding model's own tokens", param="input"
            )
        return [list(row[: self._max_tokens]) for row in texts if not isinstance(row, str)]

    def embed(self, rows: Sequence[list[int]]) -> list[list[float]]:
        """Gives the vectors of some texts' tokens, each of length 1."""
        padded = self._tokenizer.pad({"input_ids": list(rows)}, return_tensors="pt").to(self._model.device)
        with torch.inference_mode():
            hidden = self._model(**padded).last_hidden_state
            weights = padded["attention_mask"][..., None].to(hidden.dtype)
            means = (hidden * weights).sum(1) / weights.sum(1)
            vectors: list[list[float]] = torch.nn.functional.normalize(means.float(), dim=-1).tolist()
        return vectors


class _Job:
    """The texts of some pieces of work, longest first, so that little is padded."""

    def __init__(self, works: Sequence[tuple[EmbedWork, list[list[int]]]], embedder: Embedder) -> None:
        self.works = [work for work, _ in works]
        self._embedder = embedder
        self._rows = [row for _, rows in works for row in rows]
        self._order = deque(sorted(range(len(self._rows)), key=lambda row: -len(self._rows[row])))
        self._vectors: list[list[float]] = [[]] * len(self._rows)

    @property
    def done(self) -> bool:
        """Whether all texts are embedded."""
        return not self._order

    def step(self, budget: int) -> None:
        """Embeds as many texts as fit in `budget` tokens with their padding."""
        width = len(self._rows[self._order[0]])
        batch = [self._order.popleft() for _ in range(min(len(self._order), max(1, budget // width)))]
        for row, vector in zip(batch, self._embedder.embed([self._rows[row] for row in batch]), strict=True):
            self._vectors[row] = vector

    def deliver(self) -> None:
        """Hands each piece of work its vectors and how many tokens were read for them."""
        first = 0
        for work in self.works:
            last = first + len(work.texts)
            work.finish((self._vectors[first:last], sum(map(len, self._rows[first:last]))))
            first = last


class EmbeddingLane:
    """Embeds the texts of all requests; the encoder is loaded at the first one."""

    def __init__(self, load: Callable[[], Embedder], batch_tokens: int = 4_096, job_texts: int = 512) -> None:
        self._load = load
        self._batch_tokens = batch_tokens
        self._job_texts = job_texts
        self._embedder: Embedder | None = None
        self._waiting: deque[EmbedWork] = deque()
        self._job: _Job | None = None

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._job)

    def add(self, work: EmbedWork) -> None:
        """Takes a piece of work."""
        self._waiting.append(work)

    def step(self) -> None:
        """Embeds one batch of texts."""
        if self._job is None:
            self._job = self._next_job()
        if self._job is None:
            return
        self._job.step(self._batch_tokens)
        if self._job.done:
            self._job.deliver()
            self._job = None

    def fail(self, error: BaseException) -> None:
        """Fails everything under way, and leaves the lane empty."""
        for work in (*self._waiting, *(self._job.works if self._job else ())):
            work.fail(error)
        self._waiting.clear()
        self._job = None

    def _next_job(self) -> _Job | None:
        works: list[EmbedWork] = []
        texts = 0
        while self._waiting and (not works or texts + len(self._waiting[0].texts) <= self._job_texts):
            work = self._waiting.popleft()
            if not work.dropped:
                works.append(work)
                texts += len(work.texts)
        try:
            embedder = self._embedder = self._embedder or self._load()
        except Exception as error:
            for work in works:
                work.fail(error)
            return None
        encoded = [(work, rows) for work in works if (rows := _encoded(embedder, work))]
        return _Job(encoded, embedder) if encoded else None


def _encoded(embedder: Embedder, work: EmbedWork) -> list[list[int]]:
    """Gives the tokens of a piece of work; what is wrong with it fails it alone, and it has none."""
    try:
        return embedder.encode(work.texts)
    except Exception as error:
        work.fail(error)
        return []
