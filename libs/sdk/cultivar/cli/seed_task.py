"""What kind of task a file of seeds is for: told by an option, or by the fields of its rows."""

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cultivar.cli.calling import failed
from cultivar.example.v1 import example_pb2
from cultivar.generation.v1 import generation_pb2

LABELS = ("label", "category", "intent")
MOST_ROWS = 10_000
"""Rows that are looked at for the labels of their entities."""
Kind = Literal["instruction", "classification", "entities", "code"]
TaskOption = Annotated[Kind | None, typer.Option(help="The kind of task.", show_default="found out from the rows")]
LabelsOption = Annotated[
    str, typer.Option(help="The labels of the task, with commas between.", show_default="those of the rows")
]
KINDS: dict[str, "example_pb2.TaskKind.ValueType"] = {
    "instruction": example_pb2.TASK_KIND_INSTRUCTION,
    "classification": example_pb2.TASK_KIND_CLASSIFICATION,
    "entities": example_pb2.TASK_KIND_ENTITIES,
    "code": example_pb2.TASK_KIND_CODE,
}


def task_of(
    path: Path, program: generation_pb2.Strategy, kind: Kind | None = None, labels: str = "", instruction: str = ""
) -> example_pb2.Task:
    """Returns the task of a file of seeds for a strategy; its labels are those given, or those of marked entities."""
    task = example_pb2.Task(kind=kind_of(path, program, kind), instruction=instruction)
    given = [label.strip() for label in labels.split(",") if label.strip()]
    task.labels.extend(given or (entity_labels(path) if task.kind == KINDS["entities"] else []))
    return task


def kind_said(kind: Kind | None, labelled: bool | None) -> Kind | None:
    """Returns the kind that options say; None where they leave it to the rows."""
    return kind if kind is not None or labelled is None else "classification" if labelled else "instruction"


def kind_of(path: Path, program: generation_pb2.Strategy, kind: Kind | None) -> "example_pb2.TaskKind.ValueType":
    """Returns the kind of task: the one given, what the first row says, or the one that the strategy is for."""
    if kind is not None:
        if KINDS[kind] not in program.tasks:
            known = ", ".join(name for name, number in KINDS.items() if number in program.tasks)
            raise failed(f"the strategy {program.strategy} is for tasks of the kind {known}, not {kind}")
        return KINDS[kind]
    # What takes inputs alone takes them for instructions, whatever else the rows hold.
    found = KINDS["instruction" if program.takes_inputs else kind_of_row(first_row(path))]
    return found if found in program.tasks else program.tasks[0]


def kind_of_row(row: Mapping[str, Any]) -> Kind:
    """Returns the kind of task whose fields a row has."""
    if "spans" in row:
        return "entities"
    if row.keys() & {"tests", "test_list"}:
        return "code"
    return "classification" if row.keys() & set(LABELS) else "instruction"


def first_row(path: Path) -> Mapping[str, Any]:
    """Returns the first row of a file; nothing of one that cannot be read so, such as Parquet."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return dict.fromkeys(next(csv.reader(file), []))
    return next(rows_of(path), {})


def rows_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of a JSONL file; of another file none."""
    if path.suffix in (".csv", ".parquet"):
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line) if line.strip() else None
            except ValueError:
                return
            if isinstance(row, dict):
                yield row


def entity_labels(path: Path) -> list[str]:
    """Returns the labels of the entities that the first rows of a file mark, by name."""
    spans = (row.get("spans") for row in islice(rows_of(path), MOST_ROWS))
    found = {span.get("label") for row in spans if isinstance(row, list) for span in row if isinstance(span, dict)}
    return sorted(label for label in found if isinstance(label, str) and label)
