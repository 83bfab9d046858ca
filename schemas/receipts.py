"""Receipts, openings and inbox items: how the hub shows a party what stands in the log.

May import pydantic and `schemas`; the hub writes them, nodes and auditors verify them with `broker.tlog`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.limits import INBOX_PAGE_MAX, OPENINGS_PAGE_MAX, RECIPIENTS_MAX
from schemas.scalars import Base64, Count, DeskId, Message, Ordinal, Sha256Hex, Version
from schemas.statements import Statement

SALT_BYTES = 32

Salt = Annotated[Base64, Field(min_length=SALT_BYTES, max_length=SALT_BYTES)]

PATH_MAX = 64
"""Hashes of an inclusion path: one for each level of a tree of 2^64 leaves."""


class Place(Message):
    """The number of an envelope between one sender and one recipient, and the salt that blinds it."""

    desk: DeskId
    n: Ordinal
    place_salt: Salt


class Receipt(Message):
    """Proof that an entry stands in the exchange log; `places` are those that concern the reader."""

    entry: Base64
    salt: Salt
    places: Annotated[tuple[Place, ...], Field(max_length=RECIPIENTS_MAX)]
    index: Count
    path: Annotated[tuple[Sha256Hex, ...], Field(max_length=PATH_MAX)]
    checkpoint: Annotated[str, Field(min_length=1, max_length=16384)]


class ReceiptExtra(Message):
    """The extra data of a receipt file (C2SP tlog-proof): what makes the leaf, and what it is about."""

    v: Version
    entry: Base64
    salt: Salt
    statement: Statement | None = None
    places: Annotated[tuple[Place, ...], Field(max_length=RECIPIENTS_MAX)] = ()


class InboxItem(Message):
    """One waiting envelope, as its recipient gets it; `body` only where it was small enough to inline.

    `withdrawn` is the hub's mark on an original whose withdrawal waits as well; recipients believe the
    withdrawal alone, having verified it.
    """

    statement: Statement
    slot: Base64
    receipt: Receipt
    body: Base64 | None = None
    withdrawn: bool = False


class Tombstone(Message):
    """What is left of an envelope that expired before its recipient answered: why a place stays empty.

    `receipt` is of its acceptance, with the reader's place; `expired` of its `envelope.expired` entry.
    """

    statement: Statement
    receipt: Receipt
    expired: Receipt


class PurgedTombstone(Message):
    """What is left of an envelope whose opening was destroyed under an order of the council.

    `place` is the reader's, whose hash is among those of the `opening.purged` entry, and `from` its sender;
    `purged` is the receipt of that entry.
    """

    from_: Annotated[DeskId, Field(alias="from")]
    place: Place
    purged: Receipt


class InboxPage(Message):
    """Waiting items by precedence, then index; `next` is the cursor where others wait behind them.

    `tombstones` ascend by the index of their `envelope.expired` or `opening.purged` entries, where they were
    asked for.
    """

    items: Annotated[tuple[InboxItem, ...], Field(max_length=INBOX_PAGE_MAX)]
    tombstones: Annotated[
        tuple[Tombstone | PurgedTombstone, ...], Field(max_length=INBOX_PAGE_MAX)
    ] = ()
    next: Annotated[str, StringConstraints(pattern=r"^[0-3]-[0-9]{1,16}$")] | None = None


class Opening(Message):
    """What stands behind one leaf: salt (exchange log only), entry, and the statement if one was signed."""

    index: Count
    salt: Salt | None = None
    entry: Base64
    statement: Statement | None = None


class OpeningsPage(Message):
    """Openings that concern the caller, ascending by index; an auditor desk gets every one.

    `next` is the index to ask on from, where the others were too large for one answer.
    """

    openings: Annotated[tuple[Opening, ...], Field(max_length=OPENINGS_PAGE_MAX)]
    next: Count | None = None


class RecipientStatus(Message):
    """What one recipient answered: the receipts of its acknowledgements with their statements."""

    desk: DeskId
    acknowledgements: tuple[AcknowledgementProof, ...]


class AcknowledgementProof(Message):
    """A logged acknowledgement: the signed statement, and the receipt of its entry."""

    statement: Statement
    receipt: Receipt


class EnvelopeStatus(Message):
    """What became of an envelope, for its sender: the receipt, and each recipient's answers.

    `expired` is the receipt of its `envelope.expired` entry, once its `expires` has passed. `purged` is that
    of its `opening.purged` entry; its own receipt is then absent, since the hub has nothing to make it from.
    """

    receipt: Receipt | None = None
    recipients: tuple[RecipientStatus, ...]
    expired: Receipt | None = None
    purged: Receipt | None = None

    @model_validator(mode="after")
    def _accounts_for_it(self) -> Self:
        if (self.receipt is None) == (self.purged is None):
            raise ValueError("it has its receipt, or that of what destroyed it")
        return self


class SealingKeyStatements(Message):
    """Every sealing-key statement of a desk that was logged, ascending by epoch."""

    statements: tuple[Statement, ...]
