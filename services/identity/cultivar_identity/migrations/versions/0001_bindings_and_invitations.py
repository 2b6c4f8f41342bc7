"""The tables of identity: role bindings and invitations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0001"
down_revision = None

TIME = TIMESTAMP(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "role_binding",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("invitation", sa.Text, nullable=False, server_default=""),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        sa.UniqueConstraint("principal", "project", "role"),
    )
    op.create_table(
        "invitation",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("secret_digest", sa.Text, nullable=False),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        sa.Column("expire_time", TIME, nullable=False),
        sa.Column("accepted_by", sa.Text, nullable=False, server_default=""),
    )
    # Every service reads the roles when it admits a call, each under its own database role, and nothing else here.
    op.execute("GRANT USAGE ON SCHEMA identity TO PUBLIC")
    op.execute("GRANT SELECT ON identity.role_binding TO PUBLIC")
