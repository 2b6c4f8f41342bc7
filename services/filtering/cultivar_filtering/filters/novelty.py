"""novelty: texts that are like a seed or an example kept before, by ROUGE-L.

The rule of Self-Instruct (Wang et al., 2023, arXiv 2212.10560, section 2.2): a new instruction joins the pool only if
its ROUGE-L with each text of the pool is below 0.7. It is exact: texts that cannot come so near, by the words that they
share, are passed over before their longest common subsequence is looked for.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from cultivar_records import Example
from cultivar_texts import longest_common_subsequence, words
from cultivar_texts.near_duplicates import Neighbour
from pydantic import Field

from cultivar_filtering.filters.protocol import Given, Judge, Opinion, keep, reject, wording
from cultivar_filtering.filters.rests import CopyConfig, Rests

SLACK = 1e-9
"""What rounding may add to a bound, so that none is cut that lies on it."""


class NoveltyConfig(CopyConfig):
    """How like two texts may be."""

    threshold: float = Field(
        0.7, gt=0, le=1, description="ROUGE-L with a text of the pool from which a text is not new, 0 to 1."
    )


class Novelty:
    """Rejects what is not new."""

    description = (
        "Rejects examples whose input is like that of a seed or an example kept before, by ROUGE-L, as Self-Instruct "
        "does, and whose label and answer repeat its."
    )
    reasons: ClassVar[Mapping[str, str]] = {
        "like_seed": "the likest text of the pool is a seed's; the score is their ROUGE-L",
        "like_earlier": "the likest text of the pool is that of an example kept before; the score is their ROUGE-L",
    }
    Config = NoveltyConfig

    def judge(self, config: NoveltyConfig, given: Given) -> Judge:
        """Returns a judge whose pool begins with the seeds."""
        return Newcomers(config, given.seeds)


class Newcomers:
    """Holds the pool: the texts of seeds and kept examples, and what they say beside them."""

    def __init__(self, config: NoveltyConfig, seeds: Iterable[Example]) -> None:
        self._pool = Pool(config.threshold)
        self._rests = Rests(config)
        self._seeds: set[str] = set()
        for seed in seeds:
            self._seeds.add(seed.id)
            self.remember(seed)

    def begin(self, block: Sequence[Example]) -> None:
        """Does nothing."""

    def judge(self, example: Example) -> Opinion:
        """Finds the likest text that it repeats as a whole; a seed among the examples is new beside itself."""
        if example.id in self._seeds:
            return keep()
        near = self._rests.first(example, self._pool.near(words(wording(example))))
        if near is None:
            return keep()
        return reject("like_seed" if near.id in self._seeds else "like_earlier", near.similarity)

    def remember(self, example: Example) -> None:
        """Adds an example to the pool."""
        self._pool.add(example.id, words(wording(example)))
        self._rests.hold(example)


class Pool:
    """Texts by their words, in which those like a text are found."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._texts: list[tuple[str, list[str]]] = []
        self._lengths = array("i")
        self._places: dict[tuple[str, int], array[int]] = {}

    def add(self, id: str, tokens: list[str]) -> None:
        """Holds a text."""
        for part in numbered(tokens):
            self._places.setdefault(part, array("i")).append(len(self._texts))
        self._texts.append((id, tokens))
        self._lengths.append(len(tokens))

    def near(self, tokens: list[str]) -> list[Neighbour]:
        """Returns the texts whose ROUGE-L is at or above the threshold, the likest first, of equals the smallest id."""
        near = []
        for place in self._sharing(tokens):
            id, other = self._texts[place]
            likeness = 2 * longest_common_subsequence(tokens, other) / (len(tokens) + len(other))
            if likeness >= self._threshold - SLACK:
                near.append(Neighbour(id, likeness))
        return sorted(near, key=lambda neighbour: (-neighbour.similarity, neighbour.id))

    def _sharing(self, tokens: Sequence[str]) -> list[int]:
        """Returns the places of the texts that share so many words that they may come near; the others cannot."""
        held = [self._places[part] for part in numbered(tokens) if part in self._places]
        if not held:
            return []
        shared = np.bincount(np.concatenate([np.frombuffer(each, np.intc) for each in held]), None, len(self._texts))
        least = self._threshold * (len(tokens) + np.frombuffer(self._lengths, np.intc)) / 2
        places: list[int] = np.flatnonzero(shared >= least - SLACK).tolist()
        return places


def numbered(tokens: Sequence[str]) -> list[tuple[str, int]]:
    """Returns words with how often each came before, so that a set of them holds a word as often as the text does."""
    seen: Counter[str] = Counter()
    marked = []
    for token in tokens:
        marked.append((token, seen[token]))
        seen[token] += 1
    return marked
