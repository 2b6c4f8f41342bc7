"""What became of the calls of each prompt version, run by run: counted with the range that made them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation.prompts import Prompt
from cultivar_generation.store import metadata

MOST_RUNS = 100
MOST_REASONS = 50
OTHER = "other reasons"

yields = sa.Table(
    "prompt_yield",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("counts", JSONB),
    sa.Column("reasons", JSONB),
    sa.Column("update_time", TIMESTAMP(timezone=True)),
)


@dataclass(frozen=True)
class Yield:
    """What one version gave in one run.

    `counts` are of calls (answered, failed) and of what the answers held (candidates, malformed); `reasons` say why
    pieces were malformed and calls failed.
    """

    version: int
    run: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    update_time: datetime


async def add_yield(
    connection: AsyncConnection, project: str, run: str, prompt: Prompt, counts: Counter[str], reasons: Counter[str]
) -> None:
    """Adds to what a version gave in a run, in the transaction that commits a range of it."""
    key = {"project": project, "name": prompt.name, "version": prompt.version, "run": run}
    where = [yields.c[name] == value for name, value in key.items()]
    row = (await connection.execute(sa.select(yields).where(*where).with_for_update())).mappings().first()
    if row is not None:
        counts, reasons = counts + Counter(row["counts"]), reasons + Counter(row["reasons"])
    values = {"counts": dict(counts), "reasons": most_common(reasons), "update_time": sa.func.now()}
    statement = insert(yields).values(**key, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def most_common(reasons: Mapping[str, int]) -> dict[str, int]:
    """Returns the 50 commonest reasons, and the number of the others under one name; the sum stays."""
    known = Counter({reason: count for reason, count in reasons.items() if reason != OTHER})
    common = dict(known.most_common(MOST_REASONS))
    left = sum(reasons.values()) - sum(common.values())
    return {**common, OTHER: left} if left else common


async def list_yields(connection: AsyncConnection, project: str, name: str) -> Sequence[Yield]:
    """Returns what the versions of a prompt gave in the 100 runs that used it last, the newest first."""
    found = sa.select(yields).where(yields.c.project == project, yields.c.name == name)
    newest = found.order_by(yields.c.update_time.desc(), yields.c.run, yields.c.version).limit(MOST_RUNS)
    rows = (await connection.execute(newest)).mappings()
    return [Yield(**{field: row[field] for field in Yield.__dataclass_fields__}) for row in rows]
