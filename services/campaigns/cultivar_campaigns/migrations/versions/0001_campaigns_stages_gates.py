"""The tables of campaigns: their names, their stages and their gates."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0001"
down_revision = None

TIME = TIMESTAMP(timezone=True)
NOW = sa.text("now()")
EMPTY = sa.text("'{}'")
NONE = sa.text("''")


def upgrade() -> None:
    """Makes the tables."""
    make_campaigns()
    make_stages()
    make_gates()


def make_campaigns() -> None:
    """Makes the table of names."""
    op.create_table(
        "campaign",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, nullable=False, unique=True),
    )


def make_stages() -> None:
    """Makes the table of stages."""
    op.create_table(
        "stage",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("training_seed", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="PENDING"),
        sa.Column("waiting_for", sa.Text, nullable=False, server_default=NONE),
        sa.Column("child", sa.Text, nullable=False, server_default=NONE),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("progress", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("usage", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("error", sa.Text, nullable=False, server_default=NONE),
        sa.Column("artifacts", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("result", JSONB, nullable=False, server_default=EMPTY),
        sa.Column("start_time", TIME),
        sa.Column("end_time", TIME),
    )


def make_gates() -> None:
    """Makes the table of gates."""
    op.create_table(
        "gate",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("gate", sa.Text, primary_key=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False, server_default=NONE),
        sa.Column("principal", sa.Text, nullable=False, server_default=NONE),
        sa.Column("open_time", TIME, nullable=False, server_default=NOW),
        sa.Column("resolve_time", TIME),
    )
