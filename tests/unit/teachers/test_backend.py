import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cultivar_generation.teachers.backend import Backend
from cultivar_generation.teachers.decoder import Decoder
from cultivar_generation.teachers.engine import LaneKey
from cultivar_generation.teachers.errors import BadRequest, EngineFailed, Overloaded, TooLarge, UnknownModel
from cultivar_generation.teachers.events import Stream
from cultivar_generation.teachers.forms import Forms
from cultivar_generation.teachers.generation_lane import GenerationLane, Limits
from cultivar_generation.teachers.requests import ChatRequest, CompletionRequest, EmbeddingRequest
from cultivar_generation.teachers.scoring_lane import ScoringLane
from cultivar_generation.teachers.tokens import Tokens
from cultivar_generation.teachers.work import EmbedWork, GenerateWork, ScoreWork

DIGEST = "0" * 64


class Queue:
    """Does work at once with real lanes over the tiny model; adapters only change the key."""

    def __init__(self, decoder: Decoder, tokens: Tokens) -> None:
        self.keys: list[LaneKey] = []
        self.futures: list[Future[Any]] = []
        self.room = 1_000
        self.waits = False
        self._decoder = decoder
        self._tokens = tokens

    async def holds(self, count: int) -> None:
        """Waits until this many pieces of work are queued."""
        async with asyncio.timeout(5):
            while len(self.futures) < count:
                await asyncio.sleep(0.001)

    def submit(self, key: LaneKey, work: Any) -> Future[Any]:
        if len(self.keys) >= self.room:
            raise Overloaded(3)
        self.keys.append(key)
        self.futures.append(work.future)
        if self.waits:
            return work.future  # type: ignore[no-any-return]
        if isinstance(work, EmbedWork):
            work.finish(([[0.6, 0.8] for _ in work.texts], 7))
            return work.future
        lane = self._lane(work)
        lane.add(work)
        while lane.busy:
            lane.step()
        return work.future  # type: ignore[no-any-return]

    def _lane(self, work: GenerateWork | ScoreWork) -> Any:
        limits = Limits()
        if isinstance(work, GenerateWork):
            return GenerationLane(self._decoder, self._tokens, limits)
        return ScoringLane(self._decoder, limits)


class Adapters:
    def __init__(self) -> None:
        self.loaded = [f"p/{DIGEST}"]
        self.used: list[str] = []

    @asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[None]:
        self.used.append(name)
        yield


class Aliases:
    def __init__(self) -> None:
        self.named = {"p/champion": DIGEST}

    async def digest(self, project: str, alias: str) -> str:
        return self.named[f"{project}/{alias}"]


@pytest.fixture
def aliases() -> Aliases:
    return Aliases()


@pytest.fixture
def queue(tiny_decoder: Decoder, tiny_tokens: Tokens) -> Queue:
    return Queue(tiny_decoder, tiny_tokens)


@pytest.fixture
def backend(queue: Queue, aliases: Aliases, tiny_tokens: Tokens, tiny_forms: Forms) -> Backend:
    return Backend(
        *(queue, Adapters(), aliases, tiny_tokens, tiny_forms, "m", "e"),
        context=60,
        default_tokens=6,
        largest_score=100,
    )


def chat(text: str = "hi", **fields: Any) -> ChatRequest:
    return ChatRequest(model=fields.pop("model", "m"), messages=[{"role": "user", "content": text}], **fields)


def completion(prompt: Any = "ab", **fields: Any) -> CompletionRequest:
    return CompletionRequest(model=fields.pop("model", "m"), prompt=prompt, **fields)


async def test_a_chat_gives_as_many_choices_as_it_asks_for(backend: Backend) -> None:
    answer = await backend.chat(chat(n=3, max_tokens=4, seed=1))
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) > 1
    assert answer["usage"]["completion_tokens"] <= 12


async def test_the_likeliest_of_one_is_the_answer_without_chance(backend: Backend) -> None:
    said = [
        (await backend.chat(chat(max_tokens=5, **rules)))["choices"][0]["message"]["content"]
        for rules in ({"temperature": 0}, {"top_k": 1, "temperature": 2, "seed": 4})
    ]
    assert said[0] == said[1]


async def test_a_chat_that_names_no_bound_gets_the_default_or_what_fits(backend: Backend) -> None:
    answer = await backend.chat(chat(temperature=0, logprobs=True, top_logprobs=2))
    assert answer["usage"]["completion_tokens"] <= 6
    for entry in answer["choices"][0]["logprobs"]["content"]:
        assert entry["logprob"] <= 0
        assert len(entry["top_logprobs"]) == 2


async def test_prompt_and_answer_must_fit_the_context(backend: Backend, queue: Queue) -> None:
    for request in (chat(max_tokens=50), chat("x" * 60)):
        with pytest.raises(BadRequest) as refused:
            await backend.chat(request)
        assert refused.value.code == "context_length_exceeded"
    with pytest.raises(BadRequest):
        await backend.complete(completion("x" * 50, max_tokens=11))
    assert queue.keys == []


async def test_an_echo_scores_the_prompts_and_generates_nothing(backend: Backend, queue: Queue) -> None:
    answer = await backend.complete(completion(["abc", "abd"], echo=True, max_tokens=0, logprobs=1))
    assert queue.keys == [("score", None)]
    first, second = answer["choices"]
    assert first["text"] == "abc"
    assert first["logprobs"]["tokens"] == ["a", "b", "c"]
    assert first["logprobs"]["text_offset"] == [0, 1, 2]
    assert first["logprobs"]["token_logprobs"][0] is None
    assert first["logprobs"]["top_logprobs"][0] is None
    assert len(first["logprobs"]["top_logprobs"][1]) == 1
    assert first["logprobs"]["token_logprobs"][1] == second["logprobs"]["token_logprobs"][1]
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 0, "total_tokens": 6}


async def test_an_echo_with_one_greedy_token_is_one_pass_and_agrees_with_two(backend: Backend, queue: Queue) -> None:
    one = await backend.complete(completion("abc", echo=True, max_tokens=1, temperature=0, logprobs=1))
    assert queue.keys == [("score", None)]
    two = await backend.complete(completion("abc", echo=True, max_tokens=2, temperature=0, logprobs=1))
    assert queue.keys[1:] == [("score", None), ("generate", None)]
    parts = [answer["choices"][0]["logprobs"] for answer in (one, two)]
    assert parts[0]["tokens"] == parts[1]["tokens"][:4]
    assert parts[0]["text_offset"] == parts[1]["text_offset"][:4]
    assert parts[0]["token_logprobs"][1:] == pytest.approx(parts[1]["token_logprobs"][1:4], abs=1e-4)


async def test_several_prompts_and_choices_come_back_in_order(backend: Backend) -> None:
    request = completion(["ab", "cd"], n=2, max_tokens=3, echo=True, seed=4)
    texts = [choice["text"] for choice in (await backend.complete(request))["choices"]]
    assert [text[:2] for text in texts] == ["ab", "ab", "cd", "cd"]


async def test_prompts_may_be_tokens(backend: Backend) -> None:
    tokens = backend._tokens.encode("ab").tokens
    for prompt in (list(tokens), [list(tokens)]):
        answer = await backend.complete(completion(prompt, echo=True, max_tokens=0, logprobs=0))
        assert answer["choices"][0]["text"] == "ab"
    with pytest.raises(BadRequest, match="not below"):
        await backend.complete(completion([5, 10_000_000]))


async def test_an_empty_prompt_is_refused(backend: Backend) -> None:
    with pytest.raises(BadRequest, match="empty"):
        await backend.complete(completion(["a", ""]))


async def test_more_tokens_to_score_than_the_bound_are_refused(backend: Backend) -> None:
    with pytest.raises(TooLarge):
        await backend.complete(completion(["x" * 40] * 3, echo=True, max_tokens=0, logprobs=1))


@pytest.mark.parametrize("model", ["other", "e", "m:p", f"m:{DIGEST}", f"m:/{DIGEST}", f"e:p/{DIGEST}"])
async def test_an_unknown_model_is_not_found(backend: Backend, model: str) -> None:
    with pytest.raises(UnknownModel):
        await backend.chat(chat(model=model))
    with pytest.raises(UnknownModel):
        await backend.complete(completion(model=model))


async def test_an_adapter_is_kept_loaded_and_named_to_the_engine(backend: Backend, queue: Queue) -> None:
    answer = await backend.chat(chat(model=f"m:p/{DIGEST}", max_tokens=2))
    assert answer["model"] == f"m:p/{DIGEST}"
    assert queue.keys == [("generate", f"p/{DIGEST}")]
    assert backend.models == ["m", "e", f"m:p/{DIGEST}"]


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings_come_as_numbers_or_packed(backend: Backend, encoding: str) -> None:
    request = EmbeddingRequest(model="e", input=["a", "b"], encoding_format=encoding)
    answer = await backend.embed(request)
    found = answer["data"][1]["embedding"]
    vector = struct.unpack("<2f", base64.b64decode(found)) if encoding == "base64" else found
    assert list(vector) == pytest.approx([0.6, 0.8])
    assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


async def test_the_text_model_embeds_nothing_and_no_empty_text_is_embedded(backend: Backend) -> None:
    with pytest.raises(UnknownModel):
        await backend.embed(EmbeddingRequest(model="m", input="a"))
    with pytest.raises(BadRequest, match="empty"):
        await backend.embed(EmbeddingRequest(model="e", input=["a", ""]))


async def test_when_one_choice_finds_no_room_the_others_are_dropped(backend: Backend, queue: Queue) -> None:
    queue.room, queue.waits = 2, True
    with pytest.raises(Overloaded):
        await backend.chat(chat(n=3, max_tokens=2))
    assert all(future.cancelled() for future in queue.futures)


async def test_a_request_that_is_given_up_drops_its_work(backend: Backend, queue: Queue) -> None:
    queue.waits = True
    task = asyncio.create_task(backend.chat(chat(n=2, max_tokens=2)))
    await queue.holds(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(future.cancelled() for future in queue.futures)


async def test_a_failure_of_the_engine_is_told_without_its_words(backend: Backend, queue: Queue) -> None:
    queue.waits = True
    task = asyncio.create_task(backend.chat(chat(max_tokens=2)))
    await queue.holds(1)
    queue.futures[0].set_exception(ValueError("the secret text"))
    with pytest.raises(EngineFailed) as failed:
        await task
    assert "secret" not in str(failed.value)


async def chunks_of(stream: Stream) -> list[dict[str, Any]]:
    async with stream.held:
        return [chunk async for chunk in stream.chunks]


async def test_a_streamed_chat_is_the_same_answer_in_parts(backend: Backend) -> None:
    asked = {"n": 2, "max_tokens": 6, "seed": 1, "logprobs": True, "top_logprobs": 1, "stop": ["zz"]}
    whole = await backend.chat(chat(**asked))
    chunks = await chunks_of(await backend.stream_chat(chat(**asked, stream=True)))
    for index, choice in enumerate(whole["choices"]):
        own = [part for chunk in chunks for part in chunk["choices"] if part["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(part["delta"].get("content", "") for part in own) == choice["message"]["content"]
        told = [entry for part in own if part["logprobs"] for entry in part["logprobs"]["content"]]
        assert told == choice["logprobs"]["content"]
        assert [part["finish_reason"] for part in own if part["finish_reason"]] == [choice["finish_reason"]]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)


FRUIT = {
    "type": "object",
    "properties": {"fruit": {"enum": ["fig", "plum"]}},
    "required": ["fruit"],
    "additionalProperties": False,
}
HELD = {"type": "json_schema", "json_schema": {"name": "fruit", "schema": FRUIT, "strict": True}}


async def test_an_answer_is_held_to_the_schema_of_its_request(backend: Backend) -> None:
    request = chat(response_format=HELD, max_tokens=20, n=3, seed=1)
    answer = await backend.chat(request)
    for choice in answer["choices"]:
        assert json.loads(choice["message"]["content"])["fruit"] in ("fig", "plum")
        assert choice["finish_reason"] == "stop"
    chunks = await chunks_of(await backend.stream_chat(request))
    for index, choice in enumerate(answer["choices"]):
        parts = [one for chunk in chunks for one in chunk["choices"] if one["index"] == index]
        assert "".join(part["delta"].get("content", "") for part in parts) == choice["message"]["content"]


async def test_an_answer_may_be_asked_to_be_some_json_object(backend: Backend) -> None:
    answer = await backend.chat(chat(response_format={"type": "json_object"}, max_tokens=1))
    assert answer["choices"][0]["message"]["content"] == "{"


async def test_a_schema_that_no_answer_can_be_held_to_is_refused_with_its_reason(backend: Backend) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "set", "schema": {"type": "array", "uniqueItems": True}}}
    with pytest.raises(BadRequest, match="uniqueItems") as refused:
        await backend.chat(chat(response_format=wanted))
    assert refused.value.param == "response_format"


async def test_a_streamed_completion_is_the_same_answer_in_parts(backend: Backend) -> None:
    asked = {"max_tokens": 6, "seed": 3, "logprobs": 2}
    whole = await backend.complete(completion(["ab", "cd"], **asked))
    request = completion(["ab", "cd"], **asked, stream=True, stream_options={"include_usage": True})
    chunks = await chunks_of(await backend.stream_complete(request))
    for index, choice in enumerate(whole["choices"]):
        own = [part for chunk in chunks for part in chunk["choices"] if part["index"] == index]
        assert "".join(part["text"] for part in own) == choice["text"]
        for field in ("tokens", "token_logprobs", "text_offset"):
            assert [value for part in own if part["logprobs"] for value in part["logprobs"][field]] == choice[
                "logprobs"
            ][field]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


async def test_a_stream_that_cannot_begin_is_refused_before_its_first_chunk(backend: Backend, queue: Queue) -> None:
    with pytest.raises(BadRequest):
        await backend.stream_chat(chat(max_tokens=50, stream=True))
    with pytest.raises(UnknownModel):
        await backend.stream_complete(completion(model="other", stream=True))
    queue.room = 1
    with pytest.raises(Overloaded):
        await backend.stream_chat(chat(n=3, stream=True))
    assert all(future.cancelled() or future.done() for future in queue.futures)


async def test_a_stream_that_is_let_go_of_drops_its_work_and_its_adapter(backend: Backend, queue: Queue) -> None:
    queue.waits = True
    stream = await backend.stream_chat(chat(model=f"m:p/{DIGEST}", n=3, stream=True))
    assert not any(future.cancelled() for future in queue.futures)
    await stream.held.aclose()
    assert all(future.cancelled() for future in queue.futures)


@pytest.mark.parametrize("model", ["p/champion", "m:p/champion"])
async def test_an_alias_is_answered_by_what_it_names_now_and_the_answer_says_which_adapter_that_was(
    backend: Backend, queue: Queue, aliases: Aliases, model: str
) -> None:
    assert (await backend.chat(chat(model=model)))["model"] == f"m:p/{DIGEST}"
    aliases.named["p/champion"] = "1" * 64
    assert (await backend.complete(completion(model=model)))["model"] == f"m:p/{'1' * 64}"
    chunks = await chunks_of(await backend.stream_chat(chat(model=model, stream=True)))
    assert {chunk["model"] for chunk in chunks} == {f"m:p/{'1' * 64}"}
    assert [adapter for _, adapter in queue.keys] == [f"p/{DIGEST}", f"p/{'1' * 64}", f"p/{'1' * 64}"]


@pytest.mark.parametrize("model", ["champion", "other:p/champion", "m:P/champion", "m:p/Champion", "m:p", "m:", "e"])
async def test_what_is_neither_a_model_nor_a_name_of_an_adapter_is_not_found(backend: Backend, model: str) -> None:
    with pytest.raises(UnknownModel, match="PROJECT/ALIAS"):
        await backend.chat(chat(model=model))
