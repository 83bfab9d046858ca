"""Attachment files of the data directory: ciphertext alone, written durably, read in small pieces.

May import `schemas` and the standard library; outbox, inbox and the agency interface use it. Keys stand in
the encrypted database, and plaintext never rests on the disk.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import OperationalError

from schemas.errors import Problem

READ_BYTES: Final = 1024 * 1024
"""Bytes of one read: large enough to be quick, small enough to be held by many at once."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def outgoing_folder(data: Path) -> Path:
    """Where attachments that leave are kept; made if need be."""
    return _folder(data / "attachments" / "out")


def incoming_folder(data: Path) -> Path:
    """Where attachments that arrived are kept; made if need be."""
    return _folder(data / "attachments" / "in")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        for each in (path.parent, path.parent.parent):
            sync_folder(each)
    return path


@contextmanager
def telling_full_disk() -> Iterator[None]:
    """Turn 'no space left', of a file or of the database, into the problem that says so.

    Raises:
        Problem: `disk-full`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Problem("disk-full") from error
        raise
    except OperationalError as error:
        if "disk is full" in str(error.orig):
            raise Problem("disk-full") from error
        raise


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def pieces_of(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Read a file's bytes start ≤ index < end, a piece at a time.

    Args:
        path: of the file.
        start: bytes from its beginning.
        end: bytes from its beginning; None for all that is there.
    """
    with path.open("rb") as file:
        file.seek(start)
        left = None if end is None else end - start
        while left is None or left > 0:
            piece = file.read(READ_BYTES if left is None else min(READ_BYTES, left))
            if not piece:
                return
            left = None if left is None else left - len(piece)
            yield piece


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def appending(path: Path, offset: int) -> Iterator[int]:
    """Open a file to write behind its first `offset` bytes; when the block ends, the disk has it.

    What stood behind them was never answered for, and is cut off. Should the block fail, the file is cut
    back to `offset`.

    Yields:
        A file descriptor.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(descriptor, offset)
        os.lseek(descriptor, offset, os.SEEK_SET)
        try:
            yield descriptor
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, offset)
            raise
    finally:
        os.close(descriptor)
    if offset == 0:
        sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes: the system may take fewer at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(path: Path) -> None:
    """Have the disk know the names within a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
