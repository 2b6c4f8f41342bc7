"""Which version of a prompt made the example of a review; empty in reviews of before."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("review", sa.Column("prompt", sa.Text, nullable=False, server_default=""))
