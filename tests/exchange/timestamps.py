"""TUF timestamps of a hub, forged: by any key, for any snapshot, version and expiry.

May import the hub's ledger; tests of those who read timestamps call it.
"""

from __future__ import annotations

from datetime import datetime

from tuf.api.metadata import Metadata, MetaFile, Timestamp

from broker.db import reading
from broker.hub.ledger import Ledger
from broker.hub.stored import read_trust_file
from keys.repository import TIMESTAMP_NAME, TrustSigner
from keys.tuf_files import metadata_name
from schemas.limits import TRUST_FILE_BYTES_MAX


def sign(snapshot: bytes, number: int, version: int, expires: datetime, key: TrustSigner) -> bytes:
    """Vouch for a snapshot.

    Args:
        snapshot: its exact bytes.
        number: its version.
        version: of the timestamp.
        expires: UTC, whole seconds.
        key: that signs.
    """
    listed = MetaFile.from_data(number, snapshot, ["sha256"])
    metadata = Metadata(Timestamp(version=version, expires=expires, snapshot_meta=listed))
    metadata.sign(key)
    return metadata.to_bytes()


def snapshot_of(ledger: Ledger) -> tuple[bytes, int]:
    """The snapshot in force, and its version."""
    directory = ledger.state.directory
    assert directory is not None
    number = directory.versions["snapshot"]
    with reading(ledger.engine) as connection:
        name = metadata_name("snapshot", number)
        return read_trust_file(connection, name, TRUST_FILE_BYTES_MAX), number


def current(ledger: Ledger) -> bytes:
    """The timestamp that the hub has."""
    with reading(ledger.engine) as connection:
        return read_trust_file(connection, TIMESTAMP_NAME, TRUST_FILE_BYTES_MAX)


def version_of(data: bytes) -> int:
    """The version of a timestamp."""
    return Metadata[Timestamp].from_bytes(data).signed.version
