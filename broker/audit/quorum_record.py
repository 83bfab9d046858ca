"""The quorums that this auditor saw, audit after audit: what the time of each entry is held against.

May import `broker.tlog`, `broker.settings` and `schemas`; `verify` keeps it in the auditor's data directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from broker.settings import write_whole
from broker.tlog.quorum_times import QuorumTime, QuorumTimes
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import GENERATIONS_MAX, KEPT_QUORUMS_MAX
from schemas.loader import dump_json, parse
from schemas.scalars import Count, Message, UtcTime, Version

QUORUMS_FILE: Final = "quorums.json"

_ROW_BYTES_MAX: Final = 256
_FILE_BYTES_MAX: Final = 2 * KEPT_QUORUMS_MAX * _ROW_BYTES_MAX


class KeptQuorum(Message):
    """That quorums cosigned a log at a size: when the first did, and when the last."""

    size: Count
    first: UtcTime
    last: UtcTime


Kept = Annotated[tuple[KeptQuorum, ...], Field(max_length=KEPT_QUORUMS_MAX)]


class QuorumFile(Message):
    """The file's content: quorums by the origin of their log."""

    v: Version
    logs: Annotated[dict[str, Kept], Field(max_length=2 * GENERATIONS_MAX)]


class QuorumStore:
    """Keeps what was seen, in the auditor's data directory."""

    def __init__(self, data: Path) -> None:
        self._path = data / QUORUMS_FILE

    def load(self) -> dict[str, QuorumTimes]:
        """Read what was seen, by the origin of its log.

        Raises:
            ConfigurationError: the file is damaged.
        """
        if not self._path.exists():
            return {}
        try:
            kept = parse(QuorumFile, self._path.read_bytes(), _FILE_BYTES_MAX)
        except ParseError as error:
            raise ConfigurationError(
                f"{self._path} is damaged: {error}; move it away to begin anew"
            ) from error
        return {
            origin: QuorumTimes(QuorumTime(each.size, each.first, each.last) for each in quorums)
            for origin, quorums in kept.logs.items()
        }

    def save(self, times: Mapping[str, QuorumTimes]) -> None:
        """Replace what was seen, if anything was; of more than `KEPT_QUORUMS_MAX` of a log the oldest go."""
        logs = {
            origin: tuple(
                KeptQuorum(size=each.size, first=each.first, last=each.last)
                for each in quorums.times[-KEPT_QUORUMS_MAX:]
            )
            for origin, quorums in times.items()
            if quorums.times
        }
        if logs:
            write_whole(self._path, dump_json(QuorumFile(v=1, logs=logs)) + b"\n")
