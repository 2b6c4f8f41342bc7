"""How near two texts are, and an index that finds the nearest text kept so far.

Texts are compared by their words and pairs of neighbouring words: Jaccard similarity of the two sets. Runs of three
words, which documents are compared by, say nothing of short texts: one word changed in the middle of a message of
five leaves none of its three runs. Over the seeds, validation and stand-in messages of the support example and variants
of them, at 0.7: one word changed in a message of 9 to 16 words is found in 19 of 20, a greeting or a "please" more in
nearly all, and no two messages that were written apart come above 0.2.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

from cultivar_texts import NearDuplicates, words
from cultivar_texts.near_duplicates import Neighbour

CHUNK = 256
"""How many kept texts go into the sketches at once. Until then each is compared exactly."""


def grams(text: str) -> set[str]:
    """Returns the words of a text's normal form and its pairs of neighbours; of a text without words, the text."""
    tokens = words(text)
    return {*tokens, *(f"{first} {second}" for first, second in pairwise(tokens))} or {" ".join(text.split())}


def spelled(parts: Iterable[str]) -> str:
    """Returns a text whose words are the given strings, one for one, so that an index over words holds them.

    Each is written in hexadecimal digits, in which no word ends before it should.
    """
    return " ".join(f"x{part.encode('utf-8', 'surrogatepass').hex()}" for part in sorted(parts))


class Nearest:
    """Finds the nearest of the texts it holds.

    What it finds depends on the texts and their order alone: they go into the sketches in chunks of a fixed size, and
    `begin` is to be called at the same texts whenever a run goes on.
    """

    def __init__(self, threshold: float, texts: Iterable[tuple[str, str]] = ()) -> None:
        self._threshold = threshold
        self._sketched = NearDuplicates(threshold, width=1)
        self._sketched.add_many((id, spelled(grams(text))) for id, text in texts)
        self._recent: list[tuple[str, set[str]]] = []
        self._places: dict[str, list[int]] = {}
        self._found: dict[str, Neighbour | None] = {}

    def begin(self, texts: Sequence[str]) -> None:
        """Looks up texts that will be asked for, all at once."""
        while len(self._recent) >= CHUNK:
            chunk, self._recent = self._recent[:CHUNK], self._recent[CHUNK:]
            self._sketched.add_many((id, spelled(parts)) for id, parts in chunk)
            self._places = {}
            for place, (_, parts) in enumerate(self._recent):
                self._index(place, parts)
        found = self._sketched.query_many([spelled(grams(text)) for text in texts])
        self._found = dict(zip(texts, found, strict=True))

    def find(self, text: str) -> Neighbour | None:
        """Returns the nearest text at or above the threshold; of equally near ones, that with the smallest id."""
        near = [neighbour for neighbour in (self._found[text], self._nearest_recent(text)) if neighbour is not None]
        return min(near, key=lambda neighbour: (-neighbour.similarity, neighbour.id), default=None)

    def add(self, id: str, text: str) -> None:
        """Holds a text."""
        parts = grams(text)
        self._index(len(self._recent), parts)
        self._recent.append((id, parts))

    def _index(self, place: int, parts: set[str]) -> None:
        for part in parts:
            self._places.setdefault(part, []).append(place)

    def _nearest_recent(self, text: str) -> Neighbour | None:
        parts = grams(text)
        shared = Counter(chain.from_iterable(self._places.get(part, ()) for part in parts))
        best: Neighbour | None = None
        for place, count in shared.items():
            id, others = self._recent[place]
            similarity = count / (len(parts) + len(others) - count)
            if similarity >= self._threshold and (best is None or (-similarity, id) < (-best.similarity, best.id)):
                best = Neighbour(id, similarity)
        return best
