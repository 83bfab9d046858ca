"""The first schema: both logs, envelopes, slots, answers, sealing keys, nonces, trust files."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "log_head",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("checkpoint", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "tile",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("level", sa.Integer, primary_key=True),
        sa.Column("tile_index", sa.BigInteger, primary_key=True),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "entry",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("statement", sa.LargeBinary),
    )
    op.create_table(
        "party",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
    )
    _relayed()
    _counted()


def _relayed() -> None:
    op.create_table(
        "envelope",
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("pae", sa.Text, nullable=False, unique=True),
        sa.Column("entry_index", sa.BigInteger, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("refusal", sa.LargeBinary),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("withdraws", sa.Text),
    )
    op.create_index("envelope_bulletin", "envelope", ["sender", "bulletin_id"])
    op.create_index("envelope_withdraws", "envelope", ["sender", "withdraws"])
    envelope_index = "envelope.entry_index"
    op.create_table(
        "body",
        sa.Column("entry_index", sa.BigInteger, sa.ForeignKey(envelope_index), primary_key=True),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "slot",
        sa.Column("entry_index", sa.BigInteger, sa.ForeignKey(envelope_index), primary_key=True),
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("slot", sa.LargeBinary, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("place_salt", sa.LargeBinary, nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
    )
    op.create_index("slot_inbox", "slot", ["desk", "answered", "rank", "entry_index"])
    op.create_table(
        "acknowledgement",
        sa.Column("pae", sa.Text, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "answer",
        sa.Column("envelope_index", sa.BigInteger, sa.ForeignKey(envelope_index), primary_key=True),
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
        sa.Column("settled", sa.Text),
    )


def _counted() -> None:
    op.create_table(
        "place",
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sealing_key",
        sa.Column("keyid", sa.Text, primary_key=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("entry_index", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_index("sealing_key_desk", "sealing_key", ["desk", "epoch"])
    op.create_table(
        "nonce",
        sa.Column("nonce", sa.Text, primary_key=True),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_nonce_expires", "nonce", ["expires"])
    op.create_table(
        "trust_file",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
