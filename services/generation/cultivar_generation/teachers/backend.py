"""From requests to pieces of work and back; knows the protocol and the engine, neither HTTP nor Ray."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

from cultivar_artifacts.store import is_alias, is_digest, is_project

from cultivar_generation.teachers import answers
from cultivar_generation.teachers.chunks import chat_chunks, completion_chunks
from cultivar_generation.teachers.engine import LaneKey
from cultivar_generation.teachers.errors import BadRequest, EngineFailed, TeacherError, TooLarge, UnknownModel
from cultivar_generation.teachers.events import Stream
from cultivar_generation.teachers.forms import Form, Forms, FormUnsupported
from cultivar_generation.teachers.growing import Growing, Piece
from cultivar_generation.teachers.requests import ChatRequest, CompletionRequest, EmbeddingRequest
from cultivar_generation.teachers.tokens import ChatUnsupported, Encoded, Tokens
from cultivar_generation.teachers.work import EmbedWork, GenerateWork, Made, SamplingRules, Scored, ScoreWork, Work

T = TypeVar("T")


class Queue(Protocol):
    """Takes work; the engine is one."""

    def submit(self, key: LaneKey, work: Work[T]) -> "Future[T]":
        """Queues a piece of work; raises `Overloaded`."""


class Adapters(Protocol):
    """Keeps adapters loaded while they are used; the shelf is one."""

    @property
    def loaded(self) -> list[str]:
        """The adapters that are loaded now."""

    def using(self, name: str) -> AbstractAsyncContextManager[None]:
        """Keeps an adapter loaded for a while."""


class Aliases(Protocol):
    """Knows what aliases name; the alias book is one."""

    async def digest(self, project: str, alias: str) -> str:
        """Gives the digest of the adapter that an alias names now."""


class Backend:
    """Answers requests for one text model, its adapters, and one embedding model.

    context: most tokens of prompt and answer together. default_tokens: of a chat answer when the request does not say.
    largest_score: most tokens of all prompts of one request that are scored.
    """

    def __init__(
        self,
        queue: Queue,
        adapters: Adapters,
        aliases: Aliases,
        tokens: Tokens,
        forms: Forms,
        text_model: str,
        embedding_model: str,
        context: int,
        default_tokens: int = 512,
        largest_score: int = 262_144,
    ) -> None:
        self._queue = queue
        self._adapters = adapters
        self._aliases = aliases
        self._tokens = tokens
        self._forms = forms
        self._text_model = text_model
        self._embedding_model = embedding_model
        self._context = context
        self._default_tokens = default_tokens
        self._largest_score = largest_score

    @property
    def models(self) -> list[str]:
        """The models that are served; of the adapters, those that are loaded."""
        adapters = [f"{self._text_model}:{name}" for name in self._adapters.loaded]
        return [self._text_model, *([self._embedding_model] if self._embedding_model else []), *adapters]

    async def chat(self, request: ChatRequest) -> answers.Json:
        """Answers a chat."""
        async with self._adapter(request.model) as adapter:
            prompt, works = await self._chat_works(request)
            made = await self._done(("generate", adapter), works)
        return answers.chat_answer(self._answering(adapter), len(prompt), made, self._tokens, request.top)

    async def stream_chat(self, request: ChatRequest) -> Stream:
        """Answers a chat as it is made; what is wrong with the request is raised here, before the first chunk."""
        async with AsyncExitStack() as held:
            adapter = await held.enter_async_context(self._adapter(request.model))
            prompt, works = await self._chat_works(request)
            pieces = self._started(held, adapter, works)
            read = len(prompt) if request.tells_usage else None
            chunks = chat_chunks(self._answering(adapter), pieces, self._tokens, request.top, read)
            return Stream(chunks, held.pop_all())

    async def _chat_works(self, request: ChatRequest) -> tuple[tuple[int, ...], list[GenerateWork]]:
        messages = [message.model_dump(include={"role", "content"}) for message in request.messages]
        try:
            prompt = await asyncio.to_thread(self._tokens.chat, messages)
        except ChatUnsupported as error:
            raise BadRequest(str(error), param="messages") from error
        room = self._room([prompt], request.most_tokens or 1)
        most = request.most_tokens or min(room, self._default_tokens)
        form = await asyncio.to_thread(self._form, request.schema_of_answer)
        return prompt, _generations([prompt], request, most, request.top, form)

    def _form(self, schema: Mapping[str, Any] | None) -> Form | None:
        try:
            return None if schema is None else self._forms.of(schema)
        except FormUnsupported as error:
            raise BadRequest(f"answers cannot be held to this schema: {error}", param="response_format") from error

    def _started(
        self, held: AsyncExitStack, adapter: str | None, works: Sequence[GenerateWork]
    ) -> AsyncIterator[Piece]:
        growing = Growing(works, self._tokens)
        growing.start(lambda work: self._queue.submit(("generate", adapter), work))
        held.callback(growing.drop)
        return growing.pieces()

    async def complete(self, request: CompletionRequest) -> answers.Json:
        """Answers completions: generates, or scores the prompt (`echo` and `logprobs`), or both."""
        async with self._adapter(request.model) as adapter:
            prompts = await asyncio.to_thread(self._encoded, request.prompts)
            self._room([prompt.tokens for prompt in prompts], request.max_tokens)
            scored, made = await self._scored_and_made(request, prompts, adapter)
        return await asyncio.to_thread(self._completion_body, self._answering(adapter), request, prompts, scored, made)

    async def stream_complete(self, request: CompletionRequest) -> Stream:
        """Answers completions as they are made; what is wrong with the request is raised before the first chunk."""
        async with AsyncExitStack() as held:
            adapter = await held.enter_async_context(self._adapter(request.model))
            prompts = [prompt.tokens for prompt in await asyncio.to_thread(self._encoded, request.prompts)]
            self._room(prompts, request.max_tokens)
            works = _generations(prompts, request, request.max_tokens, request.logprobs)
            pieces = self._started(held, adapter, works)
            read = sum(map(len, prompts)) if request.tells_usage else None
            chunks = completion_chunks(self._answering(adapter), pieces, self._tokens, request.logprobs, read)
            return Stream(chunks, held.pop_all())

    async def embed(self, request: EmbeddingRequest) -> answers.Json:
        """Answers with embeddings."""
        if not self._embedding_model or request.model != self._embedding_model:
            raise UnknownModel(self._not_served("embeds texts"))
        if not all(request.texts):
            raise BadRequest("a text to embed is empty: leave it out", param="input")
        ((vectors, tokens),) = await self._done(("embed", None), [EmbedWork(request.texts)])
        return answers.embedding_answer(request.model, vectors, tokens, request.encoding_format)

    @asynccontextmanager
    async def _adapter(self, model: str) -> AsyncIterator[str | None]:
        """Keeps what a name means at this moment loaded: the base model, an adapter, or what an alias names."""
        if model == self._text_model:
            yield None
            return
        project, _, named = model.removeprefix(f"{self._text_model}:").partition("/")
        if model == self._embedding_model or not is_project(project) or not (is_digest(named) or is_alias(named)):
            raise UnknownModel(
                f"{self._not_served('makes texts')}; an adapter is named {self._text_model}:PROJECT/DIGEST, with the "
                "manifest's 64 digits, and an alias PROJECT/ALIAS"
            )
        digest = named if is_digest(named) else await self._aliases.digest(project, named)
        async with self._adapters.using(f"{project}/{digest}"):
            yield f"{project}/{digest}"

    def _answering(self, adapter: str | None) -> str:
        """Names what answers: the base model, or it with the adapter's digest, whatever name was asked for."""
        return self._text_model if adapter is None else f"{self._text_model}:{adapter}"

    def _not_served(self, what: str) -> str:
        return f"no model of this name {what} here: /v1/models lists what is served"

    def _encoded(self, prompts: Sequence[str] | Sequence[list[int]]) -> list[Encoded]:
        encoded = []
        for prompt in prompts:
            if not isinstance(prompt, str) and max(prompt) >= self._tokens.size:
                raise BadRequest(f"a token of the prompt is not below {self._tokens.size}", param="prompt")
            encoded.append(self._tokens.encode(prompt) if isinstance(prompt, str) else self._tokens.given(prompt))
            if not encoded[-1].tokens:
                raise BadRequest("a prompt is empty: give at least one token", param="prompt")
        return encoded

    def _room(self, prompts: Sequence[Sequence[int]], more: int) -> int:
        """Gives how many tokens can follow the longest prompt; raises `BadRequest` if `more` do not fit."""
        longest = max(map(len, prompts))
        if longest + more > self._context:
            raise BadRequest(
                f"prompt and answer have {longest} + {more} tokens, the model takes {self._context}: shorten them",
                "context_length_exceeded",
            )
        return self._context - longest

    async def _scored_and_made(
        self, request: CompletionRequest, prompts: Sequence[Encoded], adapter: str | None
    ) -> tuple[list[Scored] | None, list[Made] | None]:
        tokens = [prompt.tokens for prompt in prompts]
        scoring = request.echo and request.logprobs is not None
        if scoring and sum(map(len, tokens)) > self._largest_score:
            raise TooLarge(f"the prompts have more than {self._largest_score} tokens together: send fewer at once")
        # One greedy token more, as evaluation tools ask for it, comes with the scores.
        with_next = scoring and request.max_tokens == 1 and request.temperature == 0 and request.n == 1
        scores: list[list[Scored]] = [[]]
        if scoring:
            work = ScoreWork(tokens, request.logprobs or 0, with_next)
            scores = await self._done(("score", adapter), [work])
        if with_next:
            return scores[0], [self._one_token(scored) for scored in scores[0]]
        made = None
        if request.max_tokens:
            works = _generations(tokens, request, request.max_tokens, request.logprobs)
            made = await self._done(("generate", adapter), works)
        return scores[0] or None, made

    def _one_token(self, scored: Scored) -> Made:
        assert scored.next is not None
        if scored.next.token in self._tokens.ends:
            return Made("", "stop", (), 1)
        return Made(self._tokens.decode([scored.next.token]), "length", (scored.next,), 1)

    def _completion_body(
        self,
        model: str,
        request: CompletionRequest,
        prompts: Sequence[Encoded],
        scored: Sequence[Scored] | None,
        made: Sequence[Made] | None,
    ) -> answers.Json:
        choices = [
            answers.completion_choice(
                self._tokens,
                prompt if request.echo else None,
                scored[place] if scored else None,
                made[place * request.n + choice] if made else None,
                request.logprobs,
            )
            for place, prompt in enumerate(prompts)
            for choice in range(request.n)
        ]
        spent = sum(one.tokens for one in made or ())
        return answers.completion_answer(model, choices, sum(len(prompt.tokens) for prompt in prompts), spent)

    async def _done(self, key: LaneKey, works: Sequence[Work[T]]) -> list[T]:
        """Queues work and waits for all of it; what is left over is dropped when one fails or nobody waits."""
        futures: list[Future[T]] = []
        try:
            for work in works:
                futures.append(self._queue.submit(key, work))
            return [await asyncio.wrap_future(future) for future in futures]
        except TeacherError:
            raise
        except Exception as error:
            raise EngineFailed() from error
        finally:
            for future in futures:
                future.cancel()


def _generations(
    prompts: Sequence[tuple[int, ...]],
    request: ChatRequest | CompletionRequest,
    most: int,
    top: int | None,
    form: Form | None = None,
) -> list[GenerateWork]:
    return [
        GenerateWork(
            prompt,
            SamplingRules(
                request.temperature, request.top_p, most, request.stops, request.seed, choice, top, request.likeliest
            ),
            form,
        )
        for prompt in prompts
        for choice in range(request.n)
    ]
