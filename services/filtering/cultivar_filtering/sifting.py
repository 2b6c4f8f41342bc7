"""The heavy part of a filter run, as functions that run inside the worker process and keep their state there.

Rows are sorted by id across all shards at the start, so a run does not depend on how its input was cut; DuckDB does it
within a bounded memory. Each attempt at a run opens its own sifting, under a key that no other has.
"""

import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from cultivar_artifacts import EncodedShard, encode_shard, split_rows
from cultivar_records import Example, TaskSpec, from_table, holds_examples, to_verdict_table, with_all_columns

from cultivar_filtering.filters import Given
from cultivar_filtering.filters.protocol import wording
from cultivar_filtering.filters.vectors import Embedded, Vectors
from cultivar_filtering.recipes import Use
from cultivar_filtering.sieve import BLOCK, Judged, Outcome, Sieve, counts_of

RANGE_ROWS = 8 * BLOCK
"""Rows of one range, which is committed at once."""
VERDICTS = "verdicts"
SORT_MEMORY = "512MB"
SORT_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
    "memory_limit": SORT_MEMORY,
}


class RowsUnusable(Exception):
    """The rows of an artifact cannot be judged; the message says why."""


class SiftingLost(Exception):
    """The worker process is another than the one in which the sifting was opened."""


@dataclass(frozen=True)
class Opening:
    """What a sifting is opened with: shards as files, what to judge by, and how far an earlier attempt came.

    `folder` is there, belongs to this sifting alone, and goes when it is closed. `embedded` holds the seeds' vectors.
    """

    task: TaskSpec
    uses: tuple[Use, ...]
    examples: tuple[Path, ...]
    seeds: tuple[Path, ...]
    held_out: tuple[Path, ...]
    start: int
    folder: Path
    embedded: Embedded = field(default_factory=dict)


@dataclass(frozen=True)
class Sifted:
    """What became of a range: its number of rows, counts, and shards by kind, one dict for each part."""

    rows: int
    counts: Mapping[str, int]
    parts: list[dict[str, EncodedShard]]


@dataclass
class Sifting:
    """An open run: its judges and the vectors they look into, the rows that are left, and of those the ranges read."""

    sieve: Sieve
    vectors: Vectors
    tables: Iterator[pa.Table]
    read: deque[pa.Table] = field(default_factory=deque)


OPEN: dict[str, Sifting] = {}
"""The siftings of this process, by key."""


def open_sifting(key: str, opening: Opening) -> int:
    """Opens a sifting and returns the number of rows to judge, those judged before included."""
    rows = sort_rows(opening.examples, opening.folder / "examples.parquet")
    given = Given(
        task=opening.task,
        seeds=sorted(read_files(opening.seeds), key=lambda seed: seed.id),
        held_out=sorted(read_files(opening.held_out), key=lambda example: example.id),
    )
    given.vectors.hold(opening.embedded)
    sieve = Sieve(opening.uses, given)
    tables = ranges(opening.folder / "examples.parquet", opening.start) if rows else iter(())
    OPEN[key] = Sifting(sieve, given.vectors, tables)
    return rows


def opened(key: str) -> Sifting:
    """Returns a sifting; raises SiftingLost where this process has none of that key."""
    if key not in OPEN:
        raise SiftingLost(key)
    return OPEN[key]


def recall(key: str, shard: Path, embedded: Embedded) -> None:
    """Tells the judges what was kept before the run was interrupted, a shard at a time, in the order of ids."""
    sifting = opened(key)
    sifting.vectors.hold(embedded)
    sifting.sieve.remember(read_files([shard]))


def upcoming(key: str) -> list[str] | None:
    """Returns the texts of the next range that it was not asked for yet, to be embedded; None at the end."""
    sifting = opened(key)
    table = next(sifting.tables, None)
    if table is None:
        return None
    sifting.read.append(table)
    return wordings(from_table(table))


def sift(key: str, embedded: Embedded) -> Sifted | None:
    """Judges the next range by the vectors of its texts; None at the end."""
    sifting = opened(key)
    table = sifting.read.popleft() if sifting.read else next(sifting.tables, None)
    if table is None:
        return None
    sifting.vectors.hold(embedded)
    judged = list(sifting.sieve.judge(from_table(table)))
    outcomes = [one.outcome for one in judged]
    shards = {outcome.value: packed(chosen(table, outcomes, outcome)) for outcome in Outcome}
    shards[VERDICTS] = packed_verdicts(judged)
    parts = [
        {kind: shard for kind, shard in zip(shards, row, strict=True) if shard is not None}
        for row in zip_longest(*shards.values())
    ]
    return Sifted(table.num_rows, dict(counts_of(judged)), parts)


def close_sifting(key: str, folder: Path) -> None:
    """Forgets a sifting, if it was opened, and removes its folder."""
    OPEN.pop(key, None)
    shutil.rmtree(folder, ignore_errors=True)


def sort_rows(shards: tuple[Path, ...], target: Path) -> int:
    """Writes the rows of some shards into one file, by id; raises RowsUnusable for other rows and repeated ids."""
    for shard in shards:
        names = pq.read_schema(shard).names
        if not holds_examples(names):
            raise RowsUnusable(f"its rows are no examples: they have the columns {', '.join(sorted(names))[:200]}")
    if not shards:
        return 0
    files = [str(shard) for shard in shards]
    with duckdb.connect(config={**SORT_CONFIG, "temp_directory": str(target.parent)}) as connection:
        path = str(target).replace("'", "''")
        form = f"(FORMAT parquet, ROW_GROUP_SIZE {RANGE_ROWS})"
        # By name, since shards written before a column was added lack it.
        rows_by_id = "SELECT * FROM read_parquet(?, union_by_name => true) ORDER BY id"
        connection.execute(f"COPY ({rows_by_id}) TO '{path}' {form}", [files])
        counted = connection.execute("SELECT count(*), count(DISTINCT id) FROM read_parquet(?)", [str(target)])
        rows, distinct = counted.fetchone() or (0, 0)
    if rows != distinct:
        raise RowsUnusable(f"{rows - distinct} of its rows repeat the id of another, and a verdict is known by it")
    return int(rows)


def ranges(path: Path, start: int) -> Iterator[pa.Table]:
    """Yields the rows of a sorted file from a row on, a range at a time."""
    file = pq.ParquetFile(path)
    groups = (file.read_row_group(number) for number in range(file.num_row_groups))
    pending: list[pa.Table] = []
    passed = 0
    for group in groups:
        fresh = group.slice(max(0, start - passed))
        passed += group.num_rows
        pending.append(fresh)
        while sum(table.num_rows for table in pending) >= RANGE_ROWS:
            whole = pa.concat_tables(pending)
            yield with_all_columns(whole.slice(0, RANGE_ROWS))
            pending = [whole.slice(RANGE_ROWS)]
    if any(table.num_rows for table in pending):
        yield with_all_columns(pa.concat_tables(pending))


def read_files(shards: Iterable[Path]) -> Iterator[Example]:
    """Yields the examples of some shards, in their order."""
    return chain.from_iterable(from_table(pq.read_table(shard)) for shard in shards)


def texts_of(shards: Iterable[Path]) -> list[str]:
    """Returns the texts by which the examples of some shards are compared."""
    return wordings(read_files(shards))


def wordings(examples: Iterable[Example]) -> list[str]:
    """Returns the texts by which examples are compared, each once; an empty one cannot be embedded."""
    texts = dict.fromkeys(map(wording, examples))
    return [text for text in texts if text.strip()]


def chosen(table: pa.Table, outcomes: list[Outcome], outcome: Outcome) -> pa.Table:
    """Returns the rows that ended somewhere."""
    return table.filter(pa.array([one is outcome for one in outcomes], pa.bool_()))


def packed(table: pa.Table) -> list[EncodedShard]:
    """Packs rows as shards; none where there are none."""
    return [encode_shard(piece) for piece in split_rows(table)] if table.num_rows else []


def packed_verdicts(judged: list[Judged]) -> list[EncodedShard]:
    """Packs verdicts as shards that know which examples they speak of, so that one is found without reading all."""
    table = to_verdict_table(verdict for one in judged for verdict in one.verdicts)
    if not table.num_rows:
        return []
    ids = ((piece, piece["example"]) for piece in split_rows(table))
    return [
        replace(encode_shard(piece), first_id=column[0].as_py(), last_id=column[-1].as_py()) for piece, column in ids
    ]
