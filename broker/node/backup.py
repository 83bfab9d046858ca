"""Saving a node while it runs, and restoring it.

May import `broker.backups` and the node's own rooms; the command line calls it. Nothing in the archive is
readable without the passphrase but the settings, the invitation, and the names of attachment files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select

from broker.archive import Manifest, Owner
from broker.backups import Kept, Outdated, bring_back, delete_outdated, save
from broker.db import reading
from broker.node import tables
from broker.node.home import (
    DATABASE_FILE,
    INVITATION_FILE,
    KEYSTORE_DIRECTORY,
    REQUEST_FILE,
    WITNESS_KEY_NAME,
    Home,
)
from broker.node.inbox.attachments import file_of as incoming_file
from broker.node.outbox.attachments import file_of as outgoing_file
from broker.node.restored import RESTORED_FILE, marker_bytes
from broker.node.sealing_keys import destroyed_key_names
from broker.settings import write_whole
from keys.keystore import Keystore

_PLAIN: Final = (INVITATION_FILE, REQUEST_FILE)


def backup_node(home: Home, out: Path, now: datetime) -> Manifest:
    """Save a node, which may be running.

    What an agency has not handed in whole is left out: it begins anew, under another key. So is what is
    still being fetched.

    Args:
        home: the node's home.
        out: the new archive.
        now: UTC, whole seconds.

    Raises:
        ConfigurationError: as `save`.
    """
    settings = home.settings
    kept = Kept(home.data, DATABASE_FILE, home.engine, _PLAIN, lambda: _attachments(home))
    return save(kept, home.keystore, out, Owner("node", settings.exchange, settings.member, now))


def delete_outdated_backups(home: Home, newest: Path, saved: Manifest) -> Outdated:
    """Delete the older archives in a folder that hold a sealing key which this node has destroyed.

    Args:
        home: the node's home.
        newest: the archive that was just made.
        saved: its manifest.

    Returns:
        As `delete_outdated`.
    """
    return delete_outdated(newest, saved, home.keystore, destroyed_key_names(home))


def _attachments(home: Home) -> Sequence[str]:
    """The files of whole attachments, own and received."""
    own, received = tables.outgoing_attachment.c, tables.incoming_attachment.c
    whole = select(own.desk, own.bulletin_id, own.attachment_id).where(
        own.sealed_sha256.is_not(None)
    )
    with reading(home.engine) as connection:
        paths = [outgoing_file(home, *row) for row in connection.execute(whole)]
        names = connection.execute(select(received.sealed_sha256).distinct()).scalars()
        paths += [incoming_file(home, sha256) for sha256 in names]
    return sorted(path.relative_to(home.data).as_posix() for path in paths)


def restore_node(archive: Path, data: Path, passphrase: bytes, now: datetime) -> Manifest:
    """Restore a node into an empty directory, with the mark that makes it take everything again.

    Its witness key goes: what it cosigned since the backup is forgotten, so that it needs a new one.

    Args:
        archive: as `backup_node` made it; all of it is verified before anything is written.
        data: the directory; made if it is not there.
        passphrase: of the keystore.
        now: UTC, whole seconds.

    Raises:
        ConfigurationError, VerificationError: as `bring_back`.
    """

    def mark() -> None:
        write_whole(data / RESTORED_FILE, marker_bytes(now))
        keystore = Keystore.open(data / KEYSTORE_DIRECTORY, passphrase)
        if WITNESS_KEY_NAME in keystore.names():
            keystore.delete(WITNESS_KEY_NAME)

    return bring_back(archive, data, passphrase, "node", mark)
