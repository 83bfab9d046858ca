"""After a restore: the marker that `barid node restore` leaves, and what is still to be done because of it.

May import `broker.settings` and `schemas`; `sync` makes one, `sending` and the inbox loop ask it. A node
restored from a backup takes everything unexpired again, and looks once at what it did since that backup.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from broker.settings import write_whole
from schemas.errors import ConfigurationError, ParseError
from schemas.loader import dump_json, parse
from schemas.scalars import Message, UtcTime

RESTORED_FILE: Final = "restored.json"

_MARKER_BYTES_MAX: Final = 4096
"""Bytes of the marker: one moment."""


class Marker(Message):
    """What the file says: when the node was restored."""

    at: UtcTime


class Work(StrEnum):
    """What each desk has to do after a restore."""

    INBOX = "inbox"
    """Take everything unexpired again."""
    LOG = "log"
    """Look at what the log shows of the desk since the backup."""


def marker_bytes(at: datetime) -> bytes:
    """What `barid node restore` writes into `RESTORED_FILE`."""
    return dump_json(Marker(at=at)) + b"\n"


class Restoration:
    """What is left to do after a restore; nothing where there was none.

    Args:
        data: the node's data directory; the marker in it goes once everything is done.
        desks: the own desks.

    Raises:
        ConfigurationError: the marker is not one.
    """

    def __init__(self, data: Path, desks: Iterable[str]) -> None:
        self._path = data / RESTORED_FILE
        self.at = _read(self._path)
        self._open = set() if self.at is None else {(desk, work) for desk in desks for work in Work}

    def begin(self, desks: Iterable[str], at: datetime) -> None:
        """Note that this node was made anew for desks that had another one, which is lost.

        The marker is on the disk before anything else is done, so that a crash forgets nothing.

        Args:
            desks: some of the own desks.
            at: UTC, whole seconds.
        """
        if self.at is None:
            write_whole(self._path, marker_bytes(at))
            self.at = at
        self._open |= {(desk, work) for desk in desks for work in Work}

    def is_open(self, desk: str, work: Work) -> bool:
        """Whether a desk has this still to do."""
        return (desk, work) in self._open

    def done(self, desk: str, work: Work) -> None:
        """Note that a desk has done it; with the last one the marker goes.

        A crash before that repeats all of it, which is harmless.
        """
        if (desk, work) in self._open:
            self._open.discard((desk, work))
            if not self._open:
                self._path.unlink(missing_ok=True)


def _read(path: Path) -> datetime | None:
    try:
        return parse(Marker, path.read_bytes(), _MARKER_BYTES_MAX).at
    except FileNotFoundError:
        return None
    except ParseError as error:
        raise ConfigurationError(
            f"{path} is not what a restore leaves: restore the backup again"
        ) from error
