"""The rows of a file as examples: labels checked, repeats of one text made one family, copies of others kept out."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from cultivar_records import BadRow, Example, Message, TaskKind, TaskSpec, read_rows, split_by_family
from cultivar_texts import NearDuplicates, normal_form

from cultivar_datasets.specs import ImportSpec

NEAR = 0.8
RANGE_ROWS = 1024
RANGE_CHARACTERS = 8 << 20
_AT_ONCE = 256
_SHOWN = 80
_LABEL_CHARACTERS = 200

BAD_ROW_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that no example was made of. `reason` holds no text of the row; `label` is set where it is wrong."""

    line: int
    reason: str
    label: str = ""
    repeats: bool = False

    def row(self) -> dict[str, Any]:
        """Returns the row of the bad-rows artifact."""
        return {"line": self.line, "reason": self.reason, "label": self.label}


@dataclass
class Apart:
    """Examples of other artifacts that a file must stay apart from."""

    near: NearDuplicates = field(default_factory=lambda: NearDuplicates(NEAR))
    owners: dict[str, str] = field(default_factory=dict)

    def add(self, artifact: str, examples: Sequence[Example]) -> None:
        """Adds examples of an artifact, given by its name."""
        self.near.add_many((example.id, example.text) for example in examples)
        for example in examples:
            self.owners.setdefault(example.id, artifact)

    def judge(self, examples: Sequence[Example]) -> list[Example | Bad]:
        """Returns each example, or the bad row that it is as a duplicate of another artifact's example."""
        found = self.near.query_many([example.text for example in examples])
        return [
            example if near is None else self._bad(example, near.id, near.similarity)
            for example, near in zip(examples, found, strict=True)
        ]

    def _bad(self, example: Example, other: str, similarity: float) -> Bad:
        how = "duplicate of" if similarity == 1 else f"near-duplicate ({similarity:.2f}) of"
        reason = f"The row is a {how} {other} in {self.owners[other]}."
        return Bad(example.provenance.line, reason, repeats=True)


def read_examples(path: Path, spec: ImportSpec, apart: Apart) -> Iterator[Example | Bad]:
    """Reads the rows of a file in order; the same file and spec always give the same. Raises UnreadableFile."""
    # A wrong label is named here, where rows may be shown to whoever brought them; the reader names none.
    own = spec.task.kind is TaskKind.CLASSIFICATION
    labels = None if own else spec.task.labels or None
    rows = read_rows(path, spec.task.kind, labels=labels, source=spec.source, unanswered=spec.unanswered)
    families: dict[bytes, str] = {}
    while batch := list(islice(rows, _AT_ONCE)):
        checked = [check_row(row, spec.task) for row in batch]
        good = iter(apart.judge([row for row in checked if isinstance(row, Example)]))
        for row in checked:
            judged = row if isinstance(row, Bad) else next(good)
            yield judged if isinstance(judged, Bad) else in_family(judged, families)


def check_row(row: Example | BadRow, task: TaskSpec) -> Example | Bad:
    """Returns the example of a row, or the bad row that it is, also for a label that the task does not have."""
    if isinstance(row, BadRow):
        return Bad(row.line, row.reason)
    label = row.label
    if label is not None and len(label) > _LABEL_CHARACTERS:
        reason = f"The label has {len(label)} characters, {_LABEL_CHARACTERS} at most: is it another column?"
        return Bad(row.provenance.line, reason, label[:_SHOWN])
    if label is None or not task.labels or label in task.labels:
        return row
    near = get_close_matches(label[:_SHOWN], task.labels, n=1)
    hint = f"; the nearest is '{near[0]}'" if near else ""
    reason = f"The label is none of the {len(task.labels)} labels of the task{hint}."
    return Bad(row.provenance.line, reason, label[:_SHOWN])


def in_family(example: Example, families: dict[bytes, str]) -> Example:
    """Puts rows of one normal form into the family of the first of them."""
    key = hashlib.blake2b(normal_form(example.text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    family = families.setdefault(key, example.id)
    if family == example.id:
        return example
    provenance = example.provenance.model_copy(update={"family": family})
    return example.model_copy(update={"provenance": provenance})


def next_range(rows: Iterator[Example | Bad]) -> list[Example | Bad]:
    """Takes the next rows, up to 1024 and about 8 million characters; none at the end."""
    taken: list[Example | Bad] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += 0 if isinstance(row, Bad) else sum(len(message.content) for message in row.messages)
        if len(taken) == RANGE_ROWS or size > RANGE_CHARACTERS:
            break
    return taken


def assign_families(rows: Iterator[Example | Bad], spec: ImportSpec) -> dict[str, str]:
    """Decides for each family the kind of the split that it goes to; holds no text."""
    light = (without_text(row) for row in rows if isinstance(row, Example))
    shares: Mapping[str, float] = {split.kind: split.share for split in spec.splits}
    parts = split_by_family(light, shares, spec.random_seed)
    return {example.provenance.family: kind for kind, examples in parts.items() for example in examples}


def without_text(example: Example) -> Example:
    """Returns an example whose messages are empty, to be counted by family and label."""
    empty = (Message(role="user", content=""), Message(role="assistant", content=example.label or ""))
    return example.model_copy(update={"messages": empty, "spans": (), "tests": (), "evidence": (), "rejected": None})
