"""Looking at the hub's TUF timestamp: fetched after both logs were followed, and judged by what they say.

May import `broker.client`, `keys` and `schemas`; `following` asks it. A timestamp vouches for the directory
that was in force when it was fetched: where something was published meanwhile, the logs are followed again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from broker.client import HubClient, TrustFileAbsent
from keys.directory import Directory
from keys.history import DirectoryHistory
from keys.timestamps import (
    TIMESTAMP_BYTES_MAX,
    TIMESTAMP_NAME,
    TimestampCheck,
    TimestampFault,
    judge_timestamp,
)
from keys.tuf_files import TrustFileMissing, metadata_name
from schemas.errors import Finality, HubUnreachable, ParseError, Problem

OVERTAKEN: Final = frozenset({TimestampFault.OTHER_SNAPSHOT, TimestampFault.SIGNATURE})
"""What an honest timestamp shows to who has not read yet what was published just before: another snapshot, or
another online key."""


class TrustFiles(Protocol):
    """Where TUF files are kept."""

    def trust_file(self, name: str) -> bytes | None:
        """A TUF file kept."""

    def save_trust_file(self, name: str, data: bytes) -> None:
        """Keep a TUF file."""


class TimestampLook:
    """One look: what the hub showed at a moment, to be judged by what the logs say.

    Args:
        files: where the last good timestamp and the snapshots are kept.
        history: of the directory log, as it is followed.
        clock: this party's own, by which a timestamp expires.
    """

    def __init__(
        self, files: TrustFiles, history: DirectoryHistory, clock: Callable[[], datetime]
    ) -> None:
        self._files = files
        self._history = history
        self._clock = clock
        self._shown: bytes | TimestampCheck | None = None
        self._size = history.size

    async def fetch(self, client: HubClient) -> None:
        """Fetch what the hub shows. No answer, or one that is busy, says nothing new."""
        self._size = self._history.size
        try:
            self._shown = await client.trust_file(TIMESTAMP_NAME, TIMESTAMP_BYTES_MAX)
        except HubUnreachable:
            self._shown = None
        except (TrustFileAbsent, ParseError):
            self._shown = self._missing("the hub shows none")
        except Problem as problem:
            retryable = problem.type.finality is Finality.RETRYABLE
            self._shown = None if retryable else self._missing(f"the hub answers {problem.word}")

    def judge(self) -> TimestampCheck | None:
        """Judge it by the directory in force; where another followed since, by each since it was fetched.

        Returns:
            What is wrong with it, if anything; None where nothing new was said, or no directory is in force.
        """
        directory = self._history.newest.directory
        if directory is None:
            return None
        if not isinstance(self._shown, bytes):
            return self._shown
        seen = self._files.trust_file(TIMESTAMP_NAME)
        check = self._vouches(self._shown, seen, directory)
        for size in range(self._history.size - 1, self._size - 1, -1):
            earlier = self._history.at(size).directory
            if check.fault not in OVERTAKEN or earlier is None:
                break
            former = self._vouches(self._shown, seen, earlier)
            check = former if former.fault is None else check
        if check.is_newest and self._shown != seen:
            self._files.save_trust_file(TIMESTAMP_NAME, self._shown)
        return check

    def _missing(self, detail: str) -> TimestampCheck:
        return TimestampCheck(self._clock(), TimestampFault.MISSING, detail)

    def _vouches(self, shown: bytes, seen: bytes | None, directory: Directory) -> TimestampCheck:
        snapshot = metadata_name("snapshot", directory.snapshot_file.version)
        kept = self._files.trust_file(snapshot)
        if kept is None:
            raise TrustFileMissing(snapshot)
        return judge_timestamp(shown, seen, directory, len(kept), self._clock())
