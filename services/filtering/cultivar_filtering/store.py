"""What filtering reads of tables beside its runs."""

from collections.abc import Iterable

import sqlalchemy as sa
from cultivar_artifacts.tables import manifest_table
from cultivar_service import tables
from cultivar_service.audit import Finding
from cultivar_service.database import Database

KINDS = ("kept", "rejected", "failed", "verdicts")


async def audit_artifacts(database: Database, project: str) -> tuple[list[Finding], dict[str, int]]:
    """Checks that the artifacts of a project's ended runs hold what the runs counted; returns rows by artifact too."""
    run = tables.run.c
    ended = sa.select(run.id, run.spec, run.result, run.progress).where(
        run.project == project, run.state.in_(("SUCCEEDED", "CANCELLED"))
    )
    async with database.begin() as connection:
        runs = (await connection.execute(ended)).mappings().all()
        found = (await connection.execute(rows_of(project, artifacts(runs)))).all()
    rows = {row.digest: row.rows for row in found}
    check = "the artifacts of every ended run are committed and hold the rows that it counted"
    finding = Finding(check, len(runs), [run["id"] for run in runs if not agrees(run, rows)])
    return [finding], {f"{digest}/rows": count for digest, count in rows.items()}


def artifacts(runs: Iterable[sa.RowMapping]) -> list[str]:
    """Returns the digests of what runs read and made."""
    return [
        digest for run in runs for digest in (run["spec"]["examples"], *(run["result"].get(kind) for kind in KINDS))
    ]


def rows_of(project: str, digests: list[str]) -> sa.Select[tuple[str, int]]:
    """Selects the rows of committed artifacts by their digests."""
    found = manifest_table.c
    return sa.select(found.digest, found.rows).where(found.project == project, found.digest.in_(digests))


def agrees(run: sa.RowMapping, rows: dict[str, int]) -> bool:
    """Tells whether a run's artifacts are committed, with the rows that it counted."""
    result, counts = run["result"], run["progress"].get("counts", {})
    outputs = result.get("outputs", {})
    return result.get("verdicts") in rows and all(
        rows.get(result.get(kind, "")) == outputs.get(kind) == counts.get(kind, 0) for kind in KINDS[:3]
    )
