"""The index of near texts against comparing every pair."""

import random

import pytest
from cultivar_filtering.filters import nearness
from cultivar_filtering.filters.nearness import CHUNK, Nearest, grams, spelled
from cultivar_texts import jaccard, words
from hypothesis import given
from hypothesis import strategies as st

WORDS = ("where is my parcel the courier never came on monday please tell me when it will " + "arrive at home").split()


def texts(number: int, seed: int) -> list[str]:
    """Messages of 2 to 12 words, of which some are near others."""
    chance = random.Random(seed)
    made = [" ".join(chance.choices(WORDS, k=chance.randint(2, 12))) for _ in range(number)]
    for place in range(0, number, 3):
        spoken = made[place].split()
        spoken[chance.randrange(len(spoken))] = chance.choice(WORDS)
        made[chance.randrange(number)] = " ".join(spoken)
    return made


def nearest(text: str, held: list[tuple[str, str]], threshold: float) -> tuple[float, str] | None:
    """The nearest text, found by comparing with all."""
    parts = grams(text)
    found = [(-jaccard(parts, grams(other)), id) for id, other in held]
    near = min((pair for pair in found if -pair[0] >= threshold), default=None)
    return near and (-near[0], near[1])


@pytest.mark.parametrize("threshold", [0.6, 0.7])
def test_what_it_finds_is_what_comparing_every_pair_finds(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearness, "CHUNK", 32)
    rows = [(f"{place:05d}", text) for place, text in enumerate(texts(400, seed=4))]
    seeds, examples = rows[:50], rows[50:]
    index, held, misses = Nearest(threshold, seeds), list(dict(seeds).items()), 0
    for start in range(0, len(examples), 32):
        block = examples[start : start + 32]
        index.begin([text for _, text in block])
        for id, text in block:
            found, expected = index.find(text), nearest(text, held, threshold)
            misses += found is None and expected is not None
            # Sketches propose 995 of 1000 pairs at the threshold; what is found is never further than it says.
            if found is not None:
                assert found.similarity == pytest.approx(jaccard(grams(text), grams(dict(rows)[found.id])))
            if expected is None:
                assert found is None
                index.add(id, text)
                held.append((id, text))
    assert len(held) > 100 + len(seeds)
    assert misses <= 2


def test_a_text_kept_in_a_block_is_found_in_the_same_block_and_in_every_later_one() -> None:
    index = Nearest(0.7)
    block = ["where is my parcel please", "where is my parcel"]
    index.begin(block)
    assert index.find(block[1]) is None
    index.add("first", block[0])
    assert index.find(block[1]) is not None
    for filler in range(2 * CHUNK):
        index.add(f"filler{filler}", f"alpha{filler} beta{filler} gamma{filler}")
    index.begin(block)
    neighbour = index.find(block[1])
    assert neighbour is not None and neighbour.id == "first"


@given(st.lists(st.text(min_size=1), max_size=8))
def test_spelling_keeps_every_string_a_word_of_its_own(parts: list[str]) -> None:
    parts = list(dict.fromkeys(parts))
    assert len(set(words(spelled(parts)))) == len(words(spelled(parts))) == len(parts)


@given(st.text())
def test_every_text_has_grams_and_is_like_itself(text: str) -> None:
    assert grams(text)
    index = Nearest(0.7, [("it", text)])
    index.begin([text])
    found = index.find(text)
    assert found is not None and found.similarity == 1.0
