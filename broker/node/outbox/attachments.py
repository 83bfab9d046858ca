"""Attachments that leave: sealed while the agency uploads them, kept as ciphertext until all have answered.

May import `keys.streams`, `broker.db` and the node's own rooms; the upload routes, `queueing` and `sealing`
call it, `uploading` carries the files to the hub.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, insert, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import Clock, to_seconds
from broker.node.files import appending, outgoing_folder, pieces_of, size_of, telling_full_disk
from broker.node.files import write_all as write
from broker.node.home import Home
from broker.node.outbox.originals import give_up
from broker.node.outbox.state import OutboxState
from keys.envelope import Outgoing
from keys.streams import (
    CHUNK_BYTES,
    STREAM_KEY_BYTES,
    Sealer,
    attachment_label,
    sealed_prefix,
    sealed_size,
)
from schemas.bulletin import Bulletin, parse_bulletin
from schemas.envelope import AttachmentRef
from schemas.errors import Problem, VerificationError
from schemas.limits import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, UPLOAD_LIFE_SECONDS

UNUSED_LIFE: Final = timedelta(seconds=UPLOAD_LIFE_SECONDS)
"""An upload that no bulletin named for so long is dropped."""

_OPEN_MAX: Final = 64
"""Streams whose state is kept in memory between two pieces; others are read again from the disk."""

_LOCKS: Final = 16


@dataclass(frozen=True, slots=True)
class Announced:
    """An attachment as its agency announces it with every piece."""

    desk: str
    bulletin_id: str
    attachment_id: str
    size_bytes: int
    """Of the plaintext."""
    sha256: str
    """Of the plaintext, hex."""


@dataclass(slots=True)
class _Stream:
    """A stream that goes on: its key tells whether it is still the one in the database."""

    key: bytes
    sealer: Sealer
    digest: Any
    """SHA-256 of the ciphertext so far."""


def file_of(home: Home, desk: str, bulletin_id: str, attachment_id: str) -> Path:
    """Where the ciphertext of an own attachment is kept."""
    unit = desk.partition("/")[2]
    return outgoing_folder(home.data) / f"{unit}.{bulletin_id}.{attachment_id}"


class Uploads:
    """Takes attachments from agencies, piece by piece, sealed before they touch the disk.

    What a piece was answered with is on the disk: file first, then the row that counts it. After a crash
    the file is cut back to what the row counts, and sealing goes on from there; where other bytes come
    then, one chunk is sealed twice under one nonce, of which this disk alone has seen the first.

    Args:
        home: the node's home.
        clock: the node's own.
    """

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        self._guard = threading.Lock()
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def offset(self, announced: Announced) -> int:
        """Plaintext bytes that are on the disk; all of them once the attachment is whole."""
        with reading(self._home.engine) as connection:
            row = _find(connection, announced)
        if row is None or not _is_same(row, announced):
            return 0
        if row.sealed_sha256 is None:
            return int(row.received)
        return announced.size_bytes if _is_here(self._home, row) else 0

    def take(self, announced: Announced, offset: int, piece: bytes) -> int:
        """Seal and keep one piece.

        1. The attachment is not too large, and the bulletin in the outbox, if it is there, names it.
        2. The piece goes on where the last one ended; one that is not the last has 65,536 bytes or more.
        3. It is sealed and written durably; of a piece that is not the last, whole chunks alone.
        4. The last one ends the stream; the plaintext is then the one that was announced.

        Args:
            announced: the same with every piece.
            offset: plaintext bytes before this piece.
            piece: the next bytes.

        Returns:
            Where the next piece begins; the size once the attachment is whole.

        Raises:
            Problem: `too-large`, `id-taken` (1), `upload-offset`, `bad-parameter` (2), `disk-full` (3),
                `attachment-hash` (4): what was there is dropped.
        """
        if sealed_size(announced.size_bytes) > ATTACHMENT_BYTES_MAX:
            raise Problem(
                "too-large", f"a sealed attachment has {ATTACHMENT_BYTES_MAX} bytes at most"
            )
        name = (announced.desk, announced.bulletin_id, announced.attachment_id)
        with self._locks[hash(name) % _LOCKS], telling_full_disk():
            row = self._row_for(announced, offset)
            if row.sealed_sha256 is not None:
                return announced.size_bytes
            _check_piece(row, offset, piece)
            return self._seal(announced, row, piece)

    def _row_for(self, announced: Announced, offset: int) -> Row[Any]:
        with writing(self._home.engine) as connection:
            row = _find(connection, announced)
            if row is not None and _is_same(row, announced):
                if row.sealed_sha256 is None or _is_here(self._home, row):
                    return row
            elif _is_queued(connection, announced):
                raise Problem("id-taken", "this bulletin is in the outbox with other attachments")
            if offset != 0:
                raise Problem("upload-offset", "the upload begins anew", offset=0)
            return _begin(connection, announced, self._clock())

    def _seal(self, announced: Announced, row: Row[Any], piece: bytes) -> int:
        stream = self._stream(announced, row)
        sealer = stream.sealer
        last = row.received + len(piece) == announced.size_bytes
        kept = piece if last else piece[: len(piece) - len(piece) % CHUNK_BYTES]
        path = file_of(self._home, row.desk, row.bulletin_id, row.attachment_id)
        with appending(path, sealer.sealed_bytes) as descriptor:
            for sealed in _sealed(sealer, kept, last=last):
                write(descriptor, sealed)
                stream.digest.update(sealed)
        if not sealer.whole:
            self._note(row, received=sealer.offset_bytes)
            self._keep(row.attachment_id, stream)
            return sealer.offset_bytes
        if sealer.sha256 != announced.sha256:
            with writing(self._home.engine) as connection:
                connection.execute(delete(tables.outgoing_attachment).where(_is(row)))
            path.unlink(missing_ok=True)
            raise Problem("attachment-hash", "the file has another SHA-256 than was announced")
        self._note(
            row,
            received=announced.size_bytes,
            sealed_sha256=stream.digest.hexdigest(),
            sealed_size=sealer.sealed_bytes,
        )
        return announced.size_bytes

    def _note(self, row: Row[Any], **values: object) -> None:
        table = tables.outgoing_attachment
        with writing(self._home.engine) as connection:
            connection.execute(update(table).where(_is(row)).values(values))
            if "sealed_sha256" in values:
                _abandon_sealed(connection, row)

    def _stream(self, announced: Announced, row: Row[Any]) -> _Stream:
        """The stream that this piece goes on with; taken out of memory, so that a failure forgets it."""
        with self._guard:
            stream = self._streams.pop(row.attachment_id, None)
        path = file_of(self._home, row.desk, row.bulletin_id, row.attachment_id)
        if size_of(path) < sealed_prefix(row.received):
            return self._begin_anew(announced)
        known = stream is not None and stream.key == row.key
        if stream is not None and known and stream.sealer.offset_bytes == row.received:
            return stream
        digest = hashlib.sha256()

        def read() -> Iterator[bytes]:
            for piece in pieces_of(path, 0, sealed_prefix(row.received)):
                digest.update(piece)
                yield piece

        label = attachment_label(self._home.exchange, row.bulletin_id, row.attachment_id)
        try:
            sealed = read() if row.received else ()
            sealer = Sealer.resume(row.key, label, row.size, sealed)
        except VerificationError:
            return self._begin_anew(announced)
        return _Stream(row.key, sealer, digest)

    def _begin_anew(self, announced: Announced) -> _Stream:
        """The file is not the one that was written: nothing can go on from it."""
        with writing(self._home.engine) as connection:
            _begin(connection, announced, self._clock())
        raise Problem("upload-offset", "the upload begins anew", offset=0)

    def _keep(self, name: str, stream: _Stream) -> None:
        with self._guard:
            while len(self._streams) >= _OPEN_MAX:
                self._streams.pop(next(iter(self._streams)))
            self._streams[name] = stream


def _check_piece(row: Row[Any], offset: int, piece: bytes) -> None:
    if offset != row.received:
        raise Problem("upload-offset", f"the upload goes on at {row.received}", offset=row.received)
    left = row.size - offset
    if len(piece) > left:
        raise Problem("bad-parameter", f"the attachment ends after {left} more bytes")
    if len(piece) < min(left, CHUNK_BYTES):
        raise Problem(
            "bad-parameter", f"a piece that is not the last has {CHUNK_BYTES} bytes or more"
        )


def _sealed(sealer: Sealer, piece: bytes, *, last: bool) -> Iterator[bytes]:
    yield from sealer.push(piece)
    if last:
        yield from sealer.finish()


def _is(row: Row[Any] | Announced) -> ColumnElement[bool]:
    column = tables.outgoing_attachment.c
    return (
        (column.desk == row.desk)
        & (column.bulletin_id == row.bulletin_id)
        & (column.attachment_id == row.attachment_id)
    )


def _find(connection: Connection, announced: Announced) -> Row[Any] | None:
    found = select(tables.outgoing_attachment).where(_is(announced))
    return connection.execute(found).one_or_none()


def _is_same(row: Row[Any], announced: Announced) -> bool:
    return bool(row.size == announced.size_bytes and row.sha256 == announced.sha256)


def _is_here(home: Home, row: Row[Any]) -> bool:
    path = file_of(home, row.desk, row.bulletin_id, row.attachment_id)
    return bool(size_of(path) == row.sealed_size)


def _is_queued(connection: Connection, announced: Announced) -> bool:
    column = tables.outgoing_bulletin.c
    found = select(column.number).where(
        column.desk == announced.desk, column.bulletin_id == announced.bulletin_id
    )
    return connection.execute(found).first() is not None


def _begin(connection: Connection, announced: Announced, now: datetime) -> Row[Any]:
    """A fresh row with a fresh key; what stood under this id is forgotten."""
    table = tables.outgoing_attachment
    connection.execute(delete(table).where(_is(announced)))
    others = select(table.c.attachment_id).where(
        table.c.desk == announced.desk, table.c.bulletin_id == announced.bulletin_id
    )
    if len(connection.execute(others).all()) >= ATTACHMENTS_MAX:
        raise Problem("bad-parameter", f"a bulletin has {ATTACHMENTS_MAX} attachments at most")
    connection.execute(
        insert(table).values(
            desk=announced.desk,
            bulletin_id=announced.bulletin_id,
            attachment_id=announced.attachment_id,
            size=announced.size_bytes,
            sha256=announced.sha256,
            key=secrets.token_bytes(STREAM_KEY_BYTES),
            received=0,
            uploaded=0,
            begun=to_seconds(now),
        )
    )
    return connection.execute(select(table).where(_is(announced))).one()


def _abandon_sealed(connection: Connection, row: Row[Any]) -> None:
    """Give up envelopes that name an earlier sealing of a file that was lost; they are sealed anew."""
    envelope = tables.outgoing_envelope
    waiting = select(envelope).where(
        envelope.c.desk == row.desk,
        envelope.c.bulletin_id == row.bulletin_id,
        envelope.c.state == OutboxState.SEALED,
    )
    for each in connection.execute(waiting).all():
        give_up(connection, each)


def claim(connection: Connection, home: Home, bulletin: Bulletin) -> None:
    """Check that all attachments of a bulletin are whole, as it enters the outbox; drop others of its id.

    Args:
        connection: the transaction that queues the bulletin.
        home: the node's home.
        bulletin: whose originator is the own desk.

    Raises:
        Problem: `attachments-missing`, with the ids in `missing`.
    """
    desk = bulletin.originator.desk
    missing = []
    for each in bulletin.attachments:
        row = _find(connection, Announced(desk, bulletin.id, each.id, each.size, each.sha256))
        same = row is not None and (row.size, row.sha256) == (each.size, each.sha256)
        if row is None or not same or row.sealed_sha256 is None or not _is_here(home, row):
            missing.append(each.id)
    if missing:
        raise Problem(
            "attachments-missing", f"not here whole: {', '.join(missing)}", missing=missing
        )
    column = tables.outgoing_attachment.c
    unnamed = (
        (column.desk == desk)
        & (column.bulletin_id == bulletin.id)
        & column.attachment_id.not_in([each.id for each in bulletin.attachments])
    )
    connection.execute(delete(tables.outgoing_attachment).where(unnamed))


def with_attachments(home: Home, outgoing: Outgoing) -> Outgoing:
    """Add to a bulletin that is to be sealed what its header and sealed part say of attachments."""
    column = tables.outgoing_attachment.c
    query = select(tables.outgoing_attachment).where(
        column.desk == outgoing.sender, column.bulletin_id == outgoing.bulletin_id
    )
    with reading(home.engine) as connection:
        rows = {row.attachment_id: row for row in connection.execute(query)}
    if not rows:
        return outgoing
    named = [rows[each.id] for each in parse_bulletin(outgoing.bulletin_json).attachments]
    refs = tuple(
        AttachmentRef(id=row.attachment_id, sha256=row.sealed_sha256, size=row.sealed_size)
        for row in named
    )
    keys = {row.attachment_id: row.key for row in named}
    return replace(outgoing, attachments=refs, attachment_keys=keys)


def all_whole() -> ColumnElement[bool]:
    """Of a row of `outgoing_bulletin`: no attachment of it is being uploaded anew."""
    attachment, bulletin = tables.outgoing_attachment.c, tables.outgoing_bulletin.c
    return ~exists().where(
        attachment.desk == bulletin.desk,
        attachment.bulletin_id == bulletin.bulletin_id,
        attachment.sealed_sha256.is_(None),
    )


def all_stored() -> ColumnElement[bool]:
    """Of a row of `outgoing_envelope`: the hub has all attachments of its bulletin."""
    attachment, envelope = tables.outgoing_attachment.c, tables.outgoing_envelope.c
    return ~exists().where(
        attachment.desk == envelope.desk,
        attachment.bulletin_id == envelope.bulletin_id,
        attachment.stored.is_(None),
    )
