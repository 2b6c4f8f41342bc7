"""With the real embedding model, the default threshold tells paraphrases from messages that were written apart."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from cultivar_filtering.filters import Given
from cultivar_filtering.filters.vectors import Embedded
from cultivar_filtering.recipes import resolve
from cultivar_filtering.sieve import Sieve, counts_of
from cultivar_generation.teachers.requests import EmbeddingRequest
from cultivar_records import Example

from tests.unit.filtering.made import TASK, made, seed

SUPPORT = Path(__file__).parents[2] / "examples" / "support"
MODEL = "all-minilm-l6-v2"
SAME = {
    "my voucher was 50, i spent 32, where are the other 18": "I used 32 of my 50 voucher. What happened to the "
    "remaining 18?",
    "Hinge on the laundry basket gave up after four days of normal use.": "After only four days of ordinary use the "
    "laundry basket's hinge broke.",
    "My order was paid half by me and half by my sister. May we have a receipt each?": "My sister and I each paid half "
    "of the order, could we get separate receipts?",
    "Shipping to Norway: possible or not, and who pays the duty?": "Can you deliver to Norway, and do I have to pay "
    "customs?",
}
"""Seeds of the support example in other words."""


def messages(name: str) -> list[str]:
    """The messages of a file of the support example."""
    return [json.loads(line)["text"] for line in (SUPPORT / f"{name}.jsonl").read_text().splitlines()]


def embedded(running: Any, texts: list[str]) -> Embedded:
    """The vectors that the teachers application gives."""
    rows: list[list[float]] = []
    for start in range(0, len(texts), 64):
        request = EmbeddingRequest(model=MODEL, input=texts[start : start + 64])
        answer = running.wait(running.backend.embed(request))
        rows += [entry["embedding"] for entry in answer["data"]]
    return {MODEL: (texts, np.asarray(rows, np.float32))}


def judged(running: Any, rows: list[Example], seeds: list[Example], name: str = "semantic_duplicate") -> Counter[str]:
    """What became of examples, by a filter with its defaults."""
    given = Given(TASK, seeds)
    given.vectors.hold(embedded(running, [row.text for row in (*rows, *seeds)]))
    return counts_of(Sieve([resolve(name, {})], given).judge(rows))


def test_messages_that_were_written_apart_are_all_kept(running: Any) -> None:
    rows = [made(text) for text in messages("validation")]
    assert judged(running, rows, [seed(text) for text in messages("seeds")]) == {"kept": len(rows)}


def test_paraphrases_of_seeds_are_rejected_which_filters_that_compare_words_keep(running: Any) -> None:
    assert set(SAME) <= set(messages("seeds"))
    rows, seeds = [made(text) for text in SAME.values()], [seed(text) for text in messages("seeds")]
    for name in ("near_duplicate", "novelty"):
        assert judged(running, rows, seeds, name) == {"kept": len(SAME)}
    found = judged(running, rows, seeds)
    assert found == {"rejected": len(SAME), "rejected.semantic_duplicate.of_seed": len(SAME)}
