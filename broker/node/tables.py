"""The node's tables: what leaves, what arrived, what was answered, what is known of the hub.

May import SQLAlchemy; the modules of this room read and write them, each in short transactions.
Times are seconds since 1970; ids, hashes and JSON documents are as they travel.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# What leaves.

outgoing_bulletin = Table(
    "outgoing_bulletin",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # in the order of arrival
    Column("desk", Text, nullable=False),
    Column("bulletin_id", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),  # the exact JSON that was handed in
    Column("content_salt", LargeBinary, nullable=False),  # drawn once
    Column("content", Text, nullable=False),
    Column("asked", LargeBinary, nullable=False),  # desks and groups as the agency named them, JSON
    Column("precedence", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("release", LargeBinary),  # statement, JSON
    Column("release_salts", LargeBinary, nullable=False),  # desk → base64, JSON
    Column("queued", BigInteger, nullable=False),
    Column("withdraws", Text),  # the bulletin of this desk that it withdraws
    Column("supersedes", Text),  # or that it replaces
    Column("separately", Integer, nullable=False, server_default="0"),  # 1: one for each desk
    Column("withdrawn", BigInteger),  # when this desk queued its withdrawal
    Column("reply_desk", Text),  # the bulletin that it answers
    Column("reply_id", Text),
    Column("draft", LargeBinary),  # of the release that people have yet to sign, JSON
    Column("held", BigInteger),  # since when the directory is too old for it to leave
    UniqueConstraint("desk", "bulletin_id"),
    Index("outgoing_bulletin_held", "desk", "held"),
    Index("outgoing_bulletin_reply", "reply_desk", "reply_id"),
)

outgoing_attachment = Table(
    "outgoing_attachment",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("bulletin_id", Text, primary_key=True),
    Column("attachment_id", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),  # of the plaintext, in bytes
    Column("sha256", Text, nullable=False),  # of the plaintext, as the agency announced it
    Column("key", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),  # plaintext bytes sealed so far
    Column("sealed_sha256", Text),  # of the ciphertext; NULL until it is whole
    Column("sealed_size", BigInteger),
    Column("uploaded", BigInteger, nullable=False, server_default="0"),
    Column("stored", BigInteger),  # when the hub had it whole
    Column("begun", BigInteger, nullable=False),
)
"""Attachments that leave: their ciphertext is a file of the data directory."""

delivery = Table(
    "delivery",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("bulletin_id", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("envelope_id", Text),  # the newest that carries it
    Column("sealed_again", Integer, nullable=False),  # after cannot_open, by itself: 0 or 1
    Column("alone", Integer, nullable=False),  # 1: it made an envelope stale twice
    ForeignKeyConstraint(
        ["desk", "bulletin_id"], ["outgoing_bulletin.desk", "outgoing_bulletin.bulletin_id"]
    ),
    Index("delivery_state", "state"),
)

delivery_change = Table(
    "delivery_change",
    metadata,
    Column("change_id", Integer, primary_key=True, autoincrement=True),
    Column("desk", Text, nullable=False),
    Column("bulletin_id", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text),
    Column("policies", LargeBinary),  # ids, JSON, where the access rules decided
    Column("envelope_id", Text),
    Column("proof", LargeBinary),  # JSON of an AcknowledgementProof
    Index("delivery_change_of", "desk", "bulletin_id", "recipient"),
)

outgoing_envelope = Table(
    "outgoing_envelope",
    metadata,
    Column("envelope_id", Text, primary_key=True),
    Column("desk", Text, nullable=False),
    Column("bulletin_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("desks", LargeBinary, nullable=False),  # recipients, sorted, JSON
    Column("content_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary),  # the exact JSON to submit, until it is answered or too old
    Column("rank", Integer, nullable=False),  # of the precedence; 0 is flash
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("next_try", BigInteger),  # submit, or ask for the status, not before; NULL: no need
    Column("tries", Integer, nullable=False),  # since something last moved
    Column("must_seal", Integer, nullable=False),  # 1: the hub called the header stale
    Column("stale_desks", LargeBinary, nullable=False),  # named by such refusals, JSON
    Column("entry_index", BigInteger),
    Column("leaf", Text),
    Column("receipt", LargeBinary),
    Column("problem", Text),
    ForeignKeyConstraint(
        ["desk", "bulletin_id"], ["outgoing_bulletin.desk", "outgoing_bulletin.bulletin_id"]
    ),
    Index("outgoing_envelope_due", "desk", "state", "next_try"),
)

sent_header = Table(
    "sent_header",
    metadata,
    Column("pae", Text, primary_key=True),
    Column("envelope_id", Text, nullable=False, index=True),
    Column("statement", LargeBinary, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    Column("directory_verified", BigInteger),  # when its directory had last been found fresh
)
"""Every header that may have been sent: a receipt may name an earlier one."""

confirmation = Table(
    "confirmation",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("desk", Text, nullable=False),
    Column("bulletin_id", Text, nullable=False),
    Column("by", Text, nullable=False),  # the person, as the token's holder named them
    Column("token_id", Text, nullable=False),
    Column("token_name", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("directory_verified", BigInteger),  # when the directory had last been found fresh
    Column("ended", BigInteger),  # when it was fresh again: from then on this lets nothing leave
    Index("confirmation_of", "desk", "bulletin_id"),
)
"""People who let a bulletin leave though the directory was over the grace; kept for good."""

# What arrived.

incoming_bulletin = Table(
    "incoming_bulletin",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # in the order of arrival
    Column("desk", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("bulletin_id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("envelope_id", Text, nullable=False),  # that it first came in
    Column("rank", Integer, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("read", BigInteger),
    Column("quarantined", Integer, nullable=False),  # 1: another content has the same id
    Column("retain_until", BigInteger),
    Column("review_by", BigInteger),
    Column("withdraws", Text),  # the bulletin of its sender that it withdraws
    Column("supersedes", Text),  # or that it replaces
    Column("withdrawn", BigInteger),  # since when its sender has withdrawn it
    Column("withdrawn_by", Text),  # the id of the withdrawal
    Column("superseded_by", Text),  # the id of the correction
    Column("exported", BigInteger),  # when it first left the inbox as a file
    Column("reply_desk", Text),  # the bulletin that it answers
    Column("reply_id", Text),
    UniqueConstraint("desk", "sender", "bulletin_id", "content"),
    Index("incoming_bulletin_list", "desk", "quarantined", "rank", "number"),
    Index("incoming_bulletin_reply", "reply_desk", "reply_id"),
    Index("incoming_bulletin_withdraws", "desk", "sender", "withdraws"),
    Index("incoming_bulletin_supersedes", "desk", "sender", "supersedes"),
)

incoming_attachment = Table(
    "incoming_attachment",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("bulletin_id", Text, primary_key=True),
    Column("attachment_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # of the plaintext, in bytes
    Column("sha256", Text, nullable=False),  # of the plaintext
    Column("sealed_sha256", Text, nullable=False, index=True),  # its file's name
    Column("sealed_size", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
)
"""Attachments that arrived, were opened to their end, and rest as ciphertext in the data directory."""

incoming_envelope = Table(
    "incoming_envelope",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("envelope_id", Text, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("entry_index", BigInteger, nullable=False),
    Column("leaf", Text, nullable=False),
    Column("bulletin_id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("slot", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("content_key", LargeBinary),  # NULL where the slot did not open
    Column("reason", Text),  # NULL: delivered; else the problem of the rejection
    Column("received", BigInteger, nullable=False),
    Index("incoming_envelope_bulletin", "desk", "sender", "bulletin_id"),
    Index("incoming_envelope_entry", "origin", "entry_index"),
)
"""Every envelope that was logged for a desk, as evidence, opened or not."""

place = Table(
    "place",
    metadata,
    Column("holder", Text, primary_key=True),  # the own desk that was told
    Column("sender", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("entry_index", BigInteger, nullable=False),
    Column("explained", Text),  # why no envelope is here: `expired` or `restored`
)

# What was answered.

answer = Table(
    "answer",
    metadata,
    Column("answer_id", Integer, primary_key=True, autoincrement=True),
    Column("desk", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("envelope_id", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("entry_index", BigInteger, nullable=False),
    Column("leaf", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("reason", Text),
    Column("made", BigInteger, nullable=False),
    Column("acknowledgement", Text, index=True),  # the statement that carries it; NULL: none yet
    Index("answer_waiting", "desk", "acknowledgement"),
    Index("answer_of", "desk", "sender", "envelope_id"),
)

acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("pae", Text, primary_key=True),
    Column("desk", Text, nullable=False),
    Column("state", Text, nullable=False),  # signed, logged, refused or stale
    Column("statement", LargeBinary, nullable=False),
    Column("receipt", LargeBinary),
    Column("made", BigInteger, nullable=False),
    Index("acknowledgement_state", "desk", "state"),
)

# Keys, and what is known of the hub.

sealing_key = Table(
    "sealing_key",
    metadata,
    Column("keyid", Text, primary_key=True),
    Column("desk", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # made, logged, passed_over, destroyed or earlier
    Column("statement", LargeBinary, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("logged", BigInteger),
    Index("sealing_key_desk", "desk", "epoch"),
)

follow_opening = Table(
    "follow_opening",
    metadata,
    Column("generation", Integer, primary_key=True),
    Column("entry_index", BigInteger, primary_key=True),
    Column("opening", LargeBinary, nullable=False),
)

follow_checkpoint = Table(
    "follow_checkpoint",
    metadata,
    Column("log", Text, primary_key=True),
    Column("checkpoint", Text, nullable=False),
)

follow_trust_file = Table(
    "follow_trust_file",
    metadata,
    Column("name", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

freshness = Table(
    "freshness",
    metadata,
    Column("source", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
"""When each source of freshness last vouched for the directory that this node follows."""

quorum_time = Table(
    "quorum_time",
    metadata,
    Column("origin", Text, primary_key=True),  # of the log
    Column("size", BigInteger, primary_key=True),
    Column("first", BigInteger, nullable=False),  # when a quorum first cosigned it at this size
    Column("last", BigInteger, nullable=False),  # and when one last did
)

dated_entry = Table(
    "dated_entry",
    metadata,
    Column("origin", Text, primary_key=True),  # of the log
    Column("entry_index", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),  # the time that it claims
)
"""Entries that no quorum covers yet: the first that does says whether their time can be true."""

watched = Table(
    "watched",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("origin", Text, nullable=False),  # of the exchange log that is looked at
    Column("size", BigInteger, nullable=False),  # entries of it looked at so far
    Column("tombstones", BigInteger, nullable=False, server_default="0"),  # asked for from here on
)

# People and programs.

alarm = Table(
    "alarm",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("acknowledged", BigInteger),
    Column("acknowledged_by", Text),
    Column("notified", BigInteger),  # when the last notice left
    Column("notices", Integer, nullable=False, server_default="0"),
)

alarm_notice = Table(
    "alarm_notice",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("channel", Text, primary_key=True),  # command or smtp
    Column("sent", BigInteger, nullable=False),  # the last one that went this way
)
"""When each alarm that waits for a person was last told, by each way that a notice can go."""

alarm_history = Table(
    "alarm_history",
    metadata,
    Column("alarm_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("acknowledged", BigInteger),
    Column("acknowledged_by", Text),
    Column("notified", BigInteger),
    Column("notices", Integer, nullable=False),
    Column("cleared", BigInteger, nullable=False),
)
"""Alarms that are over, the newest thousand."""

token = Table(
    "token",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("desk", Text, nullable=False),
    Column("actions", Text, nullable=False),  # sorted words, separated by a space
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
)
