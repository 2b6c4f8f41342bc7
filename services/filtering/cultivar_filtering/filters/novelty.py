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
from pydantic import Field

from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, keep, reject, wording

SLACK = 1e-9
"""What rounding may add to a bound, so that none is cut that lies on it."""


class NoveltyConfig(FilterConfig):
    """How like two texts may be."""

    threshold: float = Field(
        0.7, gt=0, le=1, description="ROUGE-L with a text of the pool from which a text is not new, 0 to 1."
    )


class Novelty:
    """Rejects what is not new."""

    description = "Rejects texts that are like a seed or an example kept before, by ROUGE-L, as Self-Instruct does."
    reasons: ClassVar[Mapping[str, str]] = {
        "like_seed": "the likest text of the pool is a seed's; the score is their ROUGE-L",
        "like_earlier": "the likest text of the pool is that of an example kept before; the score is their ROUGE-L",
    }
    Config = NoveltyConfig

    def judge(self, config: NoveltyConfig, given: Given) -> Judge:
        """Returns a judge whose pool begins with the seeds."""
        return Newcomers(config, given.seeds)


class Newcomers:
    """Holds the pool: the texts of seeds and kept examples."""

    def __init__(self, config: NoveltyConfig, seeds: Iterable[Example]) -> None:
        self._pool = Pool(config.threshold)
        self._seeds: set[str] = set()
        for seed in seeds:
            self._seeds.add(seed.id)
            self.remember(seed)

    def begin(self, block: Sequence[Example]) -> None:
        """Does nothing."""

    def judge(self, example: Example) -> Opinion:
        """Finds the likest text; a seed among the examples is new beside itself."""
        found = None if example.id in self._seeds else self._pool.likest(words(wording(example)))
        if found is None:
            return keep()
        likeness, id = found
        return reject("like_seed" if id in self._seeds else "like_earlier", likeness)

    def remember(self, example: Example) -> None:
        """Adds the text of an example to the pool."""
        self._pool.add(example.id, words(wording(example)))


class Pool:
    """Texts by their words, in which the likest of a text is found."""

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

    def likest(self, tokens: list[str]) -> tuple[float, str] | None:
        """Returns the greatest ROUGE-L at or above the threshold, with its text's id; of equals the smallest id."""
        best: tuple[float, str] | None = None
        for place in self._near(tokens):
            id, other = self._texts[place]
            likeness = 2 * longest_common_subsequence(tokens, other) / (len(tokens) + len(other))
            if likeness >= self._threshold - SLACK and (best is None or (-likeness, id) < (-best[0], best[1])):
                best = likeness, id
        return best

    def _near(self, tokens: Sequence[str]) -> list[int]:
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
