"""What this auditor verified before: the newest checkpoint of each log that it found sound, and when.

May import `broker.tlog` and `schemas`; `verify` keeps it in the auditor's data directory. The auditor is a
witness of its own: a log that shrinks, forks or is backdated between two audits shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from broker.audit.quorum_record import QuorumStore
from broker.audit.rules import LogName
from broker.settings import write_whole
from broker.tlog.receipt import LogVerifier
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.loader import dump_json, parse
from schemas.scalars import Message, UtcTime, Version

SEEN_FILE: Final = "verified.json"

_SEEN_BYTES_MAX: Final = 64 * 1024
"""Bytes of the file: two checkpoints with two signature lines each take under 8 KB."""

NoteText = Annotated[str, Field(min_length=1, max_length=16384)]


class SeenFile(Message):
    """The file's content: the checkpoints with their signatures, as evidence; `at` is the auditor's clock."""

    v: Version
    at: UtcTime
    directory: NoteText
    exchange: NoteText

    @property
    def origin(self) -> str:
        """Of the directory log."""
        return self.directory.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class SeenLog:
    """One log as it was verified at a moment; `root` is 32 bytes, `note` the signed checkpoint."""

    size: int
    root: bytes
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Both logs as they were verified together."""

    directory: SeenLog
    exchange: SeenLog

    def directory_size_due(self, index: int) -> int:
        """The least `directory_size` of the exchange entry at `index`: more was seen before later ones."""
        return self.directory.size if index >= self.exchange.size else 0

    def exchange_size_due(self, index: int) -> int:
        """The least exchange log that the directory entry at `index` names."""
        return self.exchange.size if index >= self.directory.size else 0


def seen_of(seen: Seen | None, log: LogName) -> SeenLog | None:
    """One log as it was verified; None where neither was."""
    if seen is None:
        return None
    return seen.directory if log == "directory" else seen.exchange


class SeenStore:
    """Keeps what was verified, in the auditor's data directory."""

    def __init__(self, data: Path) -> None:
        self._path = data / SEEN_FILE
        self.quorums = QuorumStore(data)

    def load(self) -> SeenFile | None:
        """Read what was verified before; None before the first audit.

        Raises:
            ConfigurationError: the file is damaged.
        """
        if not self._path.exists():
            return None
        try:
            return parse(SeenFile, self._path.read_bytes(), _SEEN_BYTES_MAX)
        except ParseError as error:
            raise self.unusable(str(error)) from error

    def open(self, kept: SeenFile | None, verifiers: Mapping[LogName, LogVerifier]) -> Seen | None:
        """Verify what was kept; None where it is of logs of another generation.

        Raises:
            ConfigurationError: it is not signed by these logs.
        """
        if kept is None or kept.origin != verifiers["directory"].origin:
            return None
        try:
            return Seen(
                _open(verifiers["directory"], kept.directory, kept.at),
                _open(verifiers["exchange"], kept.exchange, kept.at),
            )
        except (ParseError, VerificationError) as error:
            raise self.unusable(str(error)) from error

    def unusable(self, why: str) -> ConfigurationError:
        """What to say where it is of none of the logs that are audited."""
        return ConfigurationError(
            f"{self._path} is damaged or of another exchange: {why}; move it away to begin anew"
        )

    def save(self, seen: Seen) -> None:
        """Replace what was verified before; a crash leaves the old file or the new one."""
        kept = SeenFile(
            v=1, at=seen.exchange.at, directory=seen.directory.note, exchange=seen.exchange.note
        )
        write_whole(self._path, dump_json(kept) + b"\n")


def _open(log: LogVerifier, note: str, at: datetime) -> SeenLog:
    checkpoint = log.open(note, both=True)
    return SeenLog(checkpoint.size, checkpoint.root, at, note)
