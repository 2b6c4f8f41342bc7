"""What the engine is asked to do, and what it gives back; plain data, so that HTTP knows nothing of torch."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from cultivar_generation.teachers.forms import Form

T = TypeVar("T")

TopTokens = tuple[tuple[int, float], ...]
"""Tokens with natural log-probabilities, likeliest first."""


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """One token, its natural log-probability, and the likeliest tokens in its place.

    Log-probabilities are the model's own, before temperature and `top_p`; 0 when none was asked for.
    """

    token: int
    logprob: float
    top: TopTokens = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What was generated for one choice.

    text: without stop string and without special tokens. finish_reason: `stop` or `length`. tokens: how many were
    made, with one that ends the answer, which is not among the choices.
    """

    text: str
    finish_reason: str
    choices: tuple[TokenChoice, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Scored:
    """The log-probabilities of one prompt's tokens, each after those before it.

    logprobs: None for the first token. tops: the likeliest tokens in each place. next: the likeliest token after the
    prompt, when it was asked for.
    """

    logprobs: tuple[float | None, ...]
    tops: tuple[TopTokens, ...]
    next: TokenChoice | None = None


@dataclass(frozen=True, slots=True)
class SamplingRules:
    """Says how an answer is chosen: see `Sampler`; seed and number of the choice make its random numbers."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None
    choice: int = 0
    top: int | None = None
    top_k: int = 0


@dataclass(slots=True)
class Work(Generic[T]):
    """A piece of work and the future that takes its result; cancelling the future drops the work."""

    future: "Future[T]" = field(default_factory=Future, kw_only=True)

    @property
    def weight(self) -> int:
        """How much this is, in tokens to read and to write; a bound of the queue is over the sum."""
        return 1

    def finish(self, result: T) -> None:
        """Hands over the result, unless nobody waits any more."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hands over an error, unless nobody waits any more."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    @property
    def dropped(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self.future.cancelled()


@dataclass(slots=True)
class GenerateWork(Work[Made]):
    """One choice to generate after a prompt of tokens.

    form: what the answer is held to, None for an answer in any form. told: is called in the engine's thread with each
    token but the last, for who wants the answer as it grows; it must neither block nor raise.
    """

    prompt: tuple[int, ...]
    rules: SamplingRules
    form: "Form | None" = None
    told: Callable[[TokenChoice], None] | None = None

    @property
    def weight(self) -> int:
        """The prompt's tokens and the most that may follow."""
        return len(self.prompt) + self.rules.max_tokens


@dataclass(slots=True)
class ScoreWork(Work[list[Scored]]):
    """Prompts to score; top: how many likeliest tokens to report in each place; with_next: also what comes next."""

    prompts: Sequence[tuple[int, ...]]
    top: int = 0
    with_next: bool = False

    @property
    def weight(self) -> int:
        """The prompts' tokens."""
        return sum(map(len, self.prompts))


@dataclass(slots=True)
class EmbedWork(Work[tuple[list[list[float]], int]]):
    """Texts to embed, or the tokens of each; the result is their vectors and the number of tokens read."""

    texts: Sequence[str] | Sequence[list[int]]

    @property
    def weight(self) -> int:
        """About the texts' tokens."""
        return sum(1 + len(text) // 4 if isinstance(text, str) else len(text) for text in self.texts)
