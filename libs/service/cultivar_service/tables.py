"""The tables that every service has, as the queries of this library see them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

metadata = sa.MetaData()
TIME = TIMESTAMP(timezone=True)

run = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("request_digest", sa.Text),
    sa.Column("sent_digest", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("spec", JSONB),
    sa.Column("state", sa.Text),
    sa.Column("waiting_for", sa.Text),
    sa.Column("wake_time", TIME),
    sa.Column("cursor", JSONB),
    sa.Column("progress", JSONB),
    sa.Column("usage", JSONB),
    sa.Column("result", JSONB),
    sa.Column("error", JSONB(none_as_null=True)),
    sa.Column("attempt", sa.Integer),
    sa.Column("failures", sa.Integer),
    sa.Column("create_time", TIME),
    sa.Column("start_time", TIME),
    sa.Column("end_time", TIME),
    sa.Column("update_time", TIME),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_token", sa.BigInteger),
    sa.Column("lease_until", TIME),
)

request = sa.Table(
    "request",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text),
    sa.Column("response", sa.LargeBinary),
    sa.Column("create_time", TIME),
)

change = sa.Table(
    "change",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("time", TIME),
    sa.Column("project", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("resource", sa.Text),
)

answer = sa.Table(
    "answer",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("part", sa.Integer),
    sa.Column("body", sa.LargeBinary),
)
