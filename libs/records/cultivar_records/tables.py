"""Arrow schemas of examples and verdicts, and the way between them and records.

Rows are sorted by example id inside a table, so row-group statistics of the Parquet files find a single example.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import pyarrow as pa

from cultivar_records.examples import Example
from cultivar_records.verdicts import Verdict

_BATCH_ROWS: Final = 4096


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field(name, kind, nullable=False) for name, kind in fields.items()])


def _list(item: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("item", item, nullable=False))


_TEXT, _WHOLE = pa.string(), pa.int64()

_PROVENANCE = _struct(
    origin=_TEXT,
    family=_TEXT,
    run=_TEXT,
    seeds=_list(_TEXT),
    strategy=_TEXT,
    prompt=_TEXT,
    prompt_digest=_TEXT,
    teacher=_TEXT,
    model=_TEXT,
    call=_TEXT,
    ordinal=_WHOLE,
    source=_TEXT,
    line=_WHOLE,
    round=_WHOLE,
    edited_by=_TEXT,
)

EXAMPLE_SCHEMA: Final = pa.schema(
    [
        pa.field("id", _TEXT, nullable=False),
        pa.field("task", _TEXT, nullable=False),
        pa.field("messages", _list(_struct(role=_TEXT, content=_TEXT)), nullable=False),
        pa.field("label", _TEXT),
        pa.field("spans", _list(_struct(start=_WHOLE, end=_WHOLE, label=_TEXT)), nullable=False),
        pa.field("tests", _list(_TEXT), nullable=False),
        pa.field("evidence", _list(_TEXT), nullable=False),
        pa.field("rejected", _TEXT),
        pa.field("provenance", _PROVENANCE, nullable=False),
    ]
)

_ADDED: Final = {"evidence", "rejected"}
"""Columns that the first examples did not have; where they are absent they are empty."""

VERDICT_SCHEMA: Final = pa.schema(
    [
        pa.field("example", _TEXT, nullable=False),
        pa.field("filter", _TEXT, nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("reason", _TEXT, nullable=False),
        pa.field("score", pa.float64()),
    ]
)


def to_table(examples: Iterable[Example]) -> pa.Table:
    """Puts examples into a table of `EXAMPLE_SCHEMA`, sorted by id."""
    rows = sorted(examples, key=lambda example: example.id)
    return pa.Table.from_pylist([row.model_dump() for row in rows], schema=EXAMPLE_SCHEMA)


def holds_examples(columns: Collection[str]) -> bool:
    """Tells whether columns are those of examples, of now or of before some were added."""
    known = set(EXAMPLE_SCHEMA.names)
    return known - _ADDED <= set(columns) <= known


def with_all_columns(table: pa.Table) -> pa.Table:
    """Gives a table of examples every column of `EXAMPLE_SCHEMA`; those added since it was written are empty."""
    for name in sorted(_ADDED - set(table.column_names)):
        field = EXAMPLE_SCHEMA.field(name)
        empty = pa.array([None if field.nullable else []] * table.num_rows, field.type)
        table = table.append_column(field, empty)
    return table.select(EXAMPLE_SCHEMA.names).cast(EXAMPLE_SCHEMA)


def from_table(table: pa.Table) -> Iterator[Example]:
    """Reads the examples of a table, in its order; raises pydantic's ValidationError at a row that is none."""
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            yield Example.model_validate(row)


def to_verdict_table(verdicts: Iterable[Verdict]) -> pa.Table:
    """Puts verdicts into a table of `VERDICT_SCHEMA`, sorted by example and, for one example, in the order given."""
    rows = sorted(verdicts, key=lambda verdict: verdict.example)
    return pa.Table.from_pylist([row.model_dump() for row in rows], schema=VERDICT_SCHEMA)


def from_verdict_table(table: pa.Table) -> Iterator[Verdict]:
    """Reads the verdicts of a table, in its order; raises pydantic's ValidationError at a row that is none."""
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            yield Verdict.model_validate(row)
