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
    "My electric blanket is only warm on one half.": "Only one side of the electric blanket heats up.",
    "birthday discount never came this year :(": "I did not receive my birthday discount this year.",
    "Would you post to a PO box?": "Do you deliver to PO boxes?",
    "i get 'account disabled, contact us' so here i am contacting you": "It tells me my account is disabled and to "
    "contact you, so I am writing.",
}


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


def judged(running: Any, rows: list[Example], seeds: list[Example]) -> Counter[str]:
    """What became of examples, by the filter with its defaults."""
    given = Given(TASK, seeds)
    given.vectors.hold(embedded(running, [row.text for row in (*rows, *seeds)]))
    return counts_of(Sieve([resolve("semantic_duplicate", {})], given).judge(rows))


def test_messages_that_were_written_apart_are_all_kept(running: Any) -> None:
    rows = [made(text) for text in messages("validation")]
    assert judged(running, rows, [seed(text) for text in messages("seeds")]) == {"kept": len(rows)}


def test_paraphrases_of_seeds_are_rejected(running: Any) -> None:
    assert set(SAME) <= set(messages("seeds"))
    rows = [made(text) for text in SAME.values()]
    found = judged(running, rows, [seed(text) for text in messages("seeds")])
    assert found == {"rejected": len(SAME), "rejected.semantic_duplicate.of_seed": len(SAME)}
