"""The teachers of one run: each with its own client, so with its own limit, pauses and prices."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any

from cultivar_models import (
    Answer,
    Lines,
    ModelClient,
    ModelError,
    ModelRejected,
    ModelUnavailable,
    Recorder,
    Sampling,
)
from cultivar_service.holds import Away
from cultivar_service.parts import Models

from cultivar_generation.metering import meter
from cultivar_generation.plan import Call, sampling_of
from cultivar_generation.teacher import TIMES, TeacherSpec

LATELY_SECONDS = 1.0
GO_ON = "Go on with the text below from where it stops, in the same form. Write only what comes next.\n\n"
_NO_SUCH_PATH = (404, 405, 501)
_NOT_UNDERSTOOD = (400, 422)


def refuses_us(error: ModelError) -> bool:
    """Tells whether a server refuses whoever asks, so that every other call would meet the same."""
    return isinstance(error, ModelRejected) and error.of_caller


@dataclass(frozen=True)
class Reply:
    """An answer with the call that it is to, which may have gone out in another form than it was planned in.

    schema_refused: whether it came only after a JSON schema was refused.
    """

    call: Call
    answer: Answer
    schema_refused: bool = False


@dataclass
class Asked:
    """A teacher that a run asks; while `takes_schemas`, until it refuses one, for answers in the JSON of a schema.

    chat_only: whether continuations go out as chats, known from its probe or found out when it serves none.
    questions: a client of its own for finding out whether the server answers, so that they wait for no other call.
    """

    spec: TeacherSpec
    client: ModelClient
    questions: ModelClient
    takes_schemas: bool = False
    chat_only: bool = False
    _answered: float = -LATELY_SECONDS
    _finding_out: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, call: Call) -> Reply:
        """Returns the answer to a call."""
        if call.plan.form == "chat":
            return await self._chat(call)
        if self.chat_only:
            return await self._chat(as_chat(call))
        try:
            return Reply(call, await self._noted(self.client.complete(call.text, self._sampling(call), call=call.id)))
        except ModelRejected as error:
            if error.status not in _NO_SUCH_PATH:
                raise
            reply, self.chat_only = await self._chat(as_chat(call)), True
            return replace(reply, answer=replace(reply.answer, usage=reply.answer.usage + error.usage))

    async def _chat(self, call: Call) -> Reply:
        messages, sampling = [{"role": "user", "content": call.text}], self._sampling(call)
        if not (self.takes_schemas and call.plan.schema):
            return Reply(call, await self._noted(self.client.chat(messages, sampling, call=call.id)))
        # Asked when the request goes out: calls that wait in line when the first is refused go without.
        schema = partial(self._schema_of, call)
        try:
            return Reply(call, await self._noted(self.client.chat(messages, sampling, call=call.id, schema=schema)))
        except ModelRejected as error:
            # Not every server names the schema where it takes none: then the answer without it tells.
            self.takes_schemas = self.takes_schemas and not error.of_schema
            if not error.of_schema and error.status not in _NOT_UNDERSTOOD:
                raise
            answer = await self._noted(self.client.chat(messages, sampling, call=call.id))
            self.takes_schemas = False
            return Reply(call, replace(answer, usage=answer.usage + error.usage), schema_refused=True)

    def _sampling(self, call: Call) -> Sampling:
        return sampling_of(call, self.spec.temperature, self.spec.top_p, self.spec.max_tokens)

    async def check(self, text: str, seed: int, name: str) -> Answer:
        """Returns the answer to a second call, which checks what a first one gave."""
        sampling = Sampling(temperature=0.0, max_tokens=self.spec.max_tokens, seed=seed)
        return await self._noted(self.client.chat([{"role": "user", "content": text}], sampling, call=name))

    async def answers(self, form: str) -> bool:
        """Tells whether the server answers anybody now.

        It does if an answer came within the last second, or comes to the shortest of questions, in the form (`chat` or
        another) of a prompt, within the seconds of one try.
        """
        async with self._finding_out:
            if monotonic() - self._answered < LATELY_SECONDS:
                return True
            sampling, text = Sampling(temperature=0.0, max_tokens=1), "Reply with the one word: ready"
            try:
                if form == "chat" or self.chat_only:
                    await self.questions.chat([{"role": "user", "content": text}], sampling)
                else:
                    await self.questions.complete(text, sampling)
            except ModelError as error:
                return not isinstance(error, ModelUnavailable) and not refuses_us(error)
            self._answered = monotonic()
            return True

    async def _noted(self, asking: Awaitable[Answer]) -> Answer:
        """Waits for an answer and notes when it came; one out of the record says nothing of the server."""
        answer = await asking
        if answer.usage.calls:
            self._answered = monotonic()
        return answer

    def _schema_of(self, call: Call) -> Mapping[str, Any] | None:
        return call.plan.schema if self.takes_schemas else None


def as_chat(call: Call) -> Call:
    """Returns a call whose prompt is a text to go on with as one that asks for that in a chat."""
    return replace(call, text=GO_ON + call.text, plan=replace(call.plan, form="chat"))


@asynccontextmanager
async def opened(
    teachers: Mapping[str, TeacherSpec],
    models: Models,
    recorder: Recorder | None = None,
    guard: Callable[[], None] | None = None,
    *,
    retries: int = 8,
    times: int = TIMES,
    lines: Lines | None = None,
) -> AsyncIterator[dict[str, Asked]]:
    """Opens a client of each teacher, by name; what it takes is that of `TeacherSpec.client`."""
    async with AsyncExitStack() as stack:
        asked = {}
        for name, spec in teachers.items():
            client = await spec.client(models, recorder, guard, retries=retries, times=times, lines=lines)
            meter(client, name)
            await stack.enter_async_context(client)
            questions = await stack.enter_async_context(await spec.client(models, guard=guard, retries=2, times=1))
            asked[name] = Asked(spec, client, questions, spec.takes_schemas, spec.probe.chat_only)
        yield asked


async def wait_for_one(teachers: Mapping[str, Asked], seconds: float) -> None:
    """Waits until teachers are ready; raises Away where none is, or one refuses us.

    One that answered when it was registered need not list its model: not every server does.
    """
    waiting = (
        each.client.wait_ready(seconds, listed=each.spec.probe.state not in ("fine", "poor"))
        for each in teachers.values()
    )
    found = zip(teachers, await asyncio.gather(*waiting, return_exceptions=True), strict=True)
    errors = {name: error for name, error in found if error is not None}
    for name, error in errors.items():
        if not isinstance(error, ModelError):
            raise error
        if not isinstance(error, ModelUnavailable) or len(errors) == len(teachers):
            raise away(name, error) from error


def away(teacher: str, error: ModelError) -> Away:
    """Returns what a run raises that cannot go on before a teacher answers, or no longer refuses it."""
    if refuses_us(error):
        return Away(f"teacher {teacher}: {error}, or register it anew")
    return Away(f"teacher {teacher}: {error}")
