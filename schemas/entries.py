"""Log entries: what the hub writes down in the exchange log and in the directory log.

May import pydantic and `schemas`; the hub builds them, nodes and auditors parse them from the exact bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel

from schemas.directory import Origin
from schemas.limits import ATTACHMENT_BYTES_MAX, RECIPIENTS_MAX, STATEMENT_BYTES_MAX
from schemas.loader import parse
from schemas.scalars import (
    Base64,
    Count,
    DeskId,
    Message,
    Ordinal,
    Sha256Hex,
    SortedUnique,
    UtcTime,
    Uuid7,
    Word,
)

ENTRY_BYTES_MAX = 2 * STATEMENT_BYTES_MAX
"""A header in base64, and a place and policies for each recipient."""

PolicyId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]


class AcceptedRecipient(Message):
    """One recipient of an accepted envelope: its blinded place, and the policies that permit it."""

    desk: DeskId
    place: Sha256Hex
    policies: Annotated[tuple[PolicyId, ...], Field(min_length=1, max_length=256), SortedUnique]


class EnvelopeAccepted(Message):
    """An envelope was accepted for all its recipients."""

    type: Literal["envelope.accepted"]
    at: UtcTime
    pae: Sha256Hex
    signatures: Sha256Hex
    header: Base64
    directory_size: Count
    recipients: Annotated[
        tuple[AcceptedRecipient, ...], Field(min_length=1, max_length=RECIPIENTS_MAX)
    ]


class EnvelopeRefused(Message):
    """An authenticated sender's envelope was refused for good; `problem` is the bare word."""

    type: Literal["envelope.refused"]
    at: UtcTime
    pae: Sha256Hex
    signatures: Sha256Hex
    header: Base64
    problem: Word
    directory_size: Count


class AcknowledgementEntry(Message):
    """A recipient's acknowledgement; `statement` is the exact payload."""

    type: Literal["acknowledgement"]
    at: UtcTime
    pae: Sha256Hex
    signatures: Sha256Hex
    statement: Base64
    directory_size: Count


class AttachmentStored(Message):
    """An attachment's ciphertext is whole and on the disk; envelopes may name it from here on."""

    type: Literal["attachment.stored"]
    at: UtcTime
    sha256: Sha256Hex
    size: Annotated[int, Field(ge=1, le=ATTACHMENT_BYTES_MAX)]
    directory_size: Count


class EnvelopeExpired(Message):
    """An accepted envelope's `expires` has passed: nobody who has not fetched it gets it any more."""

    type: Literal["envelope.expired"]
    at: UtcTime
    from_: Annotated[DeskId, Field(alias="from")]
    id: Uuid7
    directory_size: Count


class OpeningPurged(Message):
    """The opening of an entry of this log, or a closed one, was destroyed: the hub has it no more.

    `places` are those that the entry gave, blinded as they were, so that a recipient still finds its own;
    `order` is the SHA-256 of the `purges.json` that lists the entry, in the directory at `directory_size`.
    """

    type: Literal["opening.purged"]
    at: UtcTime
    origin: Origin
    index: Count
    leaf: Sha256Hex
    places: Annotated[tuple[Sha256Hex, ...], Field(max_length=RECIPIENTS_MAX)]
    order: Sha256Hex
    directory_size: Count


ExchangeLogEntry = (
    EnvelopeAccepted
    | EnvelopeRefused
    | AcknowledgementEntry
    | AttachmentStored
    | EnvelopeExpired
    | OpeningPurged
)


class ExchangeEntry(RootModel[Annotated[ExchangeLogEntry, Field(discriminator="type")]]):
    """Any entry of the exchange log."""


class TreeHead(Message):
    """A size, in leaves, and the root hash of that tree."""

    size: Count
    root: Sha256Hex


class FileVersion(Message):
    """One version of a TUF metadata file, and the SHA-256 of its bytes."""

    version: Ordinal
    sha256: Sha256Hex


class DirectoryPublished(Message):
    """A directory: the TUF root and snapshot that fix every file of it."""

    type: Literal["directory.published"]
    at: UtcTime
    exchange_log: TreeHead
    root: FileVersion
    snapshot: FileVersion


class DeskSealingKey(Message):
    """A desk announced a sealing key; `pae` (SHA-256) is that key's keyid."""

    type: Literal["desk.sealing_key"]
    at: UtcTime
    exchange_log: TreeHead
    pae: Sha256Hex


class HubOperated(Message):
    """The hub's operator did something that others should know."""

    type: Literal["hub.operated"]
    at: UtcTime
    exchange_log: TreeHead
    operation: Literal["start", "configuration", "purge", "restore"]


class DirectoryEntry(
    RootModel[
        Annotated[DirectoryPublished | DeskSealingKey | HubOperated, Field(discriminator="type")]
    ]
):
    """Any entry of the directory log."""


DirectoryLogEntry = DirectoryPublished | DeskSealingKey | HubOperated


def parse_exchange_entry(data: bytes) -> ExchangeLogEntry:
    """Read the exact bytes of an exchange log entry. Raises ParseError."""
    return parse(ExchangeEntry, data, ENTRY_BYTES_MAX).root


def parse_directory_entry(data: bytes) -> DirectoryLogEntry:
    """Read the exact bytes of a directory log entry. Raises ParseError."""
    return parse(DirectoryEntry, data, ENTRY_BYTES_MAX).root
