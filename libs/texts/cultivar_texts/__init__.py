"""What can be said of texts without a model: normal form, near-duplicates, overlap, repetition, legibility."""

from cultivar_texts.near_duplicates import NearDuplicates, Neighbour
from cultivar_texts.nonsense import GOPHER_WORD_LENGTH, CharacterModel, Legibility, legibility
from cultivar_texts.overlap import (
    containment,
    echo_share,
    jaccard,
    longest_common_run,
    longest_common_subsequence,
    ngram_overlap,
    rouge_l,
)
from cultivar_texts.repeats import GOPHER_LIMITS, exceeded, repetition
from cultivar_texts.words import ngrams, normal_form, shingles, words

__all__ = [
    "GOPHER_LIMITS",
    "GOPHER_WORD_LENGTH",
    "CharacterModel",
    "Legibility",
    "NearDuplicates",
    "Neighbour",
    "containment",
    "echo_share",
    "exceeded",
    "jaccard",
    "legibility",
    "longest_common_run",
    "longest_common_subsequence",
    "ngram_overlap",
    "ngrams",
    "normal_form",
    "repetition",
    "rouge_l",
    "shingles",
    "words",
]
