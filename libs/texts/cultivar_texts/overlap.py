"""How much of one text is in another."""

from collections.abc import Sequence, Set
from typing import TypeVar

import numpy as np

from cultivar_texts.words import ngrams, words

_Item = TypeVar("_Item")


def jaccard(first: Set[_Item], second: Set[_Item]) -> float:
    """Computes the Jaccard similarity of two sets, from 0 to 1; two empty sets are alike (1)."""
    shared = len(first & second)
    whole = len(first) + len(second) - shared
    return shared / whole if whole else 1.0


def ngram_overlap(first: str, second: str, width: int) -> float:
    """Computes the Jaccard similarity of two texts' word n-grams, from 0 to 1; 0 where either has fewer words."""
    ours, theirs = set(ngrams(words(first), width)), set(ngrams(words(second), width))
    return jaccard(ours, theirs) if ours and theirs else 0.0


def containment(part: str, whole: str, width: int) -> float:
    """Computes the share of the part's distinct word n-grams that the whole holds too, from 0 to 1.

    It is 0 where the part has fewer words than `width`. Broder (1997), "On the resemblance and containment of
    documents".
    """
    ours = set(ngrams(words(part), width))
    return len(ours.intersection(ngrams(words(whole), width))) / len(ours) if ours else 0.0


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Computes the length of the longest common subsequence.

    Bit-parallel: one step on whole numbers of len(first) bits for each item of `second`. Hyyrö (2004), "Bit-parallel
    LCS-length computation revisited".
    """
    places: dict[str, int] = {}
    for place, item in enumerate(first):
        places[item] = places.get(item, 0) | (1 << place)
    every = (1 << len(first)) - 1
    row = every
    for item in second:
        match = row & places.get(item, 0)
        row = ((row + match) | (row - match)) & every
    return len(first) - row.bit_count()


def rouge_l(first: str, second: str) -> float:
    """Computes ROUGE-L of two texts, the F-measure with equal weights, from 0 to 1; 0 where either has no words.

    The words are those of the normal form, without stemming. Lin (2004), "ROUGE: A Package for Automatic Evaluation of
    Summaries", section 3; Self-Instruct (Wang et al., 2023) takes a new instruction only below 0.7 to all others.
    """
    ours, theirs = words(first), words(second)
    if not ours or not theirs:
        return 0.0
    return 2 * longest_common_subsequence(ours, theirs) / (len(ours) + len(theirs))


def longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Computes the length of the longest run of items that both sequences hold, in time of their product."""
    numbers = {item: number for number, item in enumerate(dict.fromkeys(first))}
    ours = np.fromiter((numbers[item] for item in first), dtype=np.int64, count=len(first))
    ending = np.zeros(len(first) + 1, dtype=np.int64)
    longest = 0
    for item in second:
        number = numbers.get(item)
        ending[1:] = 0 if number is None else np.where(ours == number, ending[:-1] + 1, 0)
        longest = max(longest, int(ending.max()))
    return longest


def echo_share(prompt: str, answer: str) -> float:
    """Computes the share of the answer's words that lie in its longest run copied from the prompt, from 0 to 1.

    An answer without words echoes nothing.
    """
    spoken = words(answer)
    return longest_common_run(words(prompt), spoken) / len(spoken) if spoken else 0.0
