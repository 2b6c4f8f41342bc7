"""The support example holds what its README promises."""

import hashlib
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[3] / "examples" / "support"
LABELS = {"refund", "delivery", "password", "invoice", "cancel", "exchange", "damaged", "discount"}
PER_LABEL = {"held_out": 30, "validation": 6, "seeds": 12, "standin": 12}
NEAR_COPY = 0.5


def read(name: str) -> list[dict[str, str]]:
    lines = (SUPPORT / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def every_text() -> list[str]:
    return [row["text"] for name in PER_LABEL for row in read(name)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W_]+(?:'\w+)?", text.lower())
    return {tuple(words[start : start + 3]) for start in range(max(1, len(words) - 2))}


def likeness(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    return len(left & right) / len(left | right)


@pytest.mark.parametrize("name", PER_LABEL)
def test_every_label_has_the_promised_number_of_messages(name: str) -> None:
    assert Counter(row["label"] for row in read(name)) == dict.fromkeys(LABELS, PER_LABEL[name])


@pytest.mark.parametrize("name", PER_LABEL)
def test_a_row_is_a_text_and_a_label(name: str) -> None:
    assert all(row.keys() == {"text", "label"} for row in read(name))


@pytest.mark.parametrize("name", PER_LABEL)
def test_labels_are_mixed_within_a_file(name: str) -> None:
    labels = [row["label"] for row in read(name)]
    longest_stretch = max(len(list(same)) for _, same in itertools.groupby(labels))
    assert longest_stretch < 6


def test_a_message_is_one_trimmed_line_of_three_to_sixty_words() -> None:
    for text in every_text():
        assert 3 <= len(text.split()) <= 60, text
        assert text == text.strip() and text.isprintable(), text


def test_no_message_is_a_copy_or_near_copy_of_another() -> None:
    pairs = itertools.combinations([(text, shingles(text)) for text in every_text()], 2)
    assert [(left, right) for (left, a), (right, b) in pairs if likeness(a, b) >= NEAR_COPY] == []


def test_a_message_with_one_word_changed_at_its_end_counts_as_a_near_copy() -> None:
    for text in every_text():
        words = text.split()
        if len(words) > 5:
            assert likeness(shingles(text), shingles(" ".join([*words[:-1], "marmalade"]))) >= NEAR_COPY, text


def test_the_readme_names_the_digest_of_the_held_out_messages() -> None:
    digest = hashlib.sha256((SUPPORT / "held_out.jsonl").read_bytes()).hexdigest()
    assert re.findall(r"\b[0-9a-f]{64}\b", (SUPPORT / "README.md").read_text(encoding="utf-8")) == [digest]


def test_the_guidelines_describe_each_label_under_its_own_heading() -> None:
    headings = re.findall(r"^### `(\w+)`$", (SUPPORT / "guidelines.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(LABELS)
