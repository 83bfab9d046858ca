"""TUF's timestamp: with it the hub says again and again which snapshot is the newest.

May import `schemas`, the rest of `keys` and tuf; pure. `broker.following` asks it at each refresh. The
directory log alone decides what is in force: a bad timestamp only keeps it from counting as fresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tuf.api.metadata import Root, Timestamp

from keys.directory import Directory
from keys.repository import TIMESTAMP_NAME as TIMESTAMP_NAME
from keys.tuf_files import commitment_of, read_metadata, verify_role
from schemas.errors import VerificationError
from schemas.scalars import format_time

TIMESTAMP_BYTES_MAX: Final = 16 * 1024
"""Bytes of a timestamp: one snapshot and one signature take under 1 KiB."""


class TimestampFault(StrEnum):
    """What is wrong with a timestamp; the values are the words by which people and programs know it."""

    MISSING = "timestamp-missing"
    """The hub has none, or none that is shown."""
    SIGNATURE = "timestamp-signature"
    """It is not signed by the online key that the council named."""
    ROLLED_BACK = "timestamp-rolled-back"
    """It is older than one that was seen."""
    EXPIRED = "timestamp-expired"
    """It has run out: nobody renews it, or an old one is shown."""
    OTHER_SNAPSHOT = "timestamp-other-snapshot"
    """It vouches for another snapshot than the one in force."""


@dataclass(frozen=True, slots=True)
class TimestampCheck:
    """What came of looking at the hub's timestamp.

    Args:
        at: when, by the clock of who looked.
        fault: what is wrong with it; None where it vouches for the directory in force.
        detail: a sentence about it.
    """

    at: datetime
    fault: TimestampFault | None = None
    detail: str = ""

    @property
    def is_newest(self) -> bool:
        """Whether the timestamp is one that later ones must not fall behind, good or not."""
        return self.fault in {None, TimestampFault.EXPIRED, TimestampFault.OTHER_SNAPSHOT}


class _Refused(VerificationError):
    def __init__(self, fault: TimestampFault, detail: str) -> None:
        self.fault = fault
        super().__init__(detail)


def judge_timestamp(
    data: bytes, seen: bytes | None, directory: Directory, snapshot_size_bytes: int, now: datetime
) -> TimestampCheck:
    """Judge what a hub gave as its timestamp.

    1. It is signed by the online key of the root in force.
    2. It is not older than the last that was. A timestamp seen counts only as long as the council leaves
       the online key as it is: a stolen key that jumped to the highest version must not stop its successor.
    3. It has not expired.
    4. It vouches for the snapshot in force: its version, its length and its SHA-256.

    Args:
        data: as the hub gave it.
        seen: the last timestamp that was the newest (`TimestampCheck.is_newest`).
        directory: in force.
        snapshot_size_bytes: of its snapshot.
        now: the reader's clock.
    """
    try:
        timestamp = _accept(data, directory.root, seen)
        _check(timestamp, directory, snapshot_size_bytes, now)
    except _Refused as refused:
        return TimestampCheck(now, refused.fault, str(refused))
    return TimestampCheck(now)


def _accept(data: bytes, root: Root, seen: bytes | None) -> Timestamp:
    timestamp = _read(data, root)
    if seen is None:
        return timestamp
    try:
        newest = _read(seen, root)
    except _Refused:
        return timestamp
    if timestamp.version < newest.version:
        raise _Refused(
            TimestampFault.ROLLED_BACK,
            f"the timestamp is older than version {newest.version}, which was seen before",
        )
    return timestamp


def _check(
    timestamp: Timestamp, directory: Directory, snapshot_size_bytes: int, now: datetime
) -> None:
    if now >= timestamp.expires:
        detail = f"the timestamp expired {format_time(timestamp.expires)}"
        raise _Refused(TimestampFault.EXPIRED, detail)
    listed, in_force = timestamp.snapshot_meta, directory.snapshot_file
    try:
        sha256, size_bytes = commitment_of("snapshot", listed)
    except VerificationError as error:
        raise _Refused(TimestampFault.OTHER_SNAPSHOT, str(error)) from error
    vouched = (listed.version, size_bytes, sha256)
    if vouched != (in_force.version, snapshot_size_bytes, in_force.sha256):
        raise _Refused(
            TimestampFault.OTHER_SNAPSHOT,
            f"the timestamp vouches for a snapshot of version {listed.version} that is not the one in"
            f" force, version {in_force.version}",
        )


def _read(data: bytes, root: Root) -> Timestamp:
    try:
        metadata = read_metadata(Timestamp.type, data, Timestamp)
        verify_role(root, Timestamp.type, metadata)
    except VerificationError as error:
        raise _Refused(TimestampFault.SIGNATURE, str(error)) from error
    return metadata.signed
