"""What each alias names and has named."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "alias_move",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("alias", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("adapter", sa.Text, nullable=False),
        sa.Column("base_model", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("create_time", TIMESTAMP(timezone=True), nullable=False, server_default=sa.text("now()")),
    )
