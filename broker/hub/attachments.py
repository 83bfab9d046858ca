"""Attachments at the hub: pieces taken until the whole is stored and logged; what nobody needs, collected.

May import asyncio, `broker.db` and the hub's own rooms; `attachment_routes` hands pieces in, the application
runs `keep_collecting` while it serves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading
from broker.hub.attachment_files import STORE_ERRORS, AttachmentFiles
from broker.hub.attachment_rows import (
    Abandon,
    Collect,
    Reserve,
    Store,
    find_upload,
    is_collectable,
    readable_size,
    stored_receipt,
    without_owner,
)
from broker.hub.sequencer import Sequencer
from schemas.errors import BaridError, Problem
from schemas.receipts import Receipt

COLLECT_SECONDS: Final = 600.0
"""How often the hub looks for what nobody needs any more."""

_LOG = logging.getLogger("barid.hub")

Found = TypeVar("Found")


class Attachments:
    """Uploads, downloads and the collector.

    Pieces of one attachment are taken one after the other, whoever sends them: the file, the object and the
    rows of an attachment are touched under its lock alone.

    Args:
        engine: the hub's database, for reading.
        sequencer: writes everything else.
        files: where the bytes lie.
        now_unix: seconds since 1970.
    """

    def __init__(
        self,
        engine: Engine,
        sequencer: Sequencer,
        files: AttachmentFiles,
        now_unix: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._sequencer = sequencer
        self._files = files
        self._uploads, self._objects = files.uploads, files.objects
        self._now_unix = now_unix
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(
        self, desk: str, sha256: str, size: int, offset: int, piece: bytes
    ) -> int | Receipt:
        """Take one piece of a desk's upload.

        1. What the desk has stored is answered with its receipt, whatever is sent.
        2. The first piece reserves the size; so does one at 0 under another size, which begins anew.
        3. A piece goes where the last one ended, and not beyond the size.
        4. It is written. With the last one the upload is settled: hashed, kept, logged.

        A desk uploads all the bytes, even of what another has stored: knowing a hash proves nothing.

        Args:
            desk: the uploader.
            sha256: of the whole.
            size: of the whole, in bytes.
            offset: where the piece begins, in bytes.
            piece: may be empty.

        Returns:
            The offset of the next piece, or once the whole is stored the receipt of its entry.

        Raises:
            Problem: `attachment-hash`, `quota` (2), `upload-offset`, `too-large` (3), `disk-full` (4).
        """
        async with self._lock(sha256):
            upload = await self._ask(lambda c: find_upload(c, desk, sha256))
            if upload and upload.is_stored and await self._is_whole(sha256, upload.size):
                if upload.size != size:
                    raise Problem("attachment-hash", "it is stored, and has another size")
                return await self._ask(lambda c: stored_receipt(c, sha256))
            if upload is None or upload.size != size or upload.is_stored:
                await self._begin(desk, sha256, size, offset)
            come = await asyncio.to_thread(self._uploads.size, desk, sha256)
            if offset != come:
                raise Problem("upload-offset", f"{come} bytes have come so far", offset=come)
            if come + len(piece) > size:
                raise Problem("too-large", f"the upload was to have {size} bytes")
            if piece:
                await asyncio.to_thread(self._uploads.append, desk, sha256, come, piece)
            if come + len(piece) < size:
                return come + len(piece)
            return await self._settle(desk, sha256, size)

    async def _begin(self, desk: str, sha256: str, size: int, offset: int) -> None:
        if offset != 0:
            raise Problem("upload-offset", "no byte has come so far", offset=0)
        # The file goes first: one that a crash left behind would count as part of this upload.
        await asyncio.to_thread(self._uploads.drop, desk, sha256)
        await self._sequencer.submit(Reserve(desk, sha256, size, self._files.quota_bytes))

    async def _settle(self, desk: str, sha256: str, size: int) -> Receipt:
        """Store an upload that is whole.

        The object is durable before the log says so. A crash in between leaves an object without entry
        and the upload as it was: its next piece, an empty one, settles it, or the collector finds both.
        """
        if await asyncio.to_thread(self._uploads.settle, desk, sha256) != sha256:
            await asyncio.to_thread(self._uploads.drop, desk, sha256)
            await self._sequencer.submit(Abandon(desk, sha256))
            raise Problem("attachment-hash")
        await asyncio.to_thread(self._objects.keep, self._uploads.path(desk, sha256), sha256)
        receipt: Receipt = await self._sequencer.submit(Store(desk, sha256, size))
        await asyncio.to_thread(self._uploads.drop, desk, sha256)
        return receipt

    async def offset(self, desk: str, sha256: str, size: int) -> int:
        """How many bytes have come of a desk's upload of this size; `size` where it is stored."""
        upload = await self._ask(lambda c: find_upload(c, desk, sha256))
        if upload is None or upload.size != size:
            return 0
        if upload.is_stored:
            return size if await self._is_whole(sha256, size) else 0
        return await asyncio.to_thread(self._uploads.size, desk, sha256)

    async def readable_size(self, desk: str, sha256: str) -> int | None:
        """The size of an attachment that a desk may download; None if it may not, or there is none."""
        return await self._ask(lambda c: readable_size(c, desk, sha256))

    async def read(self, sha256: str, size: int, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes start ≤ position < end of a stored attachment of `size` bytes, some at a time.

        Raises:
            Problem: `internal`, its object is gone or another.
        """
        if not await self._is_whole(sha256, size):
            raise Problem("internal", "the attachment is logged as stored, and its bytes are gone")
        return self._objects.read(sha256, start, end)

    async def _is_whole(self, sha256: str, size: int) -> bool:
        # A restored hub may have lost an object that its database knows: its uploader may bring it again.
        return await asyncio.to_thread(self._objects.size, sha256) == size

    async def collect(self) -> None:
        """Delete what nobody needs any more.

        1. Rows: uploads that were never finished, attachments that no unexpired envelope names.
        2. Objects and files without their row.

        Rows go first. A crash in between leaves bytes that nobody is told of, and the next run finds them;
        the other way round an envelope could be accepted whose attachment is gone.
        """
        while await self._ask(lambda c: is_collectable(c, self._now_unix())):
            await self._sequencer.submit(Collect())
        names = self._objects.names()
        while (found := await asyncio.to_thread(next, names, None)) is not None:
            for sha256 in await self._orphans(found):
                async with self._lock(sha256):
                    # Looked at again: an upload may have begun meanwhile.
                    if await self._orphans([sha256]):
                        await asyncio.to_thread(self._objects.delete, sha256)
        for desk, sha256 in await asyncio.to_thread(self._uploads.names):
            async with self._lock(sha256):
                upload = await self._ask(partial(find_upload, desk=desk, sha256=sha256))
                if upload is None or upload.is_stored:
                    await asyncio.to_thread(self._uploads.drop, desk, sha256)

    async def _orphans(self, names: list[str]) -> list[str]:
        return await self._ask(lambda c: without_owner(c, names))

    def _lock(self, sha256: str) -> asyncio.Lock:
        return self._locks.setdefault(sha256, asyncio.Lock())

    async def _ask(self, question: Callable[[Connection], Found]) -> Found:
        def answer() -> Found:
            with reading(self._engine) as connection:
                return question(connection)

        return await asyncio.to_thread(answer)


async def keep_collecting(attachments: Attachments) -> None:
    """Collect at once, and then every `COLLECT_SECONDS`; runs until it is cancelled."""
    while True:
        try:
            await attachments.collect()
        except (BaridError, SQLAlchemyError, *STORE_ERRORS) as error:
            # A task that ended would never collect anything again; what is left stays for the next run.
            _LOG.error("attachments were not collected: %s", type(error).__name__)
        await asyncio.sleep(COLLECT_SECONDS)
