"""A few calls of a run that is not made yet, so that a person sees prompts and answers before the run is paid for."""

import asyncio
from itertools import islice

from cultivar_artifacts import ArtifactStore, load_manifest
from cultivar_service.artifacts import read_examples
from cultivar_service.database import Database
from cultivar_service.errors import InvalidArgument
from cultivar_service.parts import Models

from cultivar_generation import store as tables
from cultivar_generation.asking import opened
from cultivar_generation.plan import Calls, RunSpec
from cultivar_generation.quotas import check_seeds
from cultivar_generation.runner import usable
from cultivar_generation.strategies import Pool
from cultivar_generation.teaching import Outcome, Teaching

MOST_CALLS = 8


class Previewer:
    """Makes the first calls of a run and stores nothing."""

    def __init__(self, database: Database, store: ArtifactStore, models: Models) -> None:
        self._database = database
        self._store = store
        self._models = models

    async def preview(self, project: str, spec: RunSpec, most: int) -> tuple[list[Outcome], int]:
        """Returns the outcomes of the first calls of each strategy, with their answers as they came.

        Beside them how many calls the whole run would make. most: the most calls, 1 to 8; 0 for 8.
        """
        if not 0 <= most <= MOST_CALLS:
            raise InvalidArgument(f"calls must be 1 to {MOST_CALLS}, or 0 for {MOST_CALLS}, got {most}", field="calls")
        most = most or MOST_CALLS
        async with self._database.begin() as connection:
            teachers = {name: (await tables.get_teacher(connection, project, name))[0] for name in spec.weights}
            prompts = [await tables.get_prompt(connection, project, use.prompt) for use in spec.uses]
        calls = Calls(spec, usable(await self._seeds(project, spec), spec), prompts)
        first = islice(calls.first(max(1, most // len(spec.uses))), most)
        async with opened(teachers, self._models, retries=2, times=1) as asked:
            teaching = Teaching("preview", spec, asked, calls)
            return await asyncio.gather(*(teaching.outcome(call) for call in first)), len(calls)

    async def check(self, project: str, spec: RunSpec) -> None:
        """Raises InvalidArgument, with its field, for a quota that no seed can meet; reads the seeds only for that."""
        if any(use.config.quotas for use in spec.uses):
            seeds = await self._seeds(project, spec)
            for place, use in enumerate(spec.uses):
                check_seeds(use.config, seeds, f"spec.strategies[{place}].params")

    async def _seeds(self, project: str, spec: RunSpec) -> Pool:
        manifest = await load_manifest(self._store, project, spec.seeds)
        return Pool([seed async for seed in read_examples(self._store, manifest)])
