"""Held-out examples, and what would leak from them into a training set."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from cultivar_artifacts import ArtifactStore
from cultivar_records import Example
from cultivar_texts import NearDuplicates

from cultivar_datasets.rows import NEAR
from cultivar_datasets.sources import shards_of


@dataclass
class HeldOut:
    """The texts and families of held-out examples."""

    near: NearDuplicates = field(default_factory=lambda: NearDuplicates(NEAR))
    families: set[str] = field(default_factory=set)

    @classmethod
    async def read(cls, store: ArtifactStore, project: str, digests: Sequence[str]) -> "HeldOut":
        """Reads the held-out examples of some artifacts."""
        held_out = cls()
        for digest in digests:
            async for examples in shards_of(store, project, digest):
                await asyncio.to_thread(held_out.add, examples)
        return held_out

    def add(self, examples: Sequence[Example]) -> None:
        """Adds held-out examples."""
        self.near.add_many((example.id, example.text) for example in examples)
        self.families.update(example.provenance.family for example in examples)

    def without_leaks(self, examples: Sequence[Example]) -> list[Example]:
        """Returns those that are of no held-out family and near no held-out text."""
        if not self.families:
            return list(examples)
        near = self.near.query_many([example.text for example in examples])
        return [
            example
            for example, found in zip(examples, near, strict=True)
            if found is None and example.provenance.family not in self.families
        ]
