"""Purge orders: what was destroyed under them, and which envelopes were.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table and the column."""
    op.add_column("envelope", sa.Column("purged_index", sa.BigInteger))
    op.create_table(
        "purge",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
        sa.Column("places", sa.LargeBinary, nullable=False),
        sa.Column("purged_index", sa.BigInteger),
    )
