"""What filters and reviewers said of the candidates of each prompt version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the table."""
    op.create_table(
        "prompt_outcome",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("artifact", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("scores", JSONB, nullable=False),
        sa.Column("time", TIMESTAMP(timezone=True), nullable=False),
    )
