"""Who changed what, and the checks that every service makes of its own tables."""

from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_service import tables
from cultivar_service.database import Database
from cultivar_service.principal import Principal

MOST_OFFENDERS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: a sentence that should hold, and what breaks it."""

    check: str
    examined: int
    offenders: list[str] = field(default_factory=list)


async def record_change(
    connection: AsyncConnection, principal: Principal, project: str, action: str, resource: str
) -> None:
    """Appends the audit row of a change, inside the transaction that makes it."""
    await connection.execute(
        sa.insert(tables.change).values(project=project, principal=principal.name, action=action, resource=resource)
    )


async def audit_runs(database: Database, project: str) -> list[Finding]:
    """Checks the runs of a project: conservation, audit rows, answers left behind."""
    async with database.begin() as connection:
        runs = (await connection.execute(sa.select(tables.run).where(tables.run.c.project == project))).mappings().all()
        changes = set(
            (
                await connection.execute(
                    sa.select(tables.change.c.resource).where(
                        tables.change.c.project == project, tables.change.c.action.like("create %")
                    )
                )
            ).scalars()
        )
        left = set((await connection.execute(sa.select(tables.answer.c.run).distinct())).scalars())
    ended = [run for run in runs if run["state"] == "SUCCEEDED"]
    unequal = [run["id"] for run in ended if not conserved(run["result"])]
    # What stopped short keeps what a retry needs.
    unpruned = [run["id"] for run in ended if run["id"] in left and not run["result"].get("short")]
    unrecorded = [run["id"] for run in runs if not any(name.endswith(f"/{run['id']}") for name in changes)]
    return [
        Finding("every input of a run that succeeded ended in exactly one place", len(ended), unequal),
        Finding("every run has the audit row of who made it", len(runs), unrecorded),
        Finding("no recorded answer outlives a run that succeeded", len(ended), unpruned),
    ]


def conserved(result: dict[str, object]) -> bool:
    """Tells whether the inputs of a run equal the sum of its outputs."""
    outputs = result.get("outputs", {})
    return isinstance(outputs, dict) and result.get("inputs", 0) == sum(outputs.values())
