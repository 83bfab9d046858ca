"""Uploading: sealed attachments carried to the hub, the most urgent bulletin's first, a piece at a time.

May import the node's own rooms; `sync` runs it as a task beside the outbox, so that a large attachment
delays no envelope without one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm, raise_fault
from broker.node.clock import Clock, to_seconds
from broker.node.files import outgoing_folder, size_of
from broker.node.home import Home
from broker.node.line import Line
from broker.node.outbox.attachments import UNUSED_LIFE, file_of
from broker.node.outbox.expiry import KEPT_AFTER_EXPIRY
from broker.node.outbox.state import ANSWERED, DeliveryState, OutboxState
from broker.node.pacing import Pauses
from broker.tlog.receipt import verify_receipt
from schemas.entries import AttachmentStored
from schemas.errors import Fault, ParseError, Problem
from schemas.limits import UPLOAD_PIECE_BYTES_MAX
from schemas.receipts import Receipt

PAUSE_BASE_SECONDS: Final = 2.0
"""Longest pause of one attachment after the hub first refused a piece of it; it doubles with each."""

PAUSE_CAP_SECONDS: Final = 300.0
"""Longest pause of one attachment: a quota is freed, or a disk emptied, by people."""

COLLECT_SECONDS: Final = 3600.0
"""Between two looks for files that nobody needs any more."""

_SETTLED: Final = (*sorted(ANSWERED), DeliveryState.REFUSED.value)


@dataclass(frozen=True, slots=True)
class _ToUpload:
    """An attachment that a sealed envelope waits for."""

    desk: str
    bulletin_id: str
    attachment_id: str
    sha256: str
    """Of the ciphertext, hex."""
    size_bytes: int
    """Of the ciphertext."""
    path: Path


class Uploader:
    """Uploads the attachments of one desk.

    Args:
        home: the node's home.
        line: to the hub.
        desk: an own desk.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, desk: str, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._desk = desk
        self._clock = clock
        self._offsets: dict[str, int] = {}
        self._pauses = Pauses(PAUSE_BASE_SECONDS, PAUSE_CAP_SECONDS)
        self._collect_at = 0.0

    async def step(self) -> bool | None:
        """Upload one piece of the attachment whose bulletin is the most urgent.

        Returns:
            True if an attachment is stored at the hub now, False if there is more to do, None if nothing
            waits, or what waits is paused.

        Raises:
            HubUnreachable: the hub is away; it is asked for the offset again.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._collect_at:
            await asyncio.to_thread(collect, self._home, self._desk, self._clock)
            self._collect_at = now + COLLECT_SECONDS
        wanted = await asyncio.to_thread(self._next, self._pauses.waiting(now))
        if wanted is None:
            return None
        offset = self._offsets.pop(wanted.sha256, None)
        try:
            stored = await self._upload(wanted, offset)
        except (Problem, ParseError) as error:
            await self._pause(wanted, error)
            return False
        self._pauses.succeeded(wanted.sha256)
        return stored

    def idle_seconds(self, longest_seconds: float) -> float:
        """How long nothing is to be done, at the longest so long."""
        return self._pauses.seconds(asyncio.get_running_loop().time(), longest_seconds)

    async def _upload(self, wanted: _ToUpload, offset: int | None) -> bool:
        client = self._line.clients[self._desk]
        size_bytes = wanted.size_bytes
        if await asyncio.to_thread(size_of, wanted.path) != size_bytes:
            raise Problem("not-found", "the sealed file is gone: have its agency upload it again")
        if offset is None:
            offset = await client.attachment_offset(wanted.sha256, size_bytes)
        piece = await asyncio.to_thread(_read, wanted.path, offset)
        answer = await client.upload_piece(wanted.sha256, size_bytes, offset, piece)
        if isinstance(answer, Receipt):
            await self._check(wanted, answer)
            await asyncio.to_thread(self._note, wanted, size_bytes, stored=True)
            return True
        self._offsets[wanted.sha256] = answer
        await asyncio.to_thread(self._note, wanted, answer, stored=False)
        return False

    async def _check(self, wanted: _ToUpload, receipt: Receipt) -> None:
        """The receipt must be of this attachment, in the log that is followed."""
        verified = verify_receipt(receipt, self._line.follower.exchange_log)
        entry = verified.entry
        expected = (wanted.sha256, wanted.size_bytes)
        if not isinstance(entry, AttachmentStored) or (entry.sha256, entry.size) != expected:
            raise Problem("entry-invalid", "the entry is not of this attachment")
        await self._line.prove(verified.checkpoint)

    async def _pause(self, wanted: _ToUpload, error: Problem | ParseError) -> None:
        """Put one attachment off; the others go on."""
        self._pauses.failed(wanted.sha256, asyncio.get_running_loop().time())
        if isinstance(error, Problem):
            self._line.time.learn(error)
            if error.word == "upload-offset":
                # The hub is asked where to go on; a line that was cut after a piece leads here.
                return
        await asyncio.to_thread(self._raise_alarm, wanted, error)

    def _raise_alarm(self, wanted: _ToUpload, error: Problem | ParseError) -> None:
        subject = f"{wanted.desk} {wanted.bulletin_id} {wanted.attachment_id}"
        now = self._clock()
        with writing(self._home.engine) as connection:
            if isinstance(error, ParseError):
                raise_alarm(connection, AlarmKind.HUB_FAULT, subject, str(error), now)
            elif error.word == "not-found":
                raise_alarm(connection, AlarmKind.INTERNAL, subject, error.detail, now)
            elif error.type.fault is Fault.HUB:
                raise_fault(connection, subject, error, now)
            else:
                raise_alarm(connection, AlarmKind.REFUSES_US, subject, str(error), now)

    def _next(self, paused: frozenset[str]) -> _ToUpload | None:
        attachment, envelope = tables.outgoing_attachment, tables.outgoing_envelope
        query = (
            select(attachment)
            .join(
                envelope,
                (envelope.c.desk == attachment.c.desk)
                & (envelope.c.bulletin_id == attachment.c.bulletin_id),
            )
            .where(
                attachment.c.desk == self._desk,
                attachment.c.stored.is_(None),
                attachment.c.sealed_sha256.is_not(None),
                attachment.c.sealed_sha256.not_in(paused),
                envelope.c.state == OutboxState.SEALED,
            )
            .order_by(envelope.c.rank, envelope.c.created, attachment.c.attachment_id)
            .limit(1)
        )
        with reading(self._home.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        path = file_of(self._home, row.desk, row.bulletin_id, row.attachment_id)
        names = (row.desk, row.bulletin_id, row.attachment_id)
        return _ToUpload(*names, row.sealed_sha256, row.sealed_size, path)

    def _note(self, wanted: _ToUpload, uploaded: int, *, stored: bool) -> None:
        table = tables.outgoing_attachment
        values: dict[str, Any] = {"uploaded": uploaded}
        if stored:
            values["stored"] = to_seconds(self._clock())
        this = (table.c.desk == wanted.desk) & (table.c.sealed_sha256 == wanted.sha256)
        with writing(self._home.engine) as connection:
            connection.execute(update(table).where(this).values(values))


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(UPLOAD_PIECE_BYTES_MAX)


def note_missing(home: Home, envelope_id: str) -> None:
    """The hub does not have the attachments of an envelope (any more): they are uploaded again.

    Where it has one after all, it says so when it is asked for its offset, and nothing travels twice.
    """
    attachment, envelope = tables.outgoing_attachment, tables.outgoing_envelope
    with writing(home.engine) as connection:
        row = connection.execute(
            select(envelope).where(envelope.c.envelope_id == envelope_id)
        ).one()
        of_bulletin = (attachment.c.desk == row.desk) & (
            attachment.c.bulletin_id == row.bulletin_id
        )
        connection.execute(update(attachment).where(of_bulletin).values(stored=None))


def collect(home: Home, desk: str, clock: Clock) -> None:
    """Delete what nobody needs any more of a desk's outgoing attachments.

    1. Uploads that no bulletin named within 7 days.
    2. Files of bulletins that every recipient has answered, or that expired 30 days ago; what is needed
       to seal them again stays in the database.
    3. Files that belong to no row.
    """
    attachment, bulletin = tables.outgoing_attachment, tables.outgoing_bulletin
    delivery = tables.delivery
    now = clock()
    queued = select(bulletin.c.number).where(
        bulletin.c.desk == attachment.c.desk, bulletin.c.bulletin_id == attachment.c.bulletin_id
    )
    with writing(home.engine) as connection:
        unused = (
            (attachment.c.desk == desk)
            & (attachment.c.begun <= to_seconds(now - UNUSED_LIFE))
            & ~queued.exists()
        )
        connection.execute(delete(attachment).where(unused))
    awaited = select(delivery.c.recipient).where(
        delivery.c.desk == bulletin.c.desk,
        delivery.c.bulletin_id == bulletin.c.bulletin_id,
        delivery.c.state.not_in(_SETTLED),
    )
    long_gone = bulletin.c.expires <= to_seconds(now - KEPT_AFTER_EXPIRY)
    settled = select(bulletin.c.bulletin_id).where(
        bulletin.c.desk == desk, long_gone | ~awaited.exists()
    )
    rows = select(attachment).where(
        attachment.c.desk == desk, attachment.c.bulletin_id.not_in(settled)
    )
    # Listed first: a file that is begun meanwhile is not in the list.
    unit = desk.partition("/")[2]
    present = [*outgoing_folder(home.data).glob(f"{unit}.*")]
    with reading(home.engine) as connection:
        kept = {
            file_of(home, row.desk, row.bulletin_id, row.attachment_id)
            for row in connection.execute(rows)
        }
    for path in present:
        if path not in kept:
            path.unlink(missing_ok=True)
