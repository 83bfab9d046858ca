"""New origins: what members showed of lost entries, and what closed logs had fixed.

Revision ID: 0005
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "signed_beyond",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("checkpoint", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "carried_envelope",
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
    )
    op.create_table(
        "carried_bulletin",
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("bulletin_id", sa.Text, primary_key=True),
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("withdraws", sa.Text),
    )
