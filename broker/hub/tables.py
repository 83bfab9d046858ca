"""The hub's tables: two logs, what was relayed, who must answer, and what must never happen twice.

May import SQLAlchemy; `ledger` writes them in one transaction, `reading` modules query them.
Times are seconds since 1970; hashes and ids are text as they travel, leaf and tree hashes are raw bytes.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

log_head = Table(
    "log_head",
    metadata,
    Column("log", Text, primary_key=True),  # directory or exchange
    Column("generation", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("checkpoint", Text, nullable=False),  # with both of the log's signature lines
    Column("at", BigInteger, nullable=False),  # of the newest entry of either log
)

tile = Table(
    "tile",
    metadata,
    Column("log", Text, primary_key=True),
    Column("level", Integer, primary_key=True),
    Column("tile_index", BigInteger, primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
)

entry = Table(
    "entry",
    metadata,
    Column("log", Text, primary_key=True),
    Column("entry_index", BigInteger, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("salt", LargeBinary),  # exchange log only; NULL there once the opening was destroyed
    Column("entry", LargeBinary, nullable=False),  # then the leaf's data alone, 32 bytes
    Column("statement", LargeBinary),  # JSON of the DSSE statement, where one was signed
)

party = Table(
    "party",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("entry_index", BigInteger, primary_key=True),
)
"""Who may open an entry of the exchange log, beside auditor desks."""

envelope = Table(
    "envelope",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("pae", Text, nullable=False, unique=True),
    Column("entry_index", BigInteger, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("problem", Text),  # the final refusal's word; NULL where accepted
    Column("refusal", LargeBinary),  # the refusal's detail and extensions, JSON
    Column("bulletin_id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("withdraws", Text),  # the bulletin id that its header withdraws
    Column("expires", BigInteger, nullable=False),
    Column("expired_index", BigInteger),  # of its `envelope.expired` entry; NULL: not yet
    Column("purged_index", BigInteger),  # of its `opening.purged` entry, in this log
    Index("envelope_bulletin", "sender", "bulletin_id"),
    Index("envelope_withdraws", "sender", "withdraws"),
    Index("envelope_expiry", "problem", "expired_index", "expires"),
)

body = Table(
    "body",
    metadata,
    Column("entry_index", BigInteger, ForeignKey("envelope.entry_index"), primary_key=True),
    Column("ciphertext", LargeBinary, nullable=False),
)

slot = Table(
    "slot",
    metadata,
    Column("entry_index", BigInteger, ForeignKey("envelope.entry_index"), primary_key=True),
    Column("desk", Text, primary_key=True),
    Column("rank", Integer, nullable=False),  # of the precedence; 0 is flash
    Column("slot", LargeBinary, nullable=False),  # empty once it expired
    Column("n", BigInteger, nullable=False),
    Column("place_salt", LargeBinary, nullable=False),
    # 0: waits, 1: answered, 2: expired unanswered, 3: destroyed under an order
    Column("answered", Integer, nullable=False),
    Column("expired_index", BigInteger),  # of the `envelope.expired` or `opening.purged` entry
    Index("slot_inbox", "desk", "answered", "rank", "entry_index"),
    Index("slot_tombstone", "desk", "expired_index"),
)

EXPIRED_UNANSWERED = 2
"""`answered` of a slot whose desk had not answered when its envelope expired."""

PURGED = 3
"""`answered` of a slot whose envelope was destroyed under an order of the council, answered or not."""

purge = Table(
    "purge",
    metadata,
    Column("origin", Text, primary_key=True),  # of the exchange log, this one or a closed one
    Column("entry_index", BigInteger, primary_key=True),
    Column("places", LargeBinary, nullable=False),  # JSON: the blinded places that the entry gave
    Column("purged_index", BigInteger),  # of the `opening.purged` entry; NULL: yet to be logged
)
"""Openings that were destroyed, and the entries that say so."""

attachment = Table(
    "attachment",
    metadata,
    Column("sha256", Text, primary_key=True),  # of the ciphertext
    Column("size", BigInteger, nullable=False),  # in bytes
    Column("entry_index", BigInteger, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
)
"""Attachments that were ever stored, and the entry that says so; what is here now, some owner has stored."""

attachment_owner = Table(
    "attachment_owner",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("sha256", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),  # reserved from the first piece on
    Column("begun", BigInteger, nullable=False),  # the upload; once it is stored, when that was
    Column("stored", Integer, nullable=False),  # 1: this desk has uploaded all of it
    Index("attachment_owner_of", "sha256"),
)
"""Who uploads or has uploaded an attachment: a desk's quota counts its rows."""

envelope_attachment = Table(
    "envelope_attachment",
    metadata,
    Column("entry_index", BigInteger, ForeignKey("envelope.entry_index"), primary_key=True),
    Column("sha256", Text, primary_key=True),
    Index("envelope_attachment_of", "sha256"),
)
"""Accepted envelopes that name an attachment: their recipients may download it."""

place = Table(
    "place",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("pae", Text, primary_key=True),
    Column("entry_index", BigInteger, nullable=False, unique=True),
)

answer = Table(
    "answer",
    metadata,
    Column("envelope_index", BigInteger, ForeignKey("envelope.entry_index"), primary_key=True),
    Column("desk", Text, primary_key=True),
    Column("entry_index", BigInteger, primary_key=True),
    Column("settled", Text),  # the result; NULL where `cannot_open` settled nothing
)
"""Which acknowledgement entries answer an envelope."""

sealing_key = Table(
    "sealing_key",
    metadata,
    Column("keyid", Text, primary_key=True),
    Column("desk", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("entry_index", BigInteger, nullable=False, unique=True),
    Index("sealing_key_desk", "desk", "epoch"),
)

nonce = Table(
    "nonce",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("expires", BigInteger, nullable=False, index=True),
)

witness_round = Table(
    "witness_round",
    metadata,
    Column("log", Text, primary_key=True),
    Column(
        "checkpoint", Text, nullable=False
    ),  # with the log's signature lines, as witnesses get it
    Column("size", BigInteger, nullable=False),
    Column("begun", BigInteger, nullable=False),
)
"""The checkpoint of each log that witnesses are asked to cosign."""

cosignature = Table(
    "cosignature",
    metadata,
    Column("log", Text, primary_key=True),
    Column("member", Text, primary_key=True),
    Column("line", Text, nullable=False),  # of the checkpoint in `witness_round`
)

witnessed = Table(
    "witnessed",
    metadata,
    Column("log", Text, primary_key=True),
    Column("checkpoint", Text, nullable=False),  # with the lines of the log and of a quorum
    Column("size", BigInteger, nullable=False),
)
"""The newest checkpoint of each log that a quorum cosigned."""

signed_beyond = Table(
    "signed_beyond",
    metadata,
    Column("log", Text, primary_key=True),
    Column("checkpoint", Text, nullable=False),  # signed by this hub's keys of the log
    Column("size", BigInteger, nullable=False),
)
"""The longest tree of each log that members showed, where it was longer than what is here."""

carried_envelope = Table(
    "carried_envelope",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("id", Text, primary_key=True),
)
"""Envelopes of closed logs, or that members gave back: their ids are used up."""

carried_bulletin = Table(
    "carried_bulletin",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("bulletin_id", Text, primary_key=True),
    Column("desk", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("withdraws", Text),
)
"""What was sent to whom in closed logs, or by receipts that members gave back."""

trust_file = Table(
    "trust_file",
    metadata,
    Column("name", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
