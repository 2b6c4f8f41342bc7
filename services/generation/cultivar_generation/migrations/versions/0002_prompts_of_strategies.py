"""What a prompt was written for and what it amends; what became of the calls of each prompt version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the columns and the table."""
    for name in ("strategy", "parent", "finding"):
        op.add_column("prompt", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("prompt", sa.Column("params", JSONB, nullable=False, server_default=sa.text("'{}'")))
    op.create_table(
        "prompt_yield",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("update_time", TIMESTAMP(timezone=True), nullable=False, server_default=sa.text("now()")),
    )
