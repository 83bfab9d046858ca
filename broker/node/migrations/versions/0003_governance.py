"""Governance: how fresh the directory is, what waits until it is, and who let something leave all the same.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables and columns."""
    _freshness()


def _freshness() -> None:
    op.create_table(
        "freshness",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.add_column("sent_header", sa.Column("directory_verified", sa.BigInteger))
    op.add_column("outgoing_bulletin", sa.Column("held", sa.BigInteger))
    op.create_index("outgoing_bulletin_held", "outgoing_bulletin", ["desk", "held"])
    op.create_table(
        "confirmation",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("token_name", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("directory_verified", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
    )
    op.create_index("confirmation_of", "confirmation", ["desk", "bulletin_id"])
