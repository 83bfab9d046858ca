"""The first schema: outbox, deliveries, inbox, places, answers, keys, the followed logs, tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _leaving()
    _arrived()
    _answered()
    _known()
    _people()


def _leaving() -> None:
    op.create_table(
        "outgoing_bulletin",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("content_salt", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        sa.Column("precedence", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("release", sa.LargeBinary),
        sa.Column("release_salts", sa.LargeBinary, nullable=False),
        sa.Column("queued", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("desk", "bulletin_id"),
    )
    op.create_table(
        "delivery",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("bulletin_id", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("envelope_id", sa.Text),
        sa.Column("sealed_again", sa.Integer, nullable=False),
        sa.Column("alone", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["desk", "bulletin_id"], ["outgoing_bulletin.desk", "outgoing_bulletin.bulletin_id"]
        ),
    )
    op.create_index("delivery_state", "delivery", ["state"])
    op.create_table(
        "delivery_change",
        sa.Column("change_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("policies", sa.LargeBinary),
        sa.Column("envelope_id", sa.Text),
        sa.Column("proof", sa.LargeBinary),
    )
    op.create_index("delivery_change_of", "delivery_change", ["desk", "bulletin_id", "recipient"])
    op.create_table(
        "outgoing_envelope",
        sa.Column("envelope_id", sa.Text, primary_key=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("desks", sa.LargeBinary, nullable=False),
        sa.Column("content_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("next_try", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("must_seal", sa.Integer, nullable=False),
        sa.Column("stale_desks", sa.LargeBinary, nullable=False),
        sa.Column("entry_index", sa.BigInteger),
        sa.Column("leaf", sa.Text),
        sa.Column("receipt", sa.LargeBinary),
        sa.Column("problem", sa.Text),
        sa.ForeignKeyConstraint(
            ["desk", "bulletin_id"], ["outgoing_bulletin.desk", "outgoing_bulletin.bulletin_id"]
        ),
    )
    op.create_index("outgoing_envelope_due", "outgoing_envelope", ["desk", "state", "next_try"])
    op.create_table(
        "sent_header",
        sa.Column("pae", sa.Text, primary_key=True),
        sa.Column("envelope_id", sa.Text, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("sealed_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_sent_header_envelope_id", "sent_header", ["envelope_id"])


def _arrived() -> None:
    op.create_table(
        "incoming_bulletin",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("envelope_id", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("read", sa.BigInteger),
        sa.Column("quarantined", sa.Integer, nullable=False),
        sa.Column("retain_until", sa.BigInteger),
        sa.Column("review_by", sa.BigInteger),
        sa.UniqueConstraint("desk", "sender", "bulletin_id", "content"),
    )
    op.create_index(
        "incoming_bulletin_list", "incoming_bulletin", ["desk", "quarantined", "rank", "number"]
    )
    op.create_table(
        "incoming_envelope",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("envelope_id", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("entry_index", sa.BigInteger, nullable=False),
        sa.Column("leaf", sa.Text, nullable=False),
        sa.Column("bulletin_id", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("slot", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
        sa.Column("content_key", sa.LargeBinary),
        sa.Column("reason", sa.Text),
        sa.Column("received", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "incoming_envelope_bulletin", "incoming_envelope", ["desk", "sender", "bulletin_id"]
    )
    op.create_table(
        "place",
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("recipient", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("n", sa.BigInteger, primary_key=True),
        sa.Column("entry_index", sa.BigInteger, nullable=False),
    )


def _answered() -> None:
    op.create_table(
        "answer",
        sa.Column("answer_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("envelope_id", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("entry_index", sa.BigInteger, nullable=False),
        sa.Column("leaf", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("made", sa.BigInteger, nullable=False),
        sa.Column("acknowledgement", sa.Text),
    )
    op.create_index("answer_waiting", "answer", ["desk", "acknowledgement"])
    op.create_index("answer_of", "answer", ["desk", "sender", "envelope_id"])
    op.create_index("ix_answer_acknowledgement", "answer", ["acknowledgement"])
    op.create_table(
        "acknowledgement",
        sa.Column("pae", sa.Text, primary_key=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("receipt", sa.LargeBinary),
        sa.Column("made", sa.BigInteger, nullable=False),
    )
    op.create_index("acknowledgement_state", "acknowledgement", ["desk", "state"])


def _known() -> None:
    op.create_table(
        "sealing_key",
        sa.Column("keyid", sa.Text, primary_key=True),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("made", sa.BigInteger, nullable=False),
        sa.Column("logged", sa.BigInteger),
    )
    op.create_index("sealing_key_desk", "sealing_key", ["desk", "epoch"])
    op.create_table(
        "follow_opening",
        sa.Column("entry_index", sa.BigInteger, primary_key=True),
        sa.Column("opening", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "follow_checkpoint",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("checkpoint", sa.Text, nullable=False),
    )
    op.create_table(
        "follow_trust_file",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "watched",
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
    )


def _people() -> None:
    op.create_table(
        "alarm",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
    op.create_table(
        "token",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("desk", sa.Text, nullable=False),
        sa.Column("actions", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("revoked", sa.BigInteger),
    )
