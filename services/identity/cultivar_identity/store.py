"""The tables of identity."""

import hashlib
from datetime import timedelta

import sqlalchemy as sa
from cultivar_service.audit import Finding, record_change
from cultivar_service.bindings import role_binding
from cultivar_service.names import new_id, resource_name
from cultivar_service.paging import Page, decode_token, encode_token
from cultivar_service.principal import Principal
from cultivar_service.tables import change
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cultivar_identity.errors import (
    AlreadyBound,
    InvitationExpired,
    InvitationUnknown,
    InvitationUsed,
    RoleBindingUnknown,
)

BINDINGS, INVITATIONS = "roleBindings", "invitations"
REVIEWER = "ROLE_REVIEWER"
TIME = sa.TIMESTAMP(timezone=True)

invitation = sa.Table(
    "invitation",
    sa.MetaData(),
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("secret_digest", sa.Text),
    sa.Column("create_time", TIME),
    sa.Column("expire_time", TIME),
    sa.Column("accepted_by", sa.Text),
)


async def bind(
    connection: AsyncConnection, by: Principal, project: str, principal: str, role: str, invited: str = ""
) -> sa.RowMapping | None:
    """Binds a role to a principal; None where it was bound before."""
    row = {"project": project, "id": new_id(), "principal": principal, "role": role, "invitation": invited}
    placed = insert(role_binding).values(**row).on_conflict_do_nothing().returning(role_binding)
    made: sa.RowMapping | None = (await connection.execute(placed)).mappings().first()
    if made is not None:
        name = resource_name(project, BINDINGS, made["id"])
        await record_change(connection, by, project, "create role binding", name)
    return made


async def create_binding(
    connection: AsyncConnection, by: Principal, project: str, principal: str, role: str
) -> sa.RowMapping:
    """Binds a role to a principal; raises AlreadyBound."""
    made = await bind(connection, by, project, principal, role)
    if made is None:
        raise AlreadyBound(principal, project)
    return made


async def delete_binding(connection: AsyncConnection, by: Principal, project: str, identifier: str) -> sa.RowMapping:
    """Deletes a binding and returns it; raises RoleBindingUnknown."""
    name = resource_name(project, BINDINGS, identifier)
    mine = sa.and_(role_binding.c.project == project, role_binding.c.id == identifier)
    gone: sa.RowMapping | None = (
        (await connection.execute(sa.delete(role_binding).where(mine).returning(role_binding))).mappings().first()
    )
    if gone is None:
        raise RoleBindingUnknown(name)
    await record_change(connection, by, project, "delete role binding", name)
    return gone


async def create_invitation(
    connection: AsyncConnection, by: Principal, project: str, secret: str, hours: int
) -> sa.RowMapping:
    """Makes an invitation that is open for some hours from now; of its secret only the digest is kept."""
    row = {"project": project, "id": new_id(), "secret_digest": digest_of(secret)}
    until = sa.func.now() + timedelta(hours=hours)
    placed = sa.insert(invitation).values(**row, expire_time=until).returning(invitation)
    made: sa.RowMapping = (await connection.execute(placed)).mappings().one()
    await record_change(connection, by, project, "create invitation", resource_name(project, INVITATIONS, made["id"]))
    return made


async def delete_invitation(connection: AsyncConnection, by: Principal, project: str, identifier: str) -> sa.RowMapping:
    """Deletes an invitation and returns it; raises InvitationUnknown."""
    mine = sa.and_(invitation.c.project == project, invitation.c.id == identifier)
    gone: sa.RowMapping | None = (
        (await connection.execute(sa.delete(invitation).where(mine).returning(invitation))).mappings().first()
    )
    if gone is None:
        raise InvitationUnknown
    await record_change(connection, by, project, "delete invitation", resource_name(project, INVITATIONS, identifier))
    return gone


async def accept(
    connection: AsyncConnection, by: Principal, project: str, identifier: str, secret: str
) -> sa.RowMapping:
    """Binds who accepts an invitation to the role reviewer; the second of two at once waits, and finds it used.

    Raises InvitationUnknown, InvitationUsed and InvitationExpired.
    """
    mine = sa.and_(invitation.c.project == project, invitation.c.id == identifier)
    open_now = (invitation.c.expire_time > sa.func.now()).label("open_now")
    asked = sa.select(invitation, open_now).where(mine, invitation.c.secret_digest == digest_of(secret))
    found = (await connection.execute(asked.with_for_update())).mappings().first()
    if found is None:
        raise InvitationUnknown
    if found["accepted_by"] not in ("", by.name):
        raise InvitationUsed
    if not found["accepted_by"]:
        if not found["open_now"]:
            raise InvitationExpired
        await connection.execute(sa.update(invitation).where(mine).values(accepted_by=by.name))
        name = resource_name(project, INVITATIONS, identifier)
        await record_change(connection, by, project, "accept invitation", name)
        if (made := await bind(connection, by, project, by.name, REVIEWER, name)) is not None:
            return made
    bound = sa.select(role_binding).where(
        role_binding.c.project == project, role_binding.c.principal == by.name, role_binding.c.role == REVIEWER
    )
    kept: sa.RowMapping | None = (await connection.execute(bound)).mappings().first()
    if kept is None:
        # An admin took the role away since: the link does not give it again.
        raise InvitationUsed
    return kept


async def page_of(
    connection: AsyncConnection, table: sa.Table, collection: str, project: str, size: int, token: str
) -> Page[sa.RowMapping]:
    """Returns a page of a table's rows in a project, the newest first."""
    asked = sa.select(table).where(table.c.project == project).order_by(table.c.id.desc()).limit(size + 1)
    if before := decode_token(token, collection):
        asked = asked.where(table.c.id < before)
    rows = list((await connection.execute(asked)).mappings())
    return Page(rows[:size], encode_token(rows[size - 1]["id"], collection) if len(rows) > size else "")


async def check(connection: AsyncConnection, project: str) -> list[Finding]:
    """Checks that somebody is on record for each binding."""
    made = sa.select(change.c.resource).where(change.c.project == project, change.c.action == "create role binding")
    recorded = set((await connection.execute(made)).scalars())
    ids = (await connection.execute(sa.select(role_binding.c.id).where(role_binding.c.project == project))).scalars()
    names = [resource_name(project, BINDINGS, identifier) for identifier in ids]
    unrecorded = [name for name in names if name not in recorded]
    return [Finding("every role binding has the audit row of who made it", len(names), unrecorded)]


def digest_of(secret: str) -> str:
    """Returns SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
