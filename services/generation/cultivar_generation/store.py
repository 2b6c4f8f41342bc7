"""The tables of generation."""

import dataclasses
from datetime import datetime

import sqlalchemy as sa
from cultivar_service.audit import record_change
from cultivar_service.principal import Principal
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_generation.errors import PromptUnknown, TeacherUnknown
from cultivar_generation.prompts import Prompt, shipped
from cultivar_generation.teacher import LOCAL, TeacherSpec, local_teacher

metadata = sa.MetaData()

prompts = sa.Table(
    "prompt",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("form", sa.Text),
    sa.Column("template", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("create_time", TIMESTAMP(timezone=True)),
    sa.Column("strategy", sa.Text),
    sa.Column("params", JSONB),
    sa.Column("parent", sa.Text),
    sa.Column("finding", sa.Text),
)
teachers = sa.Table(
    "teacher",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("spec", JSONB),
    sa.Column("update_time", TIMESTAMP(timezone=True)),
)

SHIPPED = shipped()
"""A project's own versions of a shipped name begin after the newest that is shipped."""


async def add_prompt(connection: AsyncConnection, principal: Principal, project: str, prompt: Prompt) -> Prompt:
    """Adds a version of a prompt; the newest again is returned as it is. Raises PromptUnknown for an absent parent."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"{project}/{prompt.name}"))))
    newest = await find_newest(connection, project, prompt.name)
    if newest is not None and newest.digest == prompt.digest:
        return newest
    if prompt.parent:
        await get_prompt(connection, project, prompt.parent)
    made = await numbered(connection, project, prompt)
    values = {**dataclasses.asdict(made), "project": project, "digest": made.digest}
    await connection.execute(sa.insert(prompts).values(values))
    resource = f"projects/{project}/prompts/{made.versioned_name}"
    await record_change(connection, principal, project, "create prompt", resource)
    return made


async def numbered(connection: AsyncConnection, project: str, prompt: Prompt) -> Prompt:
    """Returns a prompt with the number that it would have as the next version."""
    newest = await find_newest(connection, project, prompt.name)
    return dataclasses.replace(prompt, version=newest.version + 1 if newest is not None else 1)


async def find_newest(connection: AsyncConnection, project: str, name: str) -> Prompt | None:
    """Returns the newest version of a prompt, shipped ones included; None where there is none."""
    found = sa.select(prompts).where(prompts.c.project == project, prompts.c.name == name)
    row = (await connection.execute(found.order_by(prompts.c.version.desc()).limit(1))).mappings().first()
    return read_prompt(row) if row is not None else newest_shipped(name)


async def get_prompt(connection: AsyncConnection, project: str, versioned_name: str) -> Prompt:
    """Returns a version of a prompt, or the newest where the name has no `@`; raises PromptUnknown."""
    prompt = await find_prompt(connection, project, versioned_name)
    if prompt is None:
        raise PromptUnknown(f"projects/{project}/prompts/{versioned_name}")
    return prompt


async def find_prompt(connection: AsyncConnection, project: str, versioned_name: str) -> Prompt | None:
    """Returns a version of a prompt, or the newest where the name has no `@`; None where there is none."""
    name, _, version = versioned_name.partition("@")
    prompt = await find_newest(connection, project, name)
    if version and prompt is not None and str(prompt.version) != version:
        own = prompts.c.project == project, prompts.c.name == name, sa.cast(prompts.c.version, sa.Text) == version
        row = (await connection.execute(sa.select(prompts).where(*own))).mappings().first()
        of_ours = {str(one.version): one for one in SHIPPED.get(name, {}).values()}
        return read_prompt(row) if row is not None else of_ours.get(version)
    return prompt


async def list_prompts(connection: AsyncConnection, project: str) -> list[Prompt]:
    """Returns the newest version of each prompt, by name."""
    newest = sa.select(prompts).where(prompts.c.project == project).order_by(prompts.c.version)
    own = {row["name"]: read_prompt(row) for row in (await connection.execute(newest)).mappings()}
    found = {**{name: versions[max(versions)] for name, versions in SHIPPED.items()}, **own}
    return [found[name] for name in sorted(found)]


def read_prompt(row: sa.RowMapping) -> Prompt:
    """Reads a row."""
    return Prompt(**{field.name: row[field.name] for field in dataclasses.fields(Prompt)})


def newest_shipped(name: str) -> Prompt | None:
    """Returns the newest version that ships under a name; None where there is none."""
    versions = SHIPPED.get(name, {})
    return versions[max(versions)] if versions else None


async def put_teacher(
    connection: AsyncConnection, principal: Principal, project: str, teacher_id: str, spec: TeacherSpec
) -> None:
    """Registers a teacher, or changes the one of that name."""
    values = {"spec": spec.model_dump(mode="json"), "update_time": sa.func.now()}
    row = insert(teachers).values(project=project, id=teacher_id, **values)
    await connection.execute(row.on_conflict_do_update(index_elements=["project", "id"], set_=values))
    await record_change(connection, principal, project, "register teacher", f"projects/{project}/teachers/{teacher_id}")


async def get_teacher(
    connection: AsyncConnection, project: str, teacher_id: str
) -> tuple[TeacherSpec, datetime | None]:
    """Returns a teacher and when it changed last; every project has the local one. Raises TeacherUnknown."""
    found = sa.select(teachers).where(teachers.c.project == project, teachers.c.id == teacher_id)
    row = (await connection.execute(found)).mappings().first()
    if row is not None:
        return TeacherSpec.model_validate(row["spec"]), row["update_time"]
    if teacher_id == LOCAL:
        return local_teacher(), None
    raise TeacherUnknown(f"projects/{project}/teachers/{teacher_id}")


async def list_teachers(connection: AsyncConnection, project: str) -> list[tuple[str, TeacherSpec, datetime | None]]:
    """Returns the teachers of a project, by name."""
    rows = (await connection.execute(sa.select(teachers).where(teachers.c.project == project))).mappings()
    found: dict[str, tuple[TeacherSpec, datetime | None]] = {LOCAL: (local_teacher(), None)}
    found.update({row["id"]: (TeacherSpec.model_validate(row["spec"]), row["update_time"]) for row in rows})
    return [(name, *found[name]) for name in sorted(found)]
