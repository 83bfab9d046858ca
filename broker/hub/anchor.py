"""The anchor: sizes and roots of both logs as they were last signed, in a second place.

May import SQLAlchemy, `broker.tlog` and the hub's own rooms; the ledger writes it after each commit, and only
then answers. A hub that was set back to an old disk finds itself behind it, and signs nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from broker.hub.logbook import Head, LogName, read_head, why_behind
from broker.settings import write_whole
from schemas.entries import TreeHead
from schemas.errors import ConfigurationError, ParseError
from schemas.loader import dump_json, parse
from schemas.scalars import Message

ANCHOR_VARIABLE: Final = "BARID_HUB_ANCHOR"
"""Names the file, in place of the settings."""

_ANCHOR_BYTES_MAX: Final = 4096
"""Bytes of the file: two origins, sizes and roots."""


class AnchoredLog(Message):
    """One log as it was last signed."""

    origin: str
    head: TreeHead


class Anchored(Message):
    """The file's content, by log."""

    logs: dict[LogName, AnchoredLog]


class Anchor:
    """A file in a second place: on another disk, or another machine's.

    Args:
        path: the file; its folder is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Anchored | None:
        """What was signed last; None where nothing was yet.

        Raises:
            ConfigurationError: the place cannot be reached, or the file is another one.
        """
        if not self.path.parent.is_dir():
            raise ConfigurationError(
                f"{self.path.parent}, where the hub's anchor lies, is not there"
            )
        try:
            return parse(Anchored, self.path.read_bytes(), _ANCHOR_BYTES_MAX)
        except FileNotFoundError:
            return None
        except (OSError, ParseError) as error:
            raise ConfigurationError(
                f"{self.path} is no anchor that can be read: {error}"
            ) from error

    def write(self, heads: Sequence[Head]) -> None:
        """Note what was signed, unless another process has noted more already.

        Raises:
            OSError: the place does not take it.
            ConfigurationError: as `read`.
        """
        with self._alone():
            known = self.read()
            now = {head.log: AnchoredLog(origin=head.origin, head=head.tree) for head in heads}
            for log, before in (known.logs if known else {}).items():
                is_same = log in now and now[log].origin == before.origin
                if is_same and now[log].head.size < before.head.size:
                    now[log] = before
            if known is None or known.logs != now:
                write_whole(self.path, dump_json(Anchored(logs=now)) + b"\n")
                self._sync_folder()

    def why_behind(self, connection: Connection, closed: Collection[str] = ()) -> str:
        """Why the hub must sign nothing: its logs are not those that were signed. Empty where they are.

        Args:
            connection: reads the database of the logs that are written.
            closed: origins of closed logs: what was noted of them last is over.

        Raises:
            ConfigurationError: as `read`.
        """
        known = self.read()
        for log, signed in (known.logs if known else {}).items():
            origin = read_head(connection, log).origin
            if signed.origin in closed:
                continue
            if origin != signed.origin:
                return f"the anchor is of another log, {signed.origin}"
            if why := why_behind(connection, log, signed.head):
                return why
        return ""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
