"""The tables of generation: prompt versions and teachers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0001"
down_revision = None

NOW = sa.text("now()")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "prompt",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("create_time", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    )
    op.create_table(
        "teacher",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("update_time", TIMESTAMP(timezone=True), nullable=False, server_default=NOW),
    )
