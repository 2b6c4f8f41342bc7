"""A few calls of a run that is not made yet, so that a person sees prompts and answers before any are paid for."""

import asyncio

from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_service.artifacts import read_examples
from cultivar_service.database import Database
from cultivar_service.parts import Models

from cultivar_generation import store as tables
from cultivar_generation.asking import opened
from cultivar_generation.plan import Calls, RunSpec
from cultivar_generation.runner import usable
from cultivar_generation.teaching import Outcome, Teaching

MOST_CALLS = 8


class Previewer:
    """Makes the first calls of a run and stores nothing."""

    def __init__(self, database: Database, store: ArtifactStore, models: Models) -> None:
        self._database = database
        self._store = store
        self._models = models

    async def preview(self, project: str, spec: RunSpec) -> list[Outcome]:
        """Returns the outcomes of the first calls of each strategy, 8 at most, with their answers as they came."""
        share = max(1, MOST_CALLS // len(spec.uses))
        uses = tuple(use.model_copy(update={"count": min(use.count, share)}) for use in spec.uses[:MOST_CALLS])
        spec = spec.model_copy(update={"uses": uses})
        async with self._database.begin() as connection:
            teachers = {name: (await tables.get_teacher(connection, project, name))[0] for name in spec.weights}
            prompts = [await tables.get_prompt(connection, project, use.prompt) for use in spec.uses]
        manifest = await load_manifest(self._store, project, spec.seeds)
        seeds = [seed async for seed in read_examples(self._store, manifest)]
        calls = Calls(spec, usable(seeds, spec), prompts)
        async with opened(teachers, self._models, retries=2, times=1) as asked:
            teaching = Teaching("preview", spec, asked, calls)
            return await asyncio.gather(*(teaching.outcome(call) for call in calls.range(0, len(calls))))
