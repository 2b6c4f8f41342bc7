"""Examples into files that training programs read: chat JSONL and Parquet."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from cultivar_records.examples import Example
from cultivar_records.tables import EXAMPLE_SCHEMA, to_table
from cultivar_records.tasks import TaskKind

_GROUP_ROWS: Final = 8192
_TASK_FIELDS: Final = {
    TaskKind.CLASSIFICATION: ("label",),
    TaskKind.ENTITIES: ("spans",),
    TaskKind.CODE: ("tests",),
    TaskKind.INSTRUCTION: (),
}


def chat_json(example: Example) -> str:
    """Writes an example as one line of chat JSONL, without the line break.

    The keys are `id`, `messages` and what the task needs (`label`, `spans` or `tests`), the same in every row of a
    task, so that column types never differ between rows; beside them `evidence` and `rejected` in a row that has them.
    """
    fields: set[str] = {"id", "messages", *_TASK_FIELDS[example.task]}
    fields |= {name for name in ("evidence", "rejected") if getattr(example, name)}
    row: dict[str, Any] = example.model_dump(mode="json", include=fields)
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def write_chat_jsonl(path: Path, examples: Iterable[Example]) -> int:
    """Writes examples as chat JSONL, in the order given, and gives their number."""
    rows = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for example in examples:
            file.write(chat_json(example) + "\n")
            rows += 1
    return rows


def write_parquet(path: Path, examples: Iterable[Example]) -> int:
    """Writes examples as Parquet of `EXAMPLE_SCHEMA`, in row groups of 8192, and gives their number.

    Rows are sorted by id inside a row group; examples given in that order make a file that is sorted as a whole.
    """
    rows = 0
    with pq.ParquetWriter(path, EXAMPLE_SCHEMA, compression="zstd") as writer:
        for group in _groups(iter(examples)):
            writer.write_table(to_table(group))
            rows += len(group)
    return rows


def _groups(examples: Iterator[Example]) -> Iterator[list[Example]]:
    while group := list(islice(examples, _GROUP_ROWS)):
        yield group
