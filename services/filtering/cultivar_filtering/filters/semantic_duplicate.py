"""semantic_duplicate: texts that say in other words what a seed or an example kept before says.

Texts are compared by the cosine similarity of their embeddings, as SemDeDup does (Abbas et al., 2023, arXiv
2303.09540), but with every text of the pool and in order. The default threshold was measured with all-minilm-l6-v2 on
the seeds, validation and stand-in messages of the support example: of 60 paraphrases that were written for them, 0.8
finds 40 (0.75 finds 48, 0.85 finds 23; near_duplicate and novelty find none), and of the 28,680 pairs of messages that
were written apart the nearest comes to 0.69. An embedding tells little of a number, a name or a "not": of 10 messages
in which such a word alone was changed, 0.8 takes 3 for the same. Another model has another threshold.

Vectors of a run that goes on are asked for again. Where a server rounds by what else is in a request, a text whose
similarity lies within that rounding of the threshold (1e-6 for MiniLM) may then be judged otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from cultivar_records import Example
from cultivar_texts.near_duplicates import Neighbour
from pydantic import Field

from cultivar_filtering.filters.protocol import Given, Judge, Opinion, keep, reject, wording
from cultivar_filtering.filters.rests import CopyConfig, Rests
from cultivar_filtering.filters.vectors import Matrix, Pool, Vectors, distance


class SemanticDuplicateConfig(CopyConfig):
    """How near two texts may be in meaning."""

    threshold: float = Field(
        0.8, gt=0, le=1, description="Cosine similarity of embeddings from which two texts say the same, 0 to 1."
    )
    model: str = Field(
        "all-minilm-l6-v2", min_length=1, description="The embedding model, one that the teachers application serves."
    )

    @property
    def embeds(self) -> str:
        """The model."""
        return self.model


class SemanticDuplicate:
    """Rejects semantic duplicates."""

    description = (
        "Rejects texts that say in other words what a seed or an example kept before says, by their embeddings "
        "(SemDeDup); needs a server of the embedding model."
    )
    reasons: ClassVar[Mapping[str, str]] = {
        "of_seed": "the nearest text is a seed's; the score is their similarity",
        "of_earlier": "the nearest text is that of an example kept before; the score is their similarity",
    }
    Config = SemanticDuplicateConfig

    def judge(self, config: SemanticDuplicateConfig, given: Given) -> Judge:
        """Returns a judge that holds the vectors of the seeds."""
        return Meanings(config, given.seeds, given.vectors)


class NotEmbedded(Exception):
    """Says that the model gave no vector for a text."""


class Meanings:
    """Holds the vectors of seeds and kept examples, and what they say beside their inputs."""

    def __init__(self, config: SemanticDuplicateConfig, seeds: Sequence[Example], vectors: Vectors) -> None:
        self._model = config.model
        self._vectors = vectors
        self._pool = Pool(config.threshold)
        self._rests = Rests(config)
        self._begun = 0
        self._found: dict[str, tuple[Matrix, list[Neighbour]]] = {}
        self._seeds = {seed.id for seed in seeds}
        for seed in seeds:
            self.remember(seed)

    def begin(self, block: Sequence[Example]) -> None:
        """Looks up a block at once."""
        found = self._vectors.of(self._model, map(wording, block))
        near = self._pool.near(np.stack(list(found.values()))) if found else []
        self._begun = len(self._pool)
        self._found = {text: (found[text], one) for text, one in zip(found, near, strict=True)}

    def judge(self, example: Example) -> Opinion:
        """Finds the nearest text that it repeats as a whole.

        A seed among the examples is not near itself, and an empty text is near none.
        """
        text = wording(example)
        if example.id in self._seeds or not text.strip():
            return keep()
        if text not in self._found:
            raise NotEmbedded(f"{self._model} gave no vector: the text may be longer than it reads")
        vector, before = self._found[text]
        (since,) = self._pool.near(vector[np.newaxis], self._begun)
        near = self._rests.first(example, sorted([*before, *since], key=distance))
        if near is None:
            return keep()
        return reject("of_seed" if near.id in self._seeds else "of_earlier", near.similarity)

    def remember(self, example: Example) -> None:
        """Holds a kept example."""
        self._rests.hold(example)
        for vector in self._vectors.of(self._model, [wording(example)]).values():
            self._pool.add(example.id, vector)
