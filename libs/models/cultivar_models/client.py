"""The client of one served model."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

from cultivar_models import readiness
from cultivar_models.endpoint import Answer, Endpoint, Sampling, Score, TokenUsage
from cultivar_models.errors import ModelError, ModelRejected
from cultivar_models.line import Line
from cultivar_models.reading import read_chat, read_completion, read_embeddings, read_scores
from cultivar_models.recorder import Recorder, call_key, from_record, to_record
from cultivar_models.retry import RetryPolicy
from cultivar_models.scoring import Batch, Pair, batches
from cultivar_models.transport import Transport

MOST_TEXTS = 64
_CHARACTERS_A_TOKEN = 4


class ModelClient:
    """Asks one model of an OpenAI-compatible server; an async context manager, for one event loop.

    concurrency: requests under way at once, at most; a call that waits to be tried again holds none of them.
    line: has that and how many are sent in a minute, in place of concurrency; other clients may stand in it too.
    timeout_s: seconds for one try. retries, deadline_s: tries after the first, and seconds for all together.
    policy: gives all of that and the pauses, in place of retries and deadline_s.
    recorder: asked before each call, and given each answer. With one, calls that are alike in request and `call` id
    are one call, so give each call that shall have its own answer its own id.
    guard: called before each request is sent; what it raises goes through, and nothing is sent.
    told: may be set before the first call, and is told of each that ended, but for those whose answer a recorder had:
    answered, refused or failed, what it cost, and its seconds with all tries and what it waited in line.

    Every call raises ModelUnavailable, ModelRejected or ModelAnswerInvalid; a recorder's errors go through as they are.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int = 64,
        line: Line | None = None,
        timeout_s: float = 120.0,
        retries: int = 8,
        deadline_s: float = 600.0,
        policy: RetryPolicy | None = None,
        recorder: Recorder | None = None,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        line = line or Line(concurrency)
        self.slots = line.slots
        self._policy = policy or RetryPolicy(retries=retries, deadline_s=deadline_s)
        self._transport = Transport(endpoint, line, self._policy, timeout_s, guard)
        self._recorder = recorder
        # Those that a call holds or waits for: of calls alike the second finds the first one's answer recorded.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._recorded = TokenUsage()
        self._guessed = TokenUsage()
        self.told: Callable[[str, TokenUsage, float], None] | None = None

    @property
    def usage(self) -> TokenUsage:
        """All that this client's calls cost, those that failed or were cancelled among them."""
        return self._transport.usage + self._recorded + self._guessed

    @property
    def pausing(self) -> int:
        """How many calls wait to be tried again; they hold no slot."""
        return self._transport.pausing

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def wait_ready(self, timeout_s: float = 60.0, *, listed: bool = True) -> None:
        """Waits until the server lists the model; raises ModelUnavailable saying why it does not, or ModelRejected.

        listed: False for a server that is known to answer for the model, listed or not; then it need only be there.
        """
        await readiness.wait_ready(self._transport, self.endpoint, timeout_s, listed)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The sampling fields that the server turned out to refuse, so that it samples there as it likes."""
        return self._transport.dialect.left_out

    @property
    def silent_since(self) -> str:
        """Since when the server has answered nobody, empty where it does answer."""
        return self._transport.silent_since

    async def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        sampling: Sampling,
        *,
        call: str = "",
        schema: Callable[[], Mapping[str, Any] | None] | None = None,
    ) -> Answer:
        """Returns the model's next message of a conversation (`role`, `content` each); an empty one is an error.

        schema: gives the JSON schema that the server is to hold the model to, or None; asked when a request goes out,
        for much may have been found out about a server while a call waited. It is no part of what a recorder knows the
        call by, so that an answer is found again though the server was asked in another way.
        """
        body = {"model": self.endpoint.model, "messages": list(messages), **sampling.fields()}
        more = partial(_formed, schema) if schema is not None else None
        read, asked = partial(read_chat, stops=sampling.stop), sum(len(one["content"]) for one in messages)
        return _answer(*await self._ask("/chat/completions", body, read, call, more, asked))

    async def complete(self, prompt: str, sampling: Sampling, *, call: str = "") -> Answer:
        """Returns how the model goes on with a text; that may be empty."""
        body = {"model": self.endpoint.model, "prompt": prompt, **sampling.fields()}
        read = partial(read_completion, stops=sampling.stop)
        return _answer(*await self._ask("/completions", body, read, call, asked=len(prompt)))

    async def score(self, pairs: Sequence[Pair], *, call: str = "") -> list[Score]:
        """Returns for each (prefix, continuation) how likely the model finds the continuation after the prefix.

        The sum of the logprobs of the tokens that begin at or after the prefix's end: end a prefix where a token ends,
        so before a space. Sent as up to 64 prompts a request; each request is one call for the recorder.
        Raises ValueError for an empty continuation.
        """
        found: list[Score] = [Score(0.0, 0)] * len(pairs)

        async def score_batch(batch: Batch) -> None:
            body = {
                "model": self.endpoint.model,
                "prompt": batch.prompts,
                "echo": True,
                "max_tokens": 0,
                "logprobs": 1,
                "temperature": 0,
            }
            # The place of the boundaries is not in the body, and decides what the answer means.
            boundaries = ",".join(map(str, batch.prefix_lengths))
            read = partial(read_scores, prefixes=batch.prefix_lengths)
            scores, _ = await self._ask("/completions", body, read, f"{call}\n{boundaries}")
            for place, (logprob, tokens) in zip(batch.places, scores, strict=True):
                found[place] = Score(logprob, int(tokens))

        await _all([score_batch(batch) for batch in list(batches(pairs))])
        return found

    async def embed(self, texts: Sequence[str], *, call: str = "") -> list[list[float]]:
        """Returns one vector for each text, in order; sent as up to 64 texts a request."""
        parts = [list(texts[at : at + MOST_TEXTS]) for at in range(0, len(texts), MOST_TEXTS)]
        found: list[list[list[float]]] = [[] for _ in parts]

        async def embed_part(number: int, part: list[str]) -> None:
            body = {"model": self.endpoint.model, "input": part, "encoding_format": "float"}
            read = partial(read_embeddings, count=len(part))
            found[number], _ = await self._ask("/embeddings", body, read, call)

        await _all([embed_part(number, part) for number, part in enumerate(parts)])
        return [vector for part in found for vector in part]

    async def _ask(
        self,
        path: str,
        body: dict[str, Any],
        read: Callable[[dict[str, Any]], Any],
        call: str,
        more: Callable[[], Mapping[str, Any]] | None = None,
        asked: int = 0,
    ) -> tuple[Any, TokenUsage]:
        """Returns what a call gave, recorded or now; asked: the characters of its prompt, where it gives texts."""
        if self._recorder is None:
            return await self._sent(path, body, read, more, asked)
        key = call_key(path, body, call)
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            record = await self._recorder.get(key)
            if record is not None:
                value, usage = from_record(record)
                self._recorded += usage
                return value, usage
            value, usage = await self._sent(path, body, read, more, asked)
            await self._recorder.put(key, to_record(value, usage))
            return value, usage

    async def _sent(
        self,
        path: str,
        body: dict[str, Any],
        read: Callable[[dict[str, Any]], Any],
        more: Callable[[], Mapping[str, Any]] | None,
        asked: int,
    ) -> tuple[Any, TokenUsage]:
        begun = asyncio.get_running_loop().time()
        try:
            value, usage = await self._transport.ask(path, body, read, more)
        except ModelError as error:
            self._tell("refused" if isinstance(error, ModelRejected) else "failed", error.usage, begun)
            raise
        if asked and not usage.prompt_tokens and not usage.completion_tokens:
            # A budget must end even with a server that does not count.
            said = sum(len(choice[0]) for choice in value)
            guess = TokenUsage(-(-asked // _CHARACTERS_A_TOKEN), -(-said // _CHARACTERS_A_TOKEN), uncounted_calls=1)
            self._guessed += guess
            usage += guess
        self._tell("answered", usage, begun)
        return value, usage

    def _tell(self, outcome: str, usage: TokenUsage, begun: float) -> None:
        if self.told is not None:
            self.told(outcome, usage, asyncio.get_running_loop().time() - begun)


def _formed(schema: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any]:
    wanted = schema()
    if not wanted:
        return {}
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": wanted, "strict": True},
        }
    }


def _answer(choices: list[list[str]], usage: TokenUsage) -> Answer:
    (text, finish_reason, *model), *more = choices
    return Answer(text, finish_reason, usage, tuple(choice[0] for choice in more), *model)


async def _all(calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Waits for all calls; the first error ends the others and is raised as itself, not in a group."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
