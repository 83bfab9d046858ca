"""Attachments in the database: who uploads what, what is stored, who may have it; the works that write it.

May import SQLAlchemy, `schemas` and the hub's own rooms; `attachments` asks and submits. A desk's row is
there from its first piece on, and is what its quota counts; the row of an attachment itself stays for good,
as its log entry does.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from broker.hub.ledger import Answer, Batch
from broker.hub.logbook import Prover, read_head
from broker.hub.relay import entry_receipt
from broker.hub.tables import (
    attachment,
    attachment_owner,
    envelope,
    envelope_attachment,
    party,
    slot,
)
from schemas.entries import AttachmentStored
from schemas.errors import Problem
from schemas.limits import ATTACHMENT_ORPHAN_SECONDS, UPLOAD_LIFE_SECONDS
from schemas.loader import dump_json
from schemas.receipts import SALT_BYTES, Receipt

COLLECTED_PER_BATCH_MAX: Final = 256
"""Rows of one work of the collector: a submission that shares its batch waits some milliseconds for them."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A desk's upload: of how many bytes in all, and whether it has been stored."""

    size: int
    is_stored: bool


def find_upload(connection: Connection, desk: str, sha256: str) -> Upload | None:
    """A desk's upload of an attachment, if there is one."""
    query = select(attachment_owner.c.size, attachment_owner.c.stored).where(_of(desk, sha256))
    row = connection.execute(query).one_or_none()
    return None if row is None else Upload(row.size, bool(row.stored))


def readable_size(connection: Connection, desk: str, sha256: str) -> int | None:
    """The size of an attachment that a desk may download; None if it may not, or there is none.

    It may if it has uploaded all of it, or is a recipient of an accepted envelope that names it and is not
    logged as expired.
    """
    owns = exists().where(_of(desk, sha256), attachment_owner.c.stored == 1)
    receives = exists().where(
        envelope_attachment.c.sha256 == sha256,
        envelope.c.entry_index == envelope_attachment.c.entry_index,
        envelope.c.expired_index.is_(None),
        slot.c.entry_index == envelope_attachment.c.entry_index,
        slot.c.desk == desk,
    )
    query = select(attachment.c.size).where(attachment.c.sha256 == sha256, or_(owns, receives))
    size: int | None = connection.execute(query).scalar()
    return size


def stored_receipt(connection: Connection, sha256: str) -> Receipt:
    """The receipt of the entry by which an attachment was logged as stored."""
    query = select(attachment.c.entry_index).where(attachment.c.sha256 == sha256)
    index = connection.execute(query).scalar_one()
    prover = Prover.of(connection, read_head(connection, "exchange"))
    return entry_receipt(connection, prover, index)


def without_owner(connection: Connection, names: Sequence[str]) -> list[str]:
    """Those of some attachments that no desk uploads or has uploaded."""
    query = select(attachment_owner.c.sha256).where(attachment_owner.c.sha256.in_(names))
    owned = set(connection.execute(query).scalars())
    return [name for name in names if name not in owned]


def is_collectable(connection: Connection, at_unix: int) -> bool:
    """Whether `Collect` would delete anything."""
    query = select(attachment_owner.c.desk).where(_is_forsaken(at_unix)).limit(1)
    return connection.execute(query).first() is not None


def _of(desk: str, sha256: str) -> ColumnElement[bool]:
    return and_(attachment_owner.c.desk == desk, attachment_owner.c.sha256 == sha256)


def _is_forsaken(at_unix: int) -> ColumnElement[bool]:
    """Rows that nobody will miss: unfinished for too long, or stored and named by no envelope."""
    named = exists().where(
        envelope_attachment.c.sha256 == attachment_owner.c.sha256,
        envelope.c.entry_index == envelope_attachment.c.entry_index,
        envelope.c.sender == attachment_owner.c.desk,
        # Until its end is logged, an envelope may be fetched, and its attachments with it.
        envelope.c.expired_index.is_(None),
    )
    unfinished = and_(
        attachment_owner.c.stored == 0, attachment_owner.c.begun <= at_unix - UPLOAD_LIFE_SECONDS
    )
    # Counted from its storing also where envelopes that named it have expired: it may have been uploaded
    # anew just now, for another that is about to come.
    orphaned = and_(
        attachment_owner.c.stored == 1,
        attachment_owner.c.begun <= at_unix - ATTACHMENT_ORPHAN_SECONDS,
        ~named,
    )
    return or_(unfinished, orphaned)


@dataclass(frozen=True, slots=True)
class Reserve:
    """The work that begins an upload, or begins it anew under another size."""

    desk: str
    sha256: str
    size: int
    quota_bytes: int

    def apply(self, batch: Batch) -> Answer:
        """Count the size against the desk's quota.

        Raises:
            Problem: `quota`, with `used` and `limit` in bytes.
        """
        others = select(func.coalesce(func.sum(attachment_owner.c.size), 0)).where(
            attachment_owner.c.desk == self.desk, attachment_owner.c.sha256 != self.sha256
        )
        used = batch.connection.execute(others).scalar_one()
        if used + self.size > self.quota_bytes:
            detail = f"{used} of {self.quota_bytes} bytes are used, and {self.size} were to come"
            raise Problem("quota", detail, used=used, limit=self.quota_bytes)
        row = {"size": self.size, "begun": batch.at_unix, "stored": 0}
        begun = upsert(attachment_owner).values(desk=self.desk, sha256=self.sha256, **row)
        batch.connection.execute(
            begun.on_conflict_do_update(index_elements=["desk", "sha256"], set_=row)
        )
        return lambda _committed: None


@dataclass(frozen=True, slots=True)
class Store:
    """The work that logs an attachment as stored; its object is on the disk already."""

    desk: str
    sha256: str
    size: int

    def apply(self, batch: Batch) -> Answer:
        """Mark the desk's upload as stored, and log the attachment unless it ever was.

        The entry is written once, whoever uploads the same bytes again, before or after they were
        collected; each of its uploaders may open it.

        Raises:
            Problem: `upload-offset`, the upload was collected meanwhile.
        """
        connection = batch.connection
        # From here on `begun` says when it was stored.
        mine = update(attachment_owner).where(_of(self.desk, self.sha256))
        marked = connection.execute(mine.values(stored=1, begun=batch.at_unix))
        if marked.rowcount != 1:
            raise Problem("upload-offset", "the upload had been given up", offset=0)
        query = select(attachment.c.entry_index).where(attachment.c.sha256 == self.sha256)
        index = connection.execute(query).scalar()
        if index is None:
            index = self._log(batch)
        opens = upsert(party).values(desk=self.desk, entry_index=index)
        connection.execute(opens.on_conflict_do_nothing())
        return lambda committed: entry_receipt(committed.connection, committed.prover, index)

    def _log(self, batch: Batch) -> int:
        logged = AttachmentStored(
            type="attachment.stored",
            at=batch.at,
            sha256=self.sha256,
            size=self.size,
            directory_size=batch.directory_size,
        )
        index = batch.exchange.append(dump_json(logged), secrets.token_bytes(SALT_BYTES), None)
        row = {
            "sha256": self.sha256,
            "size": self.size,
            "entry_index": index,
            "at": batch.at_unix,
        }
        batch.connection.execute(insert(attachment), row)
        return index


@dataclass(frozen=True, slots=True)
class Abandon:
    """The work that gives an upload up, and its part of the quota back."""

    desk: str
    sha256: str

    def apply(self, batch: Batch) -> Answer:
        """Delete the desk's row, if it is not stored."""
        mine = and_(_of(self.desk, self.sha256), attachment_owner.c.stored == 0)
        batch.connection.execute(delete(attachment_owner).where(mine))
        return lambda _committed: None


@dataclass(frozen=True, slots=True)
class Collect:
    """The work of the collector: rows that nobody will miss.

    In the transaction that acceptance runs in as well: an envelope that names an attachment either comes
    first, and keeps it, or finds it missing.
    """

    def apply(self, batch: Batch) -> Answer:
        """Delete at most `COLLECTED_PER_BATCH_MAX` rows."""
        query = select(attachment_owner.c.desk, attachment_owner.c.sha256)
        due = query.where(_is_forsaken(batch.at_unix)).limit(COLLECTED_PER_BATCH_MAX)
        for row in batch.connection.execute(due).all():
            batch.connection.execute(delete(attachment_owner).where(_of(row.desk, row.sha256)))
        return lambda _committed: None
