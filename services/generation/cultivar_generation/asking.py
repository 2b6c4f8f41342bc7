"""The teachers of one run: each with its own client, so with its own limit, pauses and prices."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cultivar_models import Answer, ModelClient, ModelRejected, ModelUnavailable, Recorder, TokenUsage
from cultivar_service.parts import Models

from cultivar_generation.metering import meter
from cultivar_generation.plan import Call, sampling_of
from cultivar_generation.teacher import TIMES, TeacherSpec


@dataclass
class Asked:
    """A teacher that a run asks; while `takes_schemas`, until it refuses one, for answers in the JSON of a schema."""

    spec: TeacherSpec
    client: ModelClient
    takes_schemas: bool = False

    async def ask(self, call: Call) -> tuple[Answer, bool]:
        """Returns the answer to a call, and whether it came only after a JSON schema was refused."""
        sampling = sampling_of(call, self.spec.temperature, self.spec.top_p, self.spec.max_tokens)
        if call.prompt.form != "chat":
            return await self.client.complete(call.text, sampling, call=call.id), False
        messages, spent = [{"role": "user", "content": call.text}], TokenUsage()
        if self.takes_schemas and call.plan.schema:
            # Asked when the request goes out: calls that wait in line when the first is refused go without.
            schema = partial(self._schema_of, call)
            try:
                return await self.client.chat(messages, sampling, call=call.id, schema=schema), False
            except ModelRejected as error:
                if not error.of_schema:
                    raise
                self.takes_schemas, spent = False, error.usage
        answer = await self.client.chat(messages, sampling, call=call.id)
        return replace(answer, usage=answer.usage + spent), spent.calls > 0

    def _schema_of(self, call: Call) -> Mapping[str, Any] | None:
        return call.plan.schema if self.takes_schemas else None


@asynccontextmanager
async def opened(
    teachers: Mapping[str, TeacherSpec],
    models: Models,
    recorder: Recorder | None = None,
    guard: Callable[[], None] | None = None,
    *,
    retries: int = 8,
    times: int = TIMES,
) -> AsyncIterator[dict[str, Asked]]:
    """Opens a client of each teacher, by name; what it takes is that of `TeacherSpec.client`."""
    async with AsyncExitStack() as stack:
        asked = {}
        for name, spec in teachers.items():
            client = await spec.client(models, recorder, guard, retries=retries, times=times)
            meter(client, name)
            asked[name] = Asked(spec, await stack.enter_async_context(client), spec.takes_schemas)
        yield asked


async def wait_for_one(teachers: Mapping[str, Asked], seconds: float) -> None:
    """Waits until teachers are ready; raises ModelUnavailable where none is, and ModelRejected where one refuses us.

    One that answered when it was registered need not list its model: not every server does.
    """
    waiting = (
        each.client.wait_ready(seconds, listed=each.spec.probe.state not in ("fine", "poor"))
        for each in teachers.values()
    )
    errors = [error for error in await asyncio.gather(*waiting, return_exceptions=True) if error is not None]
    for error in errors:
        if not isinstance(error, ModelUnavailable) or len(errors) == len(teachers):
            raise error
