"""Attachments that arrive: what waits for which, downloaded by urgency, checked, opened once to their end.

May import `keys.streams`, `broker.db` and the node's own rooms; `fetching` says what is
wanted, `sync` runs the downloads as a task of their own. Only ciphertext touches the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
from collections.abc import Collection, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as insert_once

from broker.db import reading, writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm, raise_fault
from broker.node.clock import Clock
from broker.node.files import (
    READ_BYTES,
    incoming_folder,
    pieces_of,
    sha256_of,
    size_of,
    sync_folder,
    telling_full_disk,
    write_all,
)
from broker.node.home import Home
from broker.node.inbox.receive import Arrived, Faulty, Opened, open_attachments
from broker.node.line import Line
from broker.node.pacing import Pauses
from keys.streams import attachment_label, open_range
from schemas.envelope import AttachmentRef
from schemas.errors import BaridError, ParseError, Problem
from schemas.limits import UPLOAD_LIFE_SECONDS

PAUSE_BASE_SECONDS: Final = 2.0
"""Longest pause of one attachment after the hub first failed to give it; it doubles with each."""

PAUSE_CAP_SECONDS: Final = 60.0
"""Longest pause of one attachment: the envelope behind it is not delivered before it is here."""

COLLECT_SECONDS: Final = 3600.0
"""Between two looks for files that nobody needs any more."""


class AttachmentsAwaited(BaridError):
    """An envelope that is right so far, and some of whose attachments are not here yet."""


def file_of(home: Home, sha256: str) -> Path:
    """Where the ciphertext of a received attachment is kept, by the SHA-256 of the ciphertext."""
    return incoming_folder(home.data) / sha256


@dataclass(frozen=True, slots=True)
class _Waiting:
    rank: int
    """Of the precedence; 0 is flash."""
    attachments: tuple[AttachmentRef, ...]
    envelope: str


class Wanted:
    """Which envelopes of a desk wait for which attachments; in memory, since the inbox comes again.

    Args:
        home: the node's home.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._waiting: dict[int, _Waiting] = {}

    def add(self, arrived: Arrived) -> None:
        """Note that an envelope, which is right so far, waits for its attachments."""
        header = arrived.header
        self._waiting[arrived.index] = _Waiting(
            header.precedence.rank,
            header.attachments,
            f"{arrived.desk} {header.from_} {header.id}",
        )

    def awaits(self, index: int) -> bool:
        """Whether the envelope of an entry waits for an attachment that is still not here."""
        waiting = self._waiting.get(index)
        return waiting is not None and any(self._missing(waiting))

    def keep(self, served: Collection[int]) -> None:
        """Forget envelopes that the hub does not serve any more, by the index of their entries."""
        self._waiting = {index: each for index, each in self._waiting.items() if index in served}

    def next(self, paused: Collection[str]) -> tuple[AttachmentRef, str] | None:
        """The attachment to download now, and the envelope that waits for it; None if there is none."""
        for _, waiting in sorted(self._waiting.items(), key=lambda each: (each[1].rank, each[0])):
            for each in self._missing(waiting):
                if each.sha256 not in paused:
                    return each, waiting.envelope
        return None

    def __bool__(self) -> bool:
        return any(any(self._missing(waiting)) for waiting in self._waiting.values())

    def _missing(self, waiting: _Waiting) -> Iterator[AttachmentRef]:
        for each in waiting.attachments:
            if size_of(file_of(self._home, each.sha256)) != each.size:
                yield each


class Downloader:
    """Downloads what one desk's envelopes wait for.

    Args:
        home: the node's home.
        line: to the hub.
        desk: an own desk.
        clock: the node's own.
        wanted: what waits; the desk's fetcher fills it.
    """

    def __init__(self, home: Home, line: Line, desk: str, clock: Clock, wanted: Wanted) -> None:
        self._home = home
        self._line = line
        self._desk = desk
        self._clock = clock
        self._wanted = wanted
        self._pauses = Pauses(PAUSE_BASE_SECONDS, PAUSE_CAP_SECONDS)
        self._collect_at = 0.0

    async def step(self) -> bool | None:
        """Download the attachment of the most urgent envelope, until it is here or a more urgent waits.

        Returns:
            True if an attachment is here now, False if there is more to do, None if nothing is wanted,
            or what is wanted is paused.

        Raises:
            HubUnreachable: the line was cut; what came stays, and it goes on from there.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._collect_at:
            await asyncio.to_thread(collect, self._home)
            self._collect_at = now + COLLECT_SECONDS
        found = self._wanted.next(self._pauses.waiting(now))
        if found is None:
            return None
        attachment, envelope = found
        try:
            with telling_full_disk():
                done = await self._download(attachment)
        except (Problem, ParseError) as error:
            self._pauses.failed(attachment.sha256, asyncio.get_running_loop().time())
            if isinstance(error, Problem):
                self._line.time.learn(error)
            await asyncio.to_thread(self._raise_alarm, envelope, error)
            return False
        self._pauses.succeeded(attachment.sha256)
        return done

    def idle_seconds(self, longest_seconds: float) -> float:
        """How long nothing is to be done, at the longest so long."""
        return self._pauses.seconds(asyncio.get_running_loop().time(), longest_seconds)

    async def _download(self, attachment: AttachmentRef) -> bool:
        # Two desks of a node may fetch the same file: each has its own unfinished one.
        unit = self._desk.partition("/")[2]
        final = file_of(self._home, attachment.sha256)
        part = await asyncio.to_thread(_Part, final.with_name(f"{final.name}.{unit}.part"))
        try:
            if part.size_bytes > attachment.size:
                await asyncio.to_thread(part.clear)
            if part.size_bytes < attachment.size and not await self._fill(part, attachment):
                return False
            if not hmac.compare_digest(part.digest.hexdigest(), attachment.sha256):
                await asyncio.to_thread(part.clear)
                raise Problem("attachment-hash", "the hub gives other bytes than were sealed")
            await asyncio.to_thread(part.finish, final)
        finally:
            part.close()
        return True

    async def _fill(self, part: _Part, attachment: AttachmentRef) -> bool:
        """Fetch what is missing. Returns False where something more urgent came in between."""
        client = self._line.clients[self._desk]
        held = bytearray()
        pieces = client.download(attachment.sha256, part.size_bytes, attachment.size)
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    held += piece
                    if len(held) >= READ_BYTES:
                        await asyncio.to_thread(part.write, bytes(held))
                        held.clear()
                        if self._is_overtaken(attachment):
                            return False
            finally:
                # Also where the line was cut: what came is not fetched again.
                await asyncio.to_thread(part.write, bytes(held))
        return True

    def _is_overtaken(self, attachment: AttachmentRef) -> bool:
        now = asyncio.get_running_loop().time()
        found = self._wanted.next(self._pauses.waiting(now))
        return found is not None and found[0].sha256 != attachment.sha256

    def _raise_alarm(self, envelope: str, error: Problem | ParseError) -> None:
        now = self._clock()
        with writing(self._home.engine) as connection:
            if isinstance(error, ParseError):
                raise_alarm(connection, AlarmKind.HUB_FAULT, envelope, str(error), now)
            elif error.word == "disk-full":
                text = "there is no room for an attachment"
                raise_alarm(connection, AlarmKind.INTERNAL, envelope, text, now)
            else:
                # Missing bytes are the hub's fault, whatever word it says it with.
                raise_fault(connection, envelope, error, now)


class _Part:
    """A file that comes in pieces: its size and hash so far; it blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self.size_bytes = 0
        self.digest = hashlib.sha256()
        for piece in pieces_of(path):
            self._count(piece)

    def write(self, data: bytes) -> None:
        write_all(self._descriptor, data)
        self._count(data)

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)
        self.size_bytes = 0
        self.digest = hashlib.sha256()

    def finish(self, final: Path) -> None:
        """Give the file its name, once the disk has all of it."""
        os.fsync(self._descriptor)
        self._path.replace(final)
        sync_folder(final.parent)

    def close(self) -> None:
        os.close(self._descriptor)

    def _count(self, data: bytes) -> None:
        self.size_bytes += len(data)
        self.digest.update(data)


def open_to_end(home: Home, arrived: Arrived, opened: Opened) -> None:
    """Step 17 with the files of this node.

    Raises:
        AttachmentsAwaited: some are not here, or were altered on this disk: they are fetched again.
        Faulty: the sender's fault: one does not open, or is not the file that the bulletin names.
    """
    paths = [file_of(home, each.sealed.sha256) for each in opened.attachments]
    for path, each in zip(paths, opened.attachments, strict=True):
        if size_of(path) != each.sealed.size:
            raise AttachmentsAwaited
    try:
        open_attachments(arrived, opened, lambda ref: pieces_of(file_of(home, ref.sha256)))
    except Faulty as faulty:
        # Whose bytes these are is looked at once more: this disk's faults are not the sender's.
        altered = [path for path in paths if sha256_of(path) != path.name]
        for path in altered:
            path.unlink()
        if altered:
            raise AttachmentsAwaited from faulty
        raise


def note_attachments(connection: Connection, arrived: Arrived, opened: Opened) -> None:
    """Store what opens the attachments of a bulletin; those of its first envelope stay."""
    header = arrived.header
    for each in opened.attachments:
        new = insert_once(tables.incoming_attachment).values(
            desk=arrived.desk,
            sender=header.from_,
            bulletin_id=header.bulletin.id,
            attachment_id=each.sealed.id,
            name=each.name,
            media_type=each.media_type,
            size=each.size_bytes,
            sha256=each.sha256,
            sealed_sha256=each.sealed.sha256,
            sealed_size=each.sealed.size,
            key=each.key,
        )
        connection.execute(new.on_conflict_do_nothing())


def find_attachment(
    connection: Connection, desk: str, sender: str, bulletin_id: str, attachment_id: str
) -> Any:
    """The row of a received attachment.

    Raises:
        Problem: `not-found`.
    """
    column = tables.incoming_attachment.c
    row = connection.execute(
        select(tables.incoming_attachment).where(
            column.desk == desk,
            column.sender == sender,
            column.bulletin_id == bulletin_id,
            column.attachment_id == attachment_id,
        )
    ).one_or_none()
    if row is None:
        raise Problem("not-found", "this bulletin has no such attachment")
    return row


def plaintext_of(home: Home, row: Any, start: int, end: int) -> Iterator[bytes]:
    """Open a received attachment: its bytes start ≤ index < end (`open_range`).

    Args:
        home: the node's home.
        row: of `find_attachment`.
        start: bytes of the plaintext.
        end: bytes of the plaintext, at most its size.

    Raises:
        VerificationError: the file was altered on this disk.
    """
    label = attachment_label(home.exchange, row.bulletin_id, row.attachment_id)
    sealed = pieces_of(file_of(home, row.sealed_sha256))
    return open_range(sealed, row.key, label, row.size, row.sha256, start, end)


def collect(home: Home) -> None:
    """Delete files that no bulletin of this node has, and unfinished ones that nobody goes on with."""
    before = time.time() - UPLOAD_LIFE_SECONDS
    old = [path for path in incoming_folder(home.data).iterdir() if path.stat().st_mtime < before]
    with reading(home.engine) as connection:
        column = tables.incoming_attachment.c.sealed_sha256
        kept = set(connection.execute(select(column).distinct()).scalars())
    for path in old:
        if path.name not in kept:
            path.unlink(missing_ok=True)
