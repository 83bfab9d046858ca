"""A small disk of its own, as a tmpfs: filled, freed, made read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_BYTES = 5 * 1024 * 1024

_PIECE_BYTES = 16 * 1024


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a tmpfs; skips the test where that is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root mounts a tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave_bytes: int) -> Path:
    """Fill a disk but for so many bytes; gives the file that takes the room."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    room_bytes = free.f_bavail * free.f_frsize - leave_bytes
    with filler.open("wb") as file:
        for _ in range(room_bytes // _PIECE_BYTES):
            file.write(bytes(_PIECE_BYTES))
    return filler


def remount(disk: Path, option: str) -> None:
    """Make a disk read-only (`ro`) or writable (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)
