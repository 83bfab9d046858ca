"""The hub's own two TUF files, snapshot and timestamp: how old they are, and a timestamp for a snapshot.

May import `keys`, SQLAlchemy and the hub's tables; `publications` and `renewal` sign with it, the doctor and
the metrics ask how old both are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert
from tuf.api.metadata import Snapshot, Timestamp

from broker.hub.stored import read_trust_file
from broker.hub.tables import trust_file
from keys.derivation import sha256_hex
from keys.repository import TIMESTAMP_NAME, TrustSigner, sign_timestamp
from keys.tuf_files import TrustFileMissing, metadata_name, read_metadata
from schemas.entries import FileVersion
from schemas.errors import VerificationError
from schemas.limits import (
    SNAPSHOT_LIFE_SECONDS,
    SNAPSHOT_RENEWAL_SECONDS,
    TIMESTAMP_LIFE_SECONDS,
    TIMESTAMP_RENEWAL_SECONDS,
    TRUST_FILE_BYTES_MAX,
)

_FORGET: Final = delete(trust_file).where(trust_file.c.name == TIMESTAMP_NAME)
_KEEP: Final = insert(trust_file)


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the hub's online key has signed of the directory in force.

    Args:
        snapshot: its exact bytes.
        snapshot_expires: UTC.
        timestamp_expires: UTC; None where there is no timestamp for this snapshot.
    """

    snapshot: bytes
    snapshot_expires: datetime
    timestamp_expires: datetime | None

    def snapshot_age_seconds(self, at: datetime) -> float:
        """Since the snapshot was signed."""
        return SNAPSHOT_LIFE_SECONDS - (self.snapshot_expires - at).total_seconds()

    def timestamp_age_seconds(self, at: datetime) -> float | None:
        """Since the timestamp was signed; None where there is none."""
        if self.timestamp_expires is None:
            return None
        return TIMESTAMP_LIFE_SECONDS - (self.timestamp_expires - at).total_seconds()

    def snapshot_is_due(self, at: datetime) -> bool:
        """Whether a new snapshot is to be signed: a third of its life is left."""
        return (self.snapshot_expires - at).total_seconds() <= SNAPSHOT_RENEWAL_SECONDS

    def timestamp_is_due(self, at: datetime) -> bool:
        """Whether a new timestamp is to be signed: it is an hour old, or of a clock that ran ahead."""
        age_seconds = self.timestamp_age_seconds(at)
        return age_seconds is None or not 0 <= age_seconds < TIMESTAMP_RENEWAL_SECONDS


def vouched(connection: Connection, snapshot: FileVersion) -> Vouched:
    """Look at what is stored for the snapshot in force.

    Raises:
        VerificationError: the snapshot is not there, or is none.
    """
    name = metadata_name("snapshot", snapshot.version)
    data = read_trust_file(connection, name, TRUST_FILE_BYTES_MAX)
    expires = read_metadata(name, data, Snapshot).signed.expires
    timestamp = _timestamp(connection)
    if timestamp is None:
        return Vouched(data, expires, None)
    listed = timestamp.snapshot_meta
    is_for_it = (listed.version, listed.hashes) == (snapshot.version, {"sha256": sha256_hex(data)})
    return Vouched(data, expires, timestamp.expires if is_for_it else None)


def store_timestamp(
    connection: Connection, online: TrustSigner, snapshot: FileVersion, data: bytes, at: datetime
) -> None:
    """Sign a timestamp for a snapshot, and put it in the place of the one before.

    Its version is the second at which it was signed: a hub that was restored from a backup does not fall
    behind what it showed before.

    Args:
        connection: a writing transaction.
        online: the hub's online key.
        snapshot: version and hash of the snapshot.
        data: its exact bytes.
        at: now, UTC.
    """
    before = _timestamp(connection)
    version = max(int(at.timestamp()), before.version + 1 if before else 1)
    expires = at + timedelta(seconds=TIMESTAMP_LIFE_SECONDS)
    name, signed = sign_timestamp(data, online, version, expires, snapshot.version)
    connection.execute(_FORGET)
    connection.execute(_KEEP, {"name": name, "data": signed})


def _timestamp(connection: Connection) -> Timestamp | None:
    """The timestamp that is stored; None where there is none that can be read."""
    try:
        data = read_trust_file(connection, TIMESTAMP_NAME, TRUST_FILE_BYTES_MAX)
        return read_metadata(TIMESTAMP_NAME, data, Timestamp).signed
    except (TrustFileMissing, VerificationError):
        return None
