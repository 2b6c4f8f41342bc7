"""What a run was asked for by, as it was sent: what it was resolved to may differ when the same is sent again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the digest of the request; a run that was made before has none."""
    op.add_column("run", sa.Column("sent_digest", sa.Text))
