"""The tables of the console: sessions, and sign-ins that are under way."""

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
        "session",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        sa.Column("seen_time", TIME, nullable=False, server_default=NOW),
    )
    op.create_table(
        "sign_in",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
    )
