"""Where attachments lie: unfinished uploads as files, whole ones in an object store. Ciphertext only.

May import obstore and `broker.settings`; `attachments` decides what is written, read and deleted. Everything
here blocks, but for reading an object; nothing holds more of an attachment than a piece.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from broker.settings import HubSettings
from schemas.errors import ConfigurationError, Problem
from schemas.scalars import MEMBER_PATTERN, UNIT_PATTERN

if TYPE_CHECKING:
    from obstore.store import RetryConfig

READ_BYTES: Final = 1024 * 1024
"""Of an object, at once: a reader on a slow line holds no more than this."""

_PART_BYTES: Final = 8 * 1024 * 1024
"""Of an upload to a remote store, at once: S3 takes parts of 5 MiB and more, and 10,000 of them."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

STORE_ERRORS: Final = (OSError, BaseError)
"""What disk and object store raise."""

_RETRIES: Final[RetryConfig] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
"""Of a call to a remote store: shorter than a node waits for the hub."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_UPLOAD: Final = re.compile(rf"({MEMBER_PATTERN})\.({UNIT_PATTERN})\.([0-9a-f]{{64}})", re.ASCII)


def _check_room(error: OSError) -> None:
    """Raises Problem: `disk-full`, where that is what failed."""
    if error.errno in _NO_ROOM:
        raise Problem("disk-full") from error


class Uploads:
    """What has come of each upload, a file for each desk and attachment.

    Until an upload is whole nothing is promised: a power cut may shorten its file, and the uploader goes on
    from what is left. Whatever else a disk may do to it, the SHA-256 of the whole decides.

    Args:
        folder: made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder

    def path(self, desk: str, sha256: str) -> Path:
        """The file of one upload; neither member nor unit of a desk has a dot in its name."""
        return self.folder / f"{desk.replace('/', '.')}.{sha256}"

    def size(self, desk: str, sha256: str) -> int:
        """How many bytes have come."""
        try:
            return self.path(desk, sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, desk: str, sha256: str, offset: int, piece: bytes) -> None:
        """Write a piece behind the `offset` bytes that are there; a crash leaves a beginning of it.

        Raises:
            Problem: `disk-full`; the file is as it was.
        """
        try:
            with self.path(desk, sha256).open("ab", buffering=0) as file:
                try:
                    left = memoryview(piece)
                    while left:
                        left = left[file.write(left) :]
                except OSError:
                    file.truncate(offset)
                    raise
        except OSError as error:
            _check_room(error)
            raise

    def settle(self, desk: str, sha256: str) -> str:
        """Have the disk take what has come, and give its SHA-256 in hex.

        Raises:
            Problem: `disk-full`.
        """
        with self.path(desk, sha256).open("rb") as file:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                _check_room(error)
                raise
            return hashlib.file_digest(file, "sha256").hexdigest()

    def drop(self, desk: str, sha256: str) -> None:
        """Delete what has come, if anything has."""
        self.path(desk, sha256).unlink(missing_ok=True)

    def names(self) -> list[tuple[str, str]]:
        """Desk and SHA-256 of every file that is here."""
        found = (_UPLOAD.fullmatch(path.name) for path in self.folder.iterdir())
        return [(f"{name[1]}/{name[2]}", name[3]) for name in found if name]


class Objects:
    """Whole attachments, by their SHA-256.

    Args:
        store: where they lie.
        folder: the directory behind `store`, if that is one of this machine.
    """

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    def keep(self, file: Path, sha256: str) -> None:
        """Keep a file that the disk has, and whose hash is right, under its name.

        When this returns, the store has all of it for good. The file itself stays, until the log has the
        attachment: a crash before that costs no upload.

        Raises:
            Problem: `disk-full`; `busy` where a remote store does not answer.
        """
        try:
            if self._folder is None:
                obstore.put(self._store, sha256, file, chunk_size=_PART_BYTES, max_concurrency=1)
            else:
                _link(file, self._folder / sha256)
        except OSError as error:
            _check_room(error)
            raise
        except BaseError as error:
            raise Problem("busy", "the object store does not take the attachment") from error

    def size(self, sha256: str) -> int | None:
        """How large an object is, in bytes; None if it is not here.

        Raises:
            Problem: `busy` where a remote store does not answer.
        """
        try:
            return obstore.head(self._store, sha256)["size"]
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise Problem("busy", "the object store does not answer") from error

    async def read(self, sha256: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes start ≤ position < end of an object, at most `READ_BYTES` at once."""
        for position in range(start, end, READ_BYTES):
            stop = min(position + READ_BYTES, end)
            read = await obstore.get_range_async(self._store, sha256, start=position, end=stop)
            yield bytes(read)

    def delete(self, sha256: str) -> None:
        """Delete an object, if it is here."""
        try:
            obstore.delete(self._store, sha256)
        except FileNotFoundError:
            return

    def names(self) -> Iterator[list[str]]:
        """The names of all objects, some at a time."""
        for found in obstore.list(self._store):
            yield [each["path"] for each in found if _SHA256.fullmatch(each["path"])]


def _link(file: Path, target: Path) -> None:
    """Give a file a second name, unless another upload has done so, and have the disk take that."""
    if not target.exists() or target.stat().st_size != file.stat().st_size:
        target.unlink(missing_ok=True)
        target.hardlink_to(file)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True, slots=True)
class AttachmentFiles:
    """Both places, and how many bytes each desk may have there."""

    uploads: Uploads
    objects: Objects
    quota_bytes: int

    @classmethod
    def open(cls, data: Path, settings: HubSettings) -> Self:
        """Open a hub's: `uploads` and `attachments` in its directory, or the store that is set.

        Credentials of a remote store come from the environment (`AWS_…`), never from the settings.

        Raises:
            ConfigurationError: the two directories do not lie in one file system.
        """
        uploads = Uploads(data / "uploads")
        if settings.attachment_store is not None:
            objects = Objects(S3Store.from_url(settings.attachment_store, retry_config=_RETRIES))
            return cls(uploads, objects, settings.attachment_quota_bytes)
        folder = data / "attachments"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_dev != uploads.folder.stat().st_dev:
            raise ConfigurationError(
                f"{folder} and {uploads.folder} lie in two file systems: mount one for both"
            )
        return cls(uploads, Objects(LocalStore(folder), folder), settings.attachment_quota_bytes)
