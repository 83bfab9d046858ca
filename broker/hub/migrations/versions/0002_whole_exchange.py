"""The whole exchange: attachments, and what expires.

Revision ID: 0002
Revises: 0001
"""

import json
from base64 import b64decode
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns; `expires` of what is there is read from its header."""
    op.add_column(
        "envelope", sa.Column("expires", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("envelope", sa.Column("expired_index", sa.BigInteger))
    _read_expiry()
    op.create_index("envelope_expiry", "envelope", ["problem", "expired_index", "expires"])
    op.add_column("slot", sa.Column("expired_index", sa.BigInteger))
    op.create_index("slot_tombstone", "slot", ["desk", "expired_index"])
    _attachments()


def _read_expiry() -> None:
    connection = op.get_bind()
    entries = connection.execute(
        sa.text(
            "SELECT envelope.entry_index, entry.entry FROM envelope"
            " JOIN entry ON entry.entry_index = envelope.entry_index AND entry.log = 'exchange'"
        )
    ).all()
    for index, entry in entries:
        header = json.loads(b64decode(json.loads(entry)["header"]))
        expires = int(datetime.fromisoformat(header["expires"]).timestamp())
        connection.execute(
            sa.text("UPDATE envelope SET expires = :expires WHERE entry_index = :at"),
            {"expires": expires, "at": index},
        )


def _attachments() -> None:
    op.create_table(
        "attachment",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("entry_index", sa.BigInteger, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "attachment_owner",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.Integer, nullable=False),
    )
    op.create_index("attachment_owner_of", "attachment_owner", ["sha256"])
    op.create_table(
        "envelope_attachment",
        sa.Column(
            "entry_index",
            sa.BigInteger,
            sa.ForeignKey("envelope.entry_index"),
            primary_key=True,
        ),
        sa.Column("sha256", sa.Text, primary_key=True),
    )
    op.create_index("envelope_attachment_of", "envelope_attachment", ["sha256"])
