"""What filters and reviewers said of the candidates of each prompt version: one row for each artifact that says so."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from cultivar_service.audit import record_change
from cultivar_service.principal import Principal
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation.store import metadata

MOST_OUTCOMES = 200

outcomes = sa.Table(
    "prompt_outcome",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("artifact", sa.Text, primary_key=True),
    sa.Column("source", sa.Text),
    sa.Column("counts", JSONB),
    sa.Column("reasons", JSONB),
    sa.Column("scores", JSONB),
    sa.Column("time", TIMESTAMP(timezone=True)),
)


@dataclass(frozen=True)
class PromptOutcome:
    """What one artifact says of the candidates of one version.

    `artifact` is its digest and `source` the name of the filter run or queue that made it; `counts` say where
    candidates ended, `reasons` why they were rejected or which tags they got; `scores` are the sum of the scores and
    their number, by criterion; `time` is when the artifact was committed.
    """

    name: str
    version: int
    artifact: str
    source: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    scores: Mapping[str, tuple[int, int]]
    time: datetime


async def put_outcomes(
    connection: AsyncConnection, principal: Principal, project: str, found: Sequence[PromptOutcome]
) -> None:
    """Adds what an artifact says; what was added before stays, and leaves no second trace."""
    rows = [{**asdict(one), "project": project} for one in found]
    if not rows:
        return
    placed = insert(outcomes).values(rows).on_conflict_do_nothing().returning(outcomes.c.artifact)
    if (await connection.execute(placed)).first() is not None:
        resource = f"projects/{project}/artifacts/{found[0].artifact}"
        await record_change(connection, principal, project, "record prompt outcomes", resource)


async def list_outcomes(connection: AsyncConnection, project: str, name: str) -> Sequence[PromptOutcome]:
    """Returns what was last said of the versions of a prompt, the newest first, 200 at most."""
    mine = outcomes.c.project == project, outcomes.c.name == name
    newest = sa.select(outcomes).where(*mine).order_by(outcomes.c.time.desc(), outcomes.c.version.desc())
    rows = (await connection.execute(newest.limit(MOST_OUTCOMES))).mappings()
    return [PromptOutcome(**{field: row[field] for field in PromptOutcome.__dataclass_fields__}) for row in rows]
