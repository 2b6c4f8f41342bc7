"""near_duplicate: examples that differ little, as a whole, from a seed or from one kept before."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cultivar_records import Example
from pydantic import Field

from cultivar_filtering.filters.nearness import Nearest
from cultivar_filtering.filters.protocol import Given, Judge, Opinion, keep, reject, wording
from cultivar_filtering.filters.rests import CopyConfig, Rests


class NearDuplicateConfig(CopyConfig):
    """How near two texts may be."""

    threshold: float = Field(
        0.7, gt=0, le=1, description="Jaccard similarity of words and word pairs from which two texts are near, 0 to 1."
    )


class NearDuplicate:
    """Rejects near-duplicates."""

    description = (
        "Rejects examples that differ in a word or two of their input, and in no label or answer, from a seed or an "
        "example kept before (MinHash, then exact)."
    )
    reasons: ClassVar[Mapping[str, str]] = {
        "of_seed": "the nearest text is a seed's; the score is their similarity",
        "of_earlier": "the nearest text is that of an example kept before; the score is their similarity",
    }
    Config = NearDuplicateConfig

    def judge(self, config: NearDuplicateConfig, given: Given) -> Judge:
        """Returns a judge that holds the seeds."""
        return Neighbours(config, given.seeds)


class Neighbours:
    """Holds the texts of seeds and kept examples, and what they say beside them."""

    def __init__(self, config: NearDuplicateConfig, seeds: Sequence[Example]) -> None:
        self._seeds = {seed.id for seed in seeds}
        self._nearest = Nearest(config.threshold, ((seed.id, wording(seed)) for seed in seeds))
        self._rests = Rests(config)
        for seed in seeds:
            self._rests.hold(seed)

    def begin(self, block: Sequence[Example]) -> None:
        """Looks up a block at once."""
        self._nearest.begin([wording(example) for example in block])

    def judge(self, example: Example) -> Opinion:
        """Finds the nearest text that it repeats as a whole; a seed among the examples is not near itself."""
        near = self._rests.first(example, self._nearest.near(wording(example)))
        if near is None or example.id in self._seeds:
            return keep()
        return reject("of_seed" if near.id in self._seeds else "of_earlier", near.similarity)

    def remember(self, example: Example) -> None:
        """Holds a kept example."""
        self._nearest.add(example.id, wording(example))
        self._rests.hold(example)
