"""TUF's timestamp: with it the hub says again and again which snapshot is the newest.

May import `schemas`, the rest of `keys` and tuf; pure. `broker.following` asks it at each refresh. The directory
log alone decides which directory is in force: a bad timestamp only keeps it from counting as fresh.
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


class TimestampRefused(VerificationError):
    """A timestamp that proves nothing; `fault` says why."""

    def __init__(self, fault: TimestampFault, detail: str) -> None:
        self.fault = fault
        super().__init__(detail)


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


def accept_timestamp(data: bytes, root: Root, seen: bytes | None) -> Timestamp:
    """Read a timestamp that is signed, and no older than the last that was.

    A timestamp seen counts only as long as the council leaves the online key as it is: a stolen key that
    jumped to the highest version must not stop its successor.

    Args:
        data: as the hub gave it.
        root: in force; its timestamp role names the online key.
        seen: the last timestamp that this function accepted.

    Raises:
        TimestampRefused: `SIGNATURE` or `ROLLED_BACK`.
    """
    timestamp = _read(data, root)
    if seen is None:
        return timestamp
    try:
        newest = _read(seen, root)
    except TimestampRefused:
        return timestamp
    if timestamp.version < newest.version:
        raise TimestampRefused(
            TimestampFault.ROLLED_BACK,
            f"the timestamp is older than version {newest.version}, which was seen before",
        )
    return timestamp


def check_timestamp(
    timestamp: Timestamp, directory: Directory, snapshot_size_bytes: int, now: datetime
) -> None:
    """Check that a timestamp holds now, and vouches for the snapshot in force.

    Args:
        timestamp: that was accepted.
        directory: in force.
        snapshot_size_bytes: of its snapshot.
        now: the reader's clock.

    Raises:
        TimestampRefused: `EXPIRED` or `OTHER_SNAPSHOT`.
    """
    if now >= timestamp.expires:
        raise TimestampRefused(
            TimestampFault.EXPIRED, f"the timestamp expired {format_time(timestamp.expires)}"
        )
    listed, in_force = timestamp.snapshot_meta, directory.snapshot_file
    try:
        sha256, size_bytes = commitment_of("snapshot", listed)
    except VerificationError as error:
        raise TimestampRefused(TimestampFault.OTHER_SNAPSHOT, str(error)) from error
    if (listed.version, size_bytes, sha256) != (
        in_force.version,
        snapshot_size_bytes,
        in_force.sha256,
    ):
        raise TimestampRefused(
            TimestampFault.OTHER_SNAPSHOT,
            f"the timestamp vouches for a snapshot of version {listed.version} that is not the one in"
            f" force, version {in_force.version}",
        )


def _read(data: bytes, root: Root) -> Timestamp:
    try:
        metadata = read_metadata(Timestamp.type, data, Timestamp)
        verify_role(root, Timestamp.type, metadata)
    except VerificationError as error:
        raise TimestampRefused(TimestampFault.SIGNATURE, str(error)) from error
    return metadata.signed
