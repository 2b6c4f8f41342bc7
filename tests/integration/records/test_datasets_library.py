"""The `datasets` library reads what is exported."""

from pathlib import Path

import datasets
import pytest
from cultivar_records import (
    Example,
    Message,
    Provenance,
    Span,
    TaskKind,
    example_id,
    read_rows,
    write_chat_jsonl,
    write_parquet,
)


@pytest.fixture
def rows() -> list[Example]:
    """Makes entities examples, of which every second has a span."""
    keys = sorted(example_id("run", str(number), 0) for number in range(20))
    return [
        Example(
            id=key,
            task=TaskKind.ENTITIES,
            messages=(Message(role="user", content="Ann é\n"), Message(role="assistant", content="ok")),
            spans=(Span(start=0, end=3, label="person"),) if number % 2 else (),
            provenance=Provenance(origin="seed", family=key),
        )
        for number, key in enumerate(keys)
    ]


@pytest.mark.parametrize(("kind", "write"), [("parquet", write_parquet), ("json", write_chat_jsonl)])
def test_the_datasets_library_reads_the_same_messages(
    tmp_path: Path, rows: list[Example], kind: str, write: object
) -> None:
    path = tmp_path / "rows"
    assert callable(write)
    write(path, rows)
    loaded = datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["id"] for row in loaded] == [row.id for row in rows]
    assert [row["messages"] for row in loaded] == [[message.model_dump() for message in row.messages] for row in rows]
    assert [row["spans"] for row in loaded] == [[span.model_dump() for span in row.spans] for row in rows]


def test_label_numbers_that_the_library_writes_become_names(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    datasets.Dataset.from_dict({"text": ["x", "y"], "label": [1, 0]}, features=features).to_parquet(tmp_path / "rows")
    rows = read_rows(tmp_path / "rows", TaskKind.CLASSIFICATION)
    assert [row.label for row in rows if isinstance(row, Example)] == ["b", "a"]
