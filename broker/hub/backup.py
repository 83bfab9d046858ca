"""Saving a hub while it runs, and restoring it.

May import `broker.backups`, `broker.db` and the hub's own rooms; the command line calls it. What the archive
holds is ciphertext and sealed keys, and in clear who wrote to whom: it is kept as the hub's own disk is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, select

from broker.archive import Manifest, Owner
from broker.backups import Kept, bring_back, save
from broker.db import open_sqlite, reading
from broker.hub.generations import DESCRIPTION_FILE, databases
from broker.hub.logbook import Head, read_head
from broker.hub.setup import ROOT_FILE
from broker.hub.succession import NEXT_FILE
from broker.hub.tables import attachment_owner
from broker.settings import load_hub
from keys.keystore import Keystore
from schemas.errors import ConfigurationError

_PLAIN: Final = (DESCRIPTION_FILE, NEXT_FILE, ROOT_FILE)


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored hub: what the archive said of itself, and where its two logs stand."""

    manifest: Manifest
    directory: Head
    exchange: Head


def backup_hub(data: Path, keystore: Keystore, out: Path, now: datetime) -> Manifest:
    """Save a hub, which may be running.

    What an unfinished upload has brought is left out: it begins anew. So are attachments in a remote store,
    which has its own backup.

    Args:
        data: the hub's directory.
        keystore: opened.
        out: the new archive.
        now: UTC, whole seconds.

    Raises:
        ConfigurationError: there is no hub, or as `save`.
    """
    settings = load_hub(data)
    found = databases(data)
    if not found:
        raise ConfigurationError(f"{data} holds no hub: run `barid hub init` first")
    *closed, present = (each.path for each in found)
    engine = open_sqlite(present)
    # Nobody writes the database of a closed log: it is saved as it is.
    plain = (*_PLAIN, *(path.name for path in closed))
    kept = Kept(data, present.name, engine, plain, lambda: _stored_attachments(engine))
    try:
        return save(kept, keystore, out, Owner("hub", settings.exchange, settings.authority, now))
    finally:
        engine.dispose()


def _stored_attachments(engine: Engine) -> Sequence[str]:
    """Their files, by their SHA-256; those that lie in a remote store are none."""
    names = select(attachment_owner.c.sha256).where(attachment_owner.c.stored == 1).distinct()
    with reading(engine) as connection:
        return [f"attachments/{sha256}" for sha256 in sorted(connection.execute(names).scalars())]


def restore_hub(archive: Path, data: Path, passphrase: bytes) -> Restored:
    """Restore a hub into an empty directory.

    A hub that lost entries must not go on: it would put other entries in their places, and every node and
    auditor would find that it contradicts itself. Who calls this tells its operator.

    Args:
        archive: as `backup_hub` made it; all of it is verified before anything is written.
        data: the directory; made if it is not there.
        passphrase: of the keystore.

    Raises:
        ConfigurationError, VerificationError: as `bring_back`.
    """
    manifest = bring_back(archive, data, passphrase, "hub", lambda: None)
    engine = open_sqlite(databases(data)[-1].path)
    try:
        with reading(engine) as connection:
            heads = read_head(connection, "directory"), read_head(connection, "exchange")
    finally:
        engine.dispose()
    return Restored(manifest, *heads)
