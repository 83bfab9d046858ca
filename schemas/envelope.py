"""The envelope: its header, which the hub reads, and the sealed bytes, which it cannot.

May import pydantic and `schemas`; `keys.envelope` seals and opens it, hub, node and auditor read the header.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.bulletin.marking import HeaderMarking as HeaderMarking
from schemas.bulletin.vocabularies import Kind, Precedence, Purpose, Status, Topic
from schemas.limits import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, RECIPIENTS_MAX, TOPICS_MAX
from schemas.scalars import (
    Base64,
    Count,
    DeskId,
    ExchangeName,
    Message,
    Sha256Hex,
    SortedUnique,
    UtcTime,
    Uuid7,
    Version,
)
from schemas.statements import Signature, Statement

SLOT_BYTES = 1120 + 32 + 16
"""HPKE encapsulation (ML-KEM-768 1088, X25519 32), content key, AES-GCM tag."""


class BulletinRef(Message):
    """Which bulletin travels: its id, and the salted hash that is the same in all its envelopes."""

    id: Uuid7
    content: Sha256Hex


class Recipient(Message):
    """One desk that receives: the sealing key used, and the hash of its slot."""

    desk: DeskId
    keyid: Sha256Hex
    slot_sha256: Sha256Hex


class BodyRef(Message):
    """The ciphertext (with its tag), and the commitment to the content key."""

    sha256: Sha256Hex
    size: Count
    commitment: Sha256Hex


class AttachmentRef(Message):
    """One sealed attachment: hash and size in bytes of all of its ciphertext."""

    id: Uuid7
    sha256: Sha256Hex
    size: Annotated[int, Field(ge=1, le=ATTACHMENT_BYTES_MAX)]


class DirectoryRef(Message):
    """An entry of the directory log: the directory that an envelope was sealed under."""

    origin: Annotated[str, Field(min_length=1, max_length=255)]
    index: Count
    leaf: Sha256Hex


def _sorted_desks(recipients: tuple[Recipient, ...]) -> tuple[Recipient, ...]:
    desks = [recipient.desk for recipient in recipients]
    if any(left >= right for left, right in pairwise(desks)):
        raise ValueError("recipients are sorted by desk, and none twice")
    return recipients


class Header(Message):
    """The routing header: all that the hub learns of a bulletin."""

    v: Version
    exchange: ExchangeName
    id: Uuid7
    bulletin: BulletinRef
    status: Status
    from_: Annotated[DeskId, Field(alias="from")]
    created: UtcTime
    expires: UtcTime
    precedence: Precedence
    kind: Kind
    topics: Annotated[tuple[Topic, ...], Field(min_length=1, max_length=TOPICS_MAX), SortedUnique]
    purpose: Purpose
    personal_data: bool
    marking: HeaderMarking
    recipients: Annotated[
        tuple[Recipient, ...],
        Field(min_length=1, max_length=RECIPIENTS_MAX),
        AfterValidator(_sorted_desks),
    ]
    body: BodyRef
    attachments: Annotated[tuple[AttachmentRef, ...], Field(max_length=ATTACHMENTS_MAX)]
    directory: DirectoryRef
    supersedes: Uuid7 | None = None
    withdraws: Uuid7 | None = None

    @model_validator(mode="after")
    def _withdraws_or_supersedes(self) -> Self:
        if self.supersedes is not None and self.withdraws is not None:
            raise ValueError("an envelope supersedes or withdraws, never both")
        if (self.kind is Kind.WITHDRAWAL) != (self.withdraws is not None):
            raise ValueError("the kind withdrawal and the member withdraws come together")
        return self

    @property
    def desks(self) -> tuple[str, ...]:
        """The recipients' desks, sorted."""
        return tuple(recipient.desk for recipient in self.recipients)


class Envelope(Statement):
    """What a sender submits: the signed header, a slot for each recipient, and the sealed body."""

    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=1)]
    slots: Annotated[
        dict[DeskId, Annotated[Base64, Field(min_length=SLOT_BYTES, max_length=SLOT_BYTES)]],
        Field(min_length=1, max_length=RECIPIENTS_MAX),
    ]
    body: Base64


class SealedPart(Message):
    """What travels behind the bulletin inside the body, for recipients alone; `release` may be null."""

    salt: Annotated[Base64, Field(min_length=32, max_length=32)]
    release: Statement | None
    release_salts: dict[DeskId, Annotated[Base64, Field(min_length=32, max_length=32)]]
    attachment_keys: dict[Uuid7, Annotated[Base64, Field(min_length=32, max_length=32)]]
