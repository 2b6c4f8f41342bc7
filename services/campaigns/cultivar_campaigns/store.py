"""The tables of campaigns."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cultivar_service import tables
from cultivar_service.audit import record_change
from cultivar_service.names import resource_name
from cultivar_service.paging import Page, decode_token, encode_token
from cultivar_service.principal import Principal
from cultivar_service.runs import Run
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_campaigns.errors import CampaignExists, CampaignUnknown, GateUnknown
from cultivar_campaigns.plan import Step

COLLECTION = "campaigns"
TIME = TIMESTAMP(timezone=True)
metadata = sa.MetaData()

campaigns = sa.Table(
    "campaign",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run", sa.Text),
)
stages = sa.Table(
    "stage",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer),
    sa.Column("stage", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("arm", sa.Text),
    sa.Column("training_seed", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Column("waiting_for", sa.Text),
    sa.Column("child", sa.Text),
    sa.Column("attempt", sa.Integer),
    sa.Column("progress", JSONB),
    sa.Column("usage", JSONB),
    sa.Column("error", sa.Text),
    sa.Column("artifacts", JSONB),
    sa.Column("result", JSONB),
    sa.Column("start_time", TIME),
    sa.Column("end_time", TIME),
)
gates = sa.Table(
    "gate",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("gate", sa.Text, primary_key=True),
    sa.Column("question", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("decision", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("open_time", TIME),
    sa.Column("resolve_time", TIME),
)


@dataclass(frozen=True)
class Stage:
    """A stage as its row says it."""

    round: int
    key: str
    place: int
    stage: str
    source: str
    arm: str
    training_seed: int
    state: str
    waiting_for: str
    child: str
    attempt: int
    progress: dict[str, Any]
    usage: dict[str, Any]
    error: str
    artifacts: dict[str, str]
    result: dict[str, Any]
    start_time: datetime | None
    end_time: datetime | None


@dataclass(frozen=True)
class Gate:
    """A gate as its row says it; decision is "", "GO_ON" or "STOP"."""

    gate: str
    question: str
    queue: str
    url: str
    decision: str
    principal: str
    open_time: datetime
    resolve_time: datetime | None


@dataclass(frozen=True)
class Campaign:
    """A campaign: its name, its run, and where it is."""

    id: str
    run: Run
    stages: tuple[Stage, ...]
    gates: tuple[Gate, ...]

    @property
    def name(self) -> str:
        """The resource name."""
        return resource_name(self.run.project, COLLECTION, self.id)


async def add_campaign(
    connection: AsyncConnection, principal: Principal, run: Run, campaign_id: str, base: str, steps: Sequence[Step]
) -> None:
    """Names the campaign of a run, by a number after `base` where no id is given, and adds its first round's stages.

    Raises CampaignExists where the id is taken.
    """
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{run.project}/campaigns"))))
    taken = set(await connection.scalars(sa.select(campaigns.c.id).where(campaigns.c.project == run.project)))
    if campaign_id in taken:
        raise CampaignExists(resource_name(run.project, COLLECTION, campaign_id))
    chosen = campaign_id or next_id(base, taken)
    await connection.execute(sa.insert(campaigns).values(project=run.project, id=chosen, run=run.id))
    await record_change(
        connection, principal, run.project, "create campaign", resource_name(run.project, COLLECTION, chosen)
    )
    await add_stages(connection, run.id, 1, steps)


def next_id(base: str, taken: set[str]) -> str:
    """Returns `{base}-{number}` with the number after the largest that is taken."""
    numbers = [int(found[1]) for each in taken if (found := re.fullmatch(rf"{re.escape(base)}-(\d{{1,9}})", each))]
    return f"{base}-{max(numbers, default=0) + 1}"


async def add_stages(connection: AsyncConnection, run: str, number: int, steps: Sequence[Step]) -> None:
    """Adds the stages of a round; those that are there stay as they are."""
    rows = [{"run": run, "round": number, "key": step.key, "place": i, **asdict(step)} for i, step in enumerate(steps)]
    await connection.execute(insert(stages).values(rows).on_conflict_do_nothing())


async def change_stage(connection: AsyncConnection, run: str, stage: Stage, values: dict[str, Any]) -> Stage:
    """Changes a stage and returns it."""
    mine = stages.c.run == run, stages.c.round == stage.round, stages.c.key == stage.key
    changed = sa.update(stages).where(*mine).values(**values).returning(stages)
    return read_stage((await connection.execute(changed)).mappings().one())


def read_stage(row: sa.RowMapping) -> Stage:
    """Reads a row."""
    return Stage(**{field.name: row[field.name] for field in fields(Stage)})


async def stages_of(connection: AsyncConnection, run: str) -> list[Stage]:
    """Returns the stages of a campaign in their order."""
    found = sa.select(stages).where(stages.c.run == run).order_by(stages.c.round, stages.c.place)
    return [read_stage(row) for row in (await connection.execute(found)).mappings()]


async def gates_of(connection: AsyncConnection, run: str) -> list[Gate]:
    """Returns the gates of a campaign, the oldest first."""
    found = sa.select(gates).where(gates.c.run == run).order_by(gates.c.open_time)
    return [
        Gate(**{field.name: row[field.name] for field in fields(Gate)})
        for row in (await connection.execute(found)).mappings()
    ]


async def open_gate(connection: AsyncConnection, run: str, gate: str, question: str, queue: str, url: str) -> None:
    """Opens a gate once."""
    row = insert(gates).values(run=run, gate=gate, question=question, queue=queue, url=url)
    await connection.execute(row.on_conflict_do_nothing())


async def decide_gate(connection: AsyncConnection, run: str, gate: str, decision: str, principal: str) -> None:
    """Decides a gate; the first decision stands. The empty decision says that all was reviewed."""
    mine = gates.c.run == run, gates.c.gate == gate, gates.c.resolve_time.is_(None)
    values = {"decision": decision, "principal": principal, "resolve_time": sa.func.now()}
    await connection.execute(sa.update(gates).where(*mine).values(**values))


async def campaign_id_of(connection: AsyncConnection, run: str) -> str:
    """Returns the id of the campaign of a run."""
    return str((await connection.execute(sa.select(campaigns.c.id).where(campaigns.c.run == run))).scalar_one())


async def get_campaign(connection: AsyncConnection, project: str, campaign_id: str) -> Campaign:
    """Returns a campaign; raises CampaignUnknown."""
    found = joined(project).where(campaigns.c.id == campaign_id)
    row = (await connection.execute(found)).mappings().first()
    if row is None:
        raise CampaignUnknown(resource_name(project, COLLECTION, campaign_id))
    return await whole(connection, row)


async def list_campaigns(connection: AsyncConnection, project: str, size: int, page_token: str) -> Page[Campaign]:
    """Returns a page of the campaigns of a project, the newest first."""
    before = decode_token(page_token, COLLECTION)
    found = joined(project).order_by(tables.run.c.id.desc()).limit(size + 1)
    if before:
        found = found.where(tables.run.c.id < before)
    rows = (await connection.execute(found)).mappings().all()
    items = [await whole(connection, row) for row in rows[:size]]
    return Page(items, encode_token(items[-1].run.id, COLLECTION) if len(rows) > size else "")


def joined(project: str) -> sa.Select[tuple[object, ...]]:
    """Selects the campaigns of a project with the rows of their runs."""
    columns = (campaigns.c.id.label("campaign_id"), *tables.run.c)
    both = sa.select(*columns).join(tables.run, tables.run.c.id == campaigns.c.run)
    return both.where(campaigns.c.project == project, tables.run.c.project == project)


async def whole(connection: AsyncConnection, row: sa.RowMapping) -> Campaign:
    """Returns a campaign with its stages and gates."""
    run = Run.of(row)
    of_run = await stages_of(connection, run.id)
    return Campaign(row["campaign_id"], run, tuple(of_run), tuple(await gates_of(connection, run.id)))


def pick_gate(campaign: Campaign, gate: str) -> Gate:
    """Returns a gate by its name, or the one that is open for the empty name; raises GateUnknown."""
    for each in campaign.gates:
        if each.gate == gate or (not gate and each.resolve_time is None):
            return each
    raise GateUnknown(f"{campaign.name} has no gate {gate!r}" if gate else f"{campaign.name} waits at no gate")
