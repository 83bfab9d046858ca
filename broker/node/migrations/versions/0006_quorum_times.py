"""Quorum times: what the time of an entry is held against, and the entries that wait for it.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables, and the index by which what no quorum covers is found."""
    op.create_table(
        "quorum_time",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, primary_key=True),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "dated_entry",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("incoming_envelope_entry", "incoming_envelope", ["origin", "entry_index"])
