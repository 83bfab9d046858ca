"""The whole exchange: attachments, withdrawals, threads, releases to sign, alarms that are answered.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns."""
    _outgoing()
    _incoming()
    op.add_column("place", sa.Column("explained", sa.Text))
    op.add_column(
        "watched", sa.Column("tombstones", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("alarm", sa.Column("acknowledged", sa.BigInteger))
    op.add_column("alarm", sa.Column("acknowledged_by", sa.Text))
    op.add_column("alarm", sa.Column("notified", sa.BigInteger))
    op.add_column("alarm", sa.Column("notices", sa.Integer, nullable=False, server_default="0"))
    _alarms()


def _alarms() -> None:
    op.create_table(
        "alarm_notice",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("sent", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "alarm_history",
        sa.Column("alarm_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("acknowledged", sa.BigInteger),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("notified", sa.BigInteger),
        sa.Column("notices", sa.Integer, nullable=False),
        sa.Column("cleared", sa.BigInteger, nullable=False),
    )


def _outgoing() -> None:
    for column in (
        sa.Column("withdraws", sa.Text),
        sa.Column("supersedes", sa.Text),
        sa.Column("separately", sa.Integer, nullable=False, server_default="0"),
        sa.Column("withdrawn", sa.BigInteger),
        sa.Column("reply_desk", sa.Text),
        sa.Column("reply_id", sa.Text),
        sa.Column("draft", sa.LargeBinary),
    ):
        op.add_column("outgoing_bulletin", column)
    op.create_index("outgoing_bulletin_reply", "outgoing_bulletin", ["reply_desk", "reply_id"])
    op.create_table(
        "outgoing_attachment",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("bulletin_id", sa.Text, primary_key=True),
        sa.Column("attachment_id", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("sealed_sha256", sa.Text),
        sa.Column("sealed_size", sa.BigInteger),
        sa.Column("uploaded", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("stored", sa.BigInteger),
        sa.Column("begun", sa.BigInteger, nullable=False),
    )


def _incoming() -> None:
    for column in (
        sa.Column("withdraws", sa.Text),
        sa.Column("supersedes", sa.Text),
        sa.Column("withdrawn", sa.BigInteger),
        sa.Column("withdrawn_by", sa.Text),
        sa.Column("superseded_by", sa.Text),
        sa.Column("exported", sa.BigInteger),
        sa.Column("reply_desk", sa.Text),
        sa.Column("reply_id", sa.Text),
    ):
        op.add_column("incoming_bulletin", column)
    op.create_index("incoming_bulletin_reply", "incoming_bulletin", ["reply_desk", "reply_id"])
    op.create_index(
        "incoming_bulletin_withdraws", "incoming_bulletin", ["desk", "sender", "withdraws"]
    )
    op.create_index(
        "incoming_bulletin_supersedes", "incoming_bulletin", ["desk", "sender", "supersedes"]
    )
    op.create_table(
        "incoming_attachment",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("bulletin_id", sa.Text, primary_key=True),
        sa.Column("attachment_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("sealed_sha256", sa.Text, nullable=False),
        sa.Column("sealed_size", sa.BigInteger, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "ix_incoming_attachment_sealed_sha256", "incoming_attachment", ["sealed_sha256"]
    )
