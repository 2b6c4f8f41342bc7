"""The tables of review: queues, their tasks with leases, and reviews."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, TIMESTAMP

revision = "0001"
down_revision = None

TIME = TIMESTAMP(timezone=True)
NOW = sa.text("now()")
DIGESTS = ("accepted", "declined", "unreviewed", "reviews")


def upgrade() -> None:
    """Makes the tables."""
    make_queues()
    make_tasks()
    make_reviews()


def make_queues() -> None:
    """Makes the queues."""
    op.create_table(
        "queue",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("request_digest", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="OPEN"),
        sa.Column("examples", sa.BigInteger, nullable=False),
        sa.Column("tasks", sa.BigInteger, nullable=False),
        sa.Column("failed_closes", sa.Integer, nullable=False, server_default="0"),
        *(sa.Column(digest, sa.Text, nullable=False, server_default="") for digest in DIGESTS),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        sa.Column("close_time", TIME),
        sa.UniqueConstraint("project", "request_id"),
    )
    op.create_index("queue_listed", "queue", ["project", "uid"])


def make_tasks() -> None:
    """Makes the tasks of queues, with their leases."""
    op.create_table(
        "task",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, sa.ForeignKey("queue.name"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        # JSON and not JSONB: a text that a model wrote may hold U+0000, which JSONB refuses.
        sa.Column("example", JSON, nullable=False),
        sa.Column("seeds", JSON, nullable=False),
        sa.Column("reviewed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("holder", sa.Text, nullable=False, server_default=""),
        sa.Column("released_by", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("lease_time", TIME),
        sa.Column("lease_owner", sa.Text, nullable=False, server_default=""),
        sa.Column("lease_token", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("lease_until", TIME),
    )
    waiting = sa.text("NOT reviewed")
    op.create_index("task_waiting", "task", ["queue", "position"], postgresql_where=waiting)
    op.create_index("task_held", "task", ["queue", "lease_owner"], postgresql_where=waiting)
    op.create_index("task_leased", "task", ["queue", "lease_until"], postgresql_where=waiting)


def make_reviews() -> None:
    """Makes the reviews."""
    op.create_table(
        "review",
        sa.Column("task", sa.Text, sa.ForeignKey("task.name"), primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, sa.ForeignKey("queue.name"), nullable=False),
        sa.Column("example", sa.Text, nullable=False),
        sa.Column("lease_token", sa.BigInteger, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("edited", sa.Boolean, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("submit_time", TIME, nullable=False, server_default=NOW),
    )
    op.create_index("review_listed", "review", ["queue", "example"])
