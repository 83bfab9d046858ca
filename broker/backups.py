"""What the backups of hub and node have in common: saving a data directory that is in use, bringing it back.

May import `broker.archive`, `broker.certificates`, `broker.db` and `keys.keystore`; `hub.backup` and
`node.backup` say which files there are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from broker.archive import (
    KEYSTORE_FOLDER,
    Manifest,
    Owner,
    Source,
    check_empty,
    finish,
    is_sealed_by,
    look_at_archive,
    open_archive,
    sync_folder,
    unpack,
    write_archive,
)
from broker.certificates import CERTIFICATE_FILE, KEY_FILE, write_private
from broker.db import snapshot
from broker.settings import CONFIG_FILE
from keys.keystore import KEY_SUFFIX, Keystore
from schemas.errors import ConfigurationError, VerificationError

_SUFFIX: Final = ".tar"
"""Of an archive's name: what is called so and is none is told of."""

_SEALED_KEY: Final = f"{KEY_FILE}.sealed"
"""The private key of TLS rests in clear in a data directory; in an archive, which travels, it does not."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A data directory that is to be saved.

    Args:
        data: the directory.
        database: the name of the database's file.
        engine: on it.
        plain: names of files that are saved as they are, where they exist.
        files: asked once the database is copied: names of further files, which do not change.
    """

    data: Path
    database: str
    engine: Engine
    plain: Sequence[str]
    files: Callable[[], Sequence[str]]


def save(kept: Kept, keystore: Keystore, out: Path, owner: Owner) -> Manifest:
    """Save a data directory into one archive, while its server may be running.

    First the database as it stands at one moment, then the keys: a key is kept before the database knows of
    it. What the database names later than that is not missed; what it no longer names is gone from the disk.

    Args:
        kept: the directory.
        keystore: opened.
        out: the new archive; beside it a copy of the database stands until the archive is whole, and is
            left over, in a folder `.barid-backup-…`, by a crash.
        owner: goes into the manifest.

    Raises:
        ConfigurationError: `out` is there already, its folder is not, or a file changed meanwhile.
    """
    if not out.parent.is_dir():
        raise ConfigurationError(f"{out.parent} does not exist: make the folder for backups")
    with tempfile.TemporaryDirectory(prefix=".barid-backup-", dir=out.parent) as folder:
        made = Path(folder)
        snapshot(kept.engine, made / kept.database)
        (made / KEYSTORE_FOLDER).mkdir(mode=0o700)
        secrets = {f"{KEYSTORE_FOLDER}{name}": data for name, data in keystore.files().items()}
        secrets[_SEALED_KEY] = keystore.seal(KEY_FILE, (kept.data / KEY_FILE).read_bytes())
        for name, data in secrets.items():
            (made / name).write_bytes(data)
        # Copies of what may change lie apart; all else is read where it is.
        apart = [*secrets, kept.database]
        there = [CONFIG_FILE, CERTIFICATE_FILE, *kept.plain, *kept.files()]
        sources = [Source(name, made / name) for name in apart]
        sources += [Source(name, kept.data / name) for name in there]
        return write_archive(out, owner, sources, keystore)


@dataclass(frozen=True, slots=True)
class Outdated:
    """What became of a folder's archives that hold keys which are destroyed.

    Args:
        deleted: each, and the names of the keys that it held.
        left: what may be such an archive and cannot be read, and why.
    """

    deleted: dict[Path, tuple[str, ...]]
    left: dict[Path, str]


def delete_outdated(
    newest: Path, owner: Manifest, keystore: Keystore, destroyed: Collection[str]
) -> Outdated:
    """Delete an owner's older archives in which the private half of a destroyed key lies on.

    As long as one is there, the key is not destroyed: with the passphrase it opens what was sealed to it.

    Args:
        newest: the archive that was just made; it stays, and the others in its folder are looked at.
        owner: its manifest: archives of others are left alone.
        keystore: which sealed it; what another one sealed is left.
        destroyed: names of secrets of the keystore.

    Returns:
        What was deleted, and what was left because it cannot be read.
    """
    outdated = Outdated({}, {})
    for path in sorted(newest.parent.iterdir()):
        if path == newest or path.is_symlink() or not path.is_file():
            continue
        try:
            manifest, seal = look_at_archive(path)
        except (ConfigurationError, VerificationError) as error:
            if path.suffix == _SUFFIX:
                outdated.left[path] = str(error)
            continue
        if _whose(manifest) != _whose(owner):
            continue
        if not is_sealed_by(keystore, manifest, seal):
            outdated.left[path] = "another keystore sealed it"
            continue
        names = {each.name for each in manifest.files}
        held = sorted(name for name in destroyed if f"{KEYSTORE_FOLDER}{name}{KEY_SUFFIX}" in names)
        if held:
            path.unlink()
            outdated.deleted[path] = tuple(held)
    sync_folder(newest.parent)
    return outdated


def _whose(manifest: Manifest) -> tuple[str, str, str]:
    return manifest.role, manifest.exchange, manifest.owner


def bring_back(
    archive: Path, data: Path, passphrase: bytes, role: str, before: Callable[[], None]
) -> Manifest:
    """Restore an archive into an empty directory; all of it is verified before anything is written.

    Args:
        archive: as `save` made it.
        data: the directory; made if it is not there.
        passphrase: of the keystore in the archive.
        role: `hub` or `node`.
        before: does what else is needed before the directory is whole.

    Raises:
        ConfigurationError: the directory is not empty, the archive is the other role's, the passphrase is
            wrong.
        VerificationError: the archive was altered, or is none.
    """
    check_empty(data)
    manifest, keystore = open_archive(archive, passphrase)
    if manifest.role != role:
        raise ConfigurationError(
            f"{archive} is the backup of a {manifest.role}: `barid {manifest.role} restore` takes it"
        )
    unpack(archive, manifest, data, CONFIG_FILE)
    sealed = data / _SEALED_KEY
    write_private(data / KEY_FILE, keystore.unseal(KEY_FILE, sealed.read_bytes()))
    sealed.unlink()
    before()
    finish(data, CONFIG_FILE)
    return manifest
