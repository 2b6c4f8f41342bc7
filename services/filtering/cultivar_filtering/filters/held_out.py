"""held_out: texts near an example that is kept for scoring; one that came into training would make the score a lie.

Near is meant wider than in near_duplicate: a lower similarity, and a text that holds a held-out text, or is a piece of
one, counts too. It rather rejects one too many.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from cultivar_records import Example
from cultivar_texts import ngrams, normal_form, words
from pydantic import Field

from cultivar_filtering.filters.nearness import Nearest
from cultivar_filtering.filters.protocol import FilterConfig, Given, Judge, Opinion, keep, reject, wording

WIDTH = 3


class HeldOutConfig(FilterConfig):
    """How near a text may come to a held-out one."""

    threshold: float = Field(
        0.6, gt=0, le=1, description="Jaccard similarity of words and word pairs from which two texts are near, 0 to 1."
    )
    max_containment: float = Field(
        0.8, gt=0, le=1, description="Share of one text's runs of three words that the other may hold."
    )
    least_words: int = Field(4, ge=WIDTH, description="Words that the contained text must have; fewer are in any text.")


class HeldOut:
    """Rejects what would leak."""

    description = "Rejects texts that are near a held-out example, hold one, or are a piece of one."
    reasons: ClassVar[Mapping[str, str]] = {
        "same_text": "a held-out example has the same text, but for case, punctuation and spacing",
        "near": "the text is near that of a held-out example; the score is their similarity",
        "contains": "the text holds that of a held-out example; the score is how much of it",
        "contained": "the text is a piece of that of a held-out example; the score is how much of the text",
    }
    Config = HeldOutConfig

    def judge(self, config: HeldOutConfig, given: Given) -> Judge:
        """Returns a judge that holds the held-out examples."""
        return Guard(config, given.held_out)


class Guard:
    """Holds the texts of the held-out examples."""

    def __init__(self, config: HeldOutConfig, held_out: Sequence[Example]) -> None:
        self._config = config
        texts = sorted({wording(example) for example in held_out})
        self._forms = {normal_form(text) for text in texts}
        self._nearest = Nearest(config.threshold, ((f"{place:09d}", text) for place, text in enumerate(texts)))
        self._sizes: list[int] = []
        self._places: dict[tuple[str, ...], list[int]] = {}
        for place, text in enumerate(texts):
            runs = set(ngrams(words(text), WIDTH))
            self._sizes.append(len(runs))
            for run in runs:
                self._places.setdefault(run, []).append(place)

    def begin(self, block: Sequence[Example]) -> None:
        """Looks up a block at once."""
        self._nearest.begin([wording(example) for example in block])

    def judge(self, example: Example) -> Opinion:
        """Finds the nearest held-out text, then one that holds this text or that it holds."""
        text = wording(example)
        if normal_form(text) in self._forms:
            return reject("same_text", 1.0)
        near = self._nearest.find(text)
        if near is not None:
            return reject("near", near.similarity)
        return self._containment(text)

    def remember(self, example: Example) -> None:
        """Does nothing."""

    def _containment(self, text: str) -> Opinion:
        runs = set(ngrams(words(text), WIDTH))
        shared = Counter(place for run in runs for place in self._places.get(run, ()))
        least = self._config.least_words - WIDTH + 1
        held = max(
            (count / self._sizes[place] for place, count in shared.items() if self._sizes[place] >= least), default=0.0
        )
        if held >= self._config.max_containment:
            return reject("contains", held)
        piece = max(shared.values(), default=0) / len(runs) if len(runs) >= least else 0.0
        return reject("contained", piece) if piece >= self._config.max_containment else keep(max(held, piece))
