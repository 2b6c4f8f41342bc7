"""The tables that every service has: runs, requests, changes and recorded answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0001"
down_revision = None

TIME = TIMESTAMP(timezone=True)
NOW = sa.text("now()")
EMPTY = sa.text("'{}'")


def upgrade() -> None:
    """Makes the tables."""
    make_runs()
    make_records()


def make_runs() -> None:
    """Makes the runs, with their leases."""
    op.create_table(
        "run",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("request_digest", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="PENDING"),
        sa.Column("waiting_for", sa.Text, nullable=False, server_default=""),
        sa.Column("wake_time", TIME),
        sa.Column("cursor", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("progress", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("usage", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("result", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("error", JSONB),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        sa.Column("start_time", TIME),
        sa.Column("end_time", TIME),
        sa.Column("update_time", TIME, nullable=False, server_default=NOW),
        sa.Column("lease_owner", sa.Text, nullable=False, server_default=""),
        sa.Column("lease_token", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("lease_until", TIME),
        sa.UniqueConstraint("project", "kind", "request_id"),
    )
    op.create_index("run_open", "run", ["create_time"], postgresql_where=sa.text("end_time IS NULL"))
    op.create_index("run_listed", "run", ["project", "kind", "id"])


def make_records() -> None:
    """Makes what is remembered: requests that were answered, who changed what, and answers of models."""
    op.create_table(
        "request",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("method", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
    )
    op.create_table(
        "change",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("time", TIME, nullable=False, server_default=NOW),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
    )
    op.create_table(
        "answer",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
