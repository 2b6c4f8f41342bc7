"""The vectors that a run's filters need, fetched from the teachers application for the worker process."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import numpy as np
from cultivar_models import ModelAnswerInvalid, ModelClient, ModelRejected, TokenUsage
from cultivar_service.parts import Models

from cultivar_filtering.filters.vectors import Embedded, Matrix

CONCURRENCY = 8
READY_SECONDS = 10.0
PIECE = 64
"""Texts that are refused or embedded together, as many as go into one request."""
OF_TEXT = (400, 413, 422)
"""The statuses by which a server refuses a text, and not who asks or for which model."""
Row = tuple[str, list[float]]


class Embedding:
    """Asks the models of a run for vectors; with no models it asks nobody. An async context manager.

    Its calls raise ModelUnavailable, ModelRejected and ModelAnswerInvalid, some in a group.
    """

    def __init__(self, models: Models, names: Sequence[str]) -> None:
        self.models = names
        self._served = models
        self._clients: dict[str, ModelClient] = {}
        self._widths: dict[str, int] = {}
        self._refusals: dict[str, ModelRejected] = {}
        self._told = TokenUsage()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for name in self.models:
                client = ModelClient(await self._served.endpoint(name), concurrency=CONCURRENCY)
                self._clients[name] = await stack.enter_async_context(client)
                await client.wait_ready(READY_SECONDS)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def spent(self) -> dict[str, int]:
        """Returns what the calls cost since it was asked last."""
        usage = sum((client.usage for client in self._clients.values()), TokenUsage())
        since, self._told = usage - self._told, usage
        return since.counts() if self.models else {}

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Returns the unit vectors of texts; raises ModelRejected where the model refuses one."""
        return {
            name: self._matrix(name, list(zip(texts, await client.embed(texts), strict=True)))
            for name, client in self._clients.items()
        }

    async def embed_each(self, texts: Sequence[str]) -> Embedded:
        """Returns the unit vectors of those texts that a model takes; raises ModelRejected where it never took any."""
        found = {}
        for name, client in self._clients.items():
            async with asyncio.TaskGroup() as group:
                pieces = [
                    group.create_task(self._piece(name, client, texts[at : at + PIECE]))
                    for at in range(0, len(texts), PIECE)
                ]
            rows = [row for piece in pieces for row in piece.result()]
            if not rows and name not in self._widths and name in self._refusals:
                raise self._refusals[name]
            found[name] = self._matrix(name, rows)
        return found

    async def _piece(self, name: str, client: ModelClient, texts: Sequence[str]) -> list[Row]:
        """Embeds texts together; where the model refuses them, each half of them alone."""
        try:
            return list(zip(texts, await client.embed(texts), strict=True))
        except ModelRejected as error:
            if error.status not in OF_TEXT:
                raise
            self._refusals[name] = error
        if len(texts) == 1:
            return []
        middle = len(texts) // 2
        return [row for half in (texts[:middle], texts[middle:]) for row in await self._piece(name, client, half)]

    def _matrix(self, name: str, rows: Sequence[Row]) -> tuple[list[str], Matrix]:
        """Returns texts and unit vectors; raises ModelAnswerInvalid for vectors of another width than those before."""
        if not rows:
            return [], np.empty((0, 0), np.float32)
        widths = {len(vector) for _, vector in rows}
        width = self._widths.setdefault(name, min(widths))
        if widths != {width}:
            raise ModelAnswerInvalid(
                f"{self._clients[name].endpoint.url} gives vectors of {width} and of {max(widths - {width})} numbers "
                f"for {name}: serve one model under that name"
            )
        vectors = np.asarray([vector for _, vector in rows], np.float64)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return [text for text, _ in rows], (vectors / np.where(norms == 0, 1.0, norms)).astype(np.float32)
