"""Arrow schemas of examples and verdicts, and the way between them and records.

Rows are sorted by example id inside a table, so row-group statistics of the Parquet files find a single example.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

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
    licences=_list(_TEXT),
    scores=_list(_struct(criterion=_TEXT, score=_WHOLE)),
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
"""Columns that the first examples did not have; where they are absent they are empty. So are fields of provenance."""

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
    """Gives a table of examples every column of `EXAMPLE_SCHEMA`; what was added since it was written is empty."""
    rows = table.combine_chunks()
    columns = {name: _column(rows, name) for name in rows.column_names}
    if columns["provenance"].type != _PROVENANCE:
        columns["provenance"] = _whole(columns["provenance"], _PROVENANCE)
    filled = [_filled(columns.get(field.name), field, rows.num_rows) for field in EXAMPLE_SCHEMA]
    return pa.table(filled, schema=EXAMPLE_SCHEMA)


def _column(rows: pa.Table, name: str) -> pa.Array:
    chunks = rows[name].chunks
    return chunks[0] if chunks else pa.array([], rows[name].type)


def _whole(part: pa.StructArray, kind: pa.StructType) -> pa.StructArray:
    """Gives structs every field of a type; those added since they were written are empty."""
    known = {field.name: place for place, field in enumerate(part.type)}
    columns = [part.field(known[field.name]) if field.name in known else None for field in kind]
    filled = [_filled(column, field, len(part)) for column, field in zip(columns, kind, strict=True)]
    return pa.StructArray.from_arrays(filled, fields=list(kind))


def _filled(column: pa.Array | None, field: pa.Field, rows: int) -> pa.Array:
    if column is None:
        return pa.array([None if field.nullable else []] * rows, field.type)
    # Of shards that were read together, those without the column have nulls in it.
    if not field.nullable and column.null_count and pa.types.is_list(column.type):
        column = pc.coalesce(column, pa.scalar([], column.type))
    return column.cast(field.type)


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
