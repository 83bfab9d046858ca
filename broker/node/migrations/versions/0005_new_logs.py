"""New logs: which directory log an entry is of, and which exchange log is looked at.

Revision ID: 0005
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; what is there is of the first generation."""
    op.rename_table("follow_opening", "follow_opening_before")
    op.create_table(
        "follow_opening",
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
        sa.Column("opening", sa.LargeBinary, nullable=False),
    )
    op.execute(
        "INSERT INTO follow_opening SELECT 1, entry_index, opening FROM follow_opening_before"
    )
    op.drop_table("follow_opening_before")
    with op.batch_alter_table("watched") as watched:
        watched.add_column(sa.Column("origin", sa.Text, nullable=False, server_default=""))
    # A checkpoint begins with its log's origin.
    op.execute(
        "UPDATE watched SET origin = (SELECT substr(checkpoint, 1, instr(checkpoint, char(10)) - 1)"
        " FROM follow_checkpoint WHERE log = 'exchange')"
    )
