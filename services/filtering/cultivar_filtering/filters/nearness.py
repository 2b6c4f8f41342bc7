"""How near two texts are, and an index that finds the nearest text kept so far.

Texts are compared by their words and pairs of neighbouring words: Jaccard similarity of the two sets. Runs of three
words, which documents are compared by, say nothing of short texts: one word changed in the middle of a message of
five leaves none of its three runs. Over the seeds, validation and stand-in messages of the support example and variants
of them, at 0.7: one word changed in a message of 9 to 16 words is found in 19 of 20, a greeting or a "please" more in
nearly all, and no two messages that were written apart come above 0.2.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
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
    """Finds the texts it holds that are near another; texts of the same grams are held once, with all their ids.

    What it finds depends on the texts and their order alone: they go into the sketches in chunks of a fixed size, and
    `begin` is to be called at the same texts whenever a run goes on.
    """

    def __init__(self, threshold: float, texts: Iterable[tuple[str, str]] = ()) -> None:
        self._threshold = threshold
        self._sketched = NearDuplicates(threshold, width=1)
        self._ids: dict[str, list[str]] = {}
        self._sketch((id, grams(text)) for id, text in texts)
        self._recent: list[tuple[str, set[str]]] = []
        self._places: dict[str, list[int]] = {}
        self._found: dict[str, list[Neighbour]] = {}

    def begin(self, texts: Sequence[str]) -> None:
        """Looks up texts that will be asked for, all at once."""
        while len(self._recent) >= CHUNK:
            chunk, self._recent = self._recent[:CHUNK], self._recent[CHUNK:]
            self._sketch(chunk)
            self._places = {}
            for place, (_, parts) in enumerate(self._recent):
                self._index(place, parts)
        found = self._sketched.near_many([spelled(grams(text)) for text in texts])
        self._found = dict(zip(texts, found, strict=True))

    def find(self, text: str) -> Neighbour | None:
        """Returns the nearest text at or above the threshold; of equally near ones, that with the smallest id."""
        return next(iter(self.near(text)), None)

    def near(self, text: str) -> list[Neighbour]:
        """Returns all texts at or above the threshold, the nearest first, of equally near ones the smallest id."""
        sketched = (
            Neighbour(id, neighbour.similarity) for neighbour in self._found[text] for id in self._ids[neighbour.id]
        )
        near = [*sketched, *self._near_recent(text)]
        return sorted(near, key=lambda neighbour: (-neighbour.similarity, neighbour.id))

    def add(self, id: str, text: str) -> None:
        """Holds a text."""
        parts = grams(text)
        self._index(len(self._recent), parts)
        self._recent.append((id, parts))

    def _sketch(self, texts: Iterable[tuple[str, set[str]]]) -> None:
        fresh = []
        for id, parts in texts:
            form = spelled(parts)
            name = blake2b(form.encode(), digest_size=16).hexdigest()
            if name not in self._ids:
                fresh.append((name, form))
            self._ids.setdefault(name, []).append(id)
        self._sketched.add_many(fresh)

    def _index(self, place: int, parts: set[str]) -> None:
        for part in parts:
            self._places.setdefault(part, []).append(place)

    def _near_recent(self, text: str) -> Iterable[Neighbour]:
        parts = grams(text)
        shared = Counter(chain.from_iterable(self._places.get(part, ()) for part in parts))
        for place, count in shared.items():
            id, others = self._recent[place]
            similarity = count / (len(parts) + len(others) - count)
            if similarity >= self._threshold:
                yield Neighbour(id, similarity)
