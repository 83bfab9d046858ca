"""Making a hub: its keys, its TLS certificate, its empty logs; and loading a directory into it.

May import `keys`, `broker.db`, `broker.settings` and the hub's own rooms; the command line calls it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import nacl.utils
from sqlalchemy import Engine, insert

from broker.certificates import make_certificate
from broker.db import migrate, open_sqlite, writing
from broker.hub import migrations
from broker.hub.anchor import ANCHOR_VARIABLE, Anchor
from broker.hub.ledger import GENERATION, Ledger, Signers
from broker.hub.logbook import LogName
from broker.hub.publications import Publish
from broker.hub.tables import log_head
from broker.settings import HubSettings, load_hub, save_hub, write_whole
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import EMPTY_ROOT
from broker.tlog.note import Ed25519NoteSigner
from keys.history import DirectoryHistory
from keys.keystore import Keystore
from keys.repository import online_signer
from schemas.directory import HubAddress, HubDescription
from schemas.errors import ConfigurationError, Problem
from schemas.loader import dump_json

DATABASE: Final = "hub.db"
ROOT_FILE: Final = "root.json"


def init_hub(
    data: Path, settings: HubSettings, keystore: Keystore, url: str, now: datetime
) -> HubDescription:
    """Make a hub in an empty directory: keys, certificate, database, and what the governors need to know.

    Args:
        data: the hub's directory, which holds nothing but the keystore.
        url: where nodes will reach it.

    Returns:
        The description, also written to `hub.json`: its log keys, its online key, its TLS certificate.

    Raises:
        ConfigurationError: the directory holds a hub already.
    """
    if (data / DATABASE).exists():
        raise ConfigurationError(f"{data} holds a hub already: choose another directory")
    for name in ("directory", "exchange"):
        keystore.put(f"log.{name}.ed25519", nacl.utils.random(32))
        keystore.put(f"log.{name}.ml-dsa-44", nacl.utils.random(32))
    keystore.put("online", nacl.utils.random(32))
    save_hub(data, settings)
    certificate, _ = make_certificate(data, settings.names, now)
    signers = load_signers(keystore, settings.exchange)
    engine = open_sqlite(data / DATABASE)
    migrate(engine, migrations)
    _open_logs(engine, signers, int(now.timestamp()))
    engine.dispose()
    description = HubDescription(
        v=1,
        exchange=settings.exchange,
        hub=HubAddress(
            authority=settings.authority, url=url, tls_trust=certificate.read_text("ascii")
        ),
        logs=signers.logs,
        online=signers.online.public,
    )
    (data / "hub.json").write_bytes(dump_json(description))
    return description


def origin_of(exchange: str, log: LogName) -> str:
    """The origin of a log's first generation, which is also its keys' name."""
    return f"{exchange}/{log}/{GENERATION}"


def load_signers(keystore: Keystore, exchange: str) -> Signers:
    """The hub's keys out of the keystore."""

    def pair(log: LogName) -> tuple[Ed25519NoteSigner, MlDsa44CosignatureSigner]:
        origin = origin_of(exchange, log)
        return (
            Ed25519NoteSigner(origin, keystore.get(f"log.{log}.ed25519")),
            MlDsa44CosignatureSigner(origin, keystore.get(f"log.{log}.ml-dsa-44")),
        )

    online = online_signer(keystore.get("online"))
    return Signers(pair("directory"), pair("exchange"), online)


def _open_logs(engine: Engine, signers: Signers, at: int) -> None:
    with writing(engine) as connection:
        for log, keys in (("directory", signers.directory), ("exchange", signers.exchange)):
            empty = Checkpoint(keys[0].key.name, 0, EMPTY_ROOT)
            row = {
                "log": log,
                "generation": GENERATION,
                "origin": empty.origin,
                "size": 0,
                "root": EMPTY_ROOT,
                "checkpoint": sign_checkpoint(empty, keys, at),
                "at": at,
            }
            connection.execute(insert(log_head), row)


def open_ledger(
    data: Path, keystore: Keystore, now_unix: Callable[[], int], root: bytes | None = None
) -> Ledger:
    """Open a hub's database, migrated, with its directory's history.

    Args:
        root: the trust root of a first directory; by default the one that was kept.

    Raises:
        ConfigurationError: no hub here, or no directory was loaded and no root is known.
    """
    settings = load_hub(data)
    if not (data / DATABASE).exists():
        raise ConfigurationError(f"{data} holds no hub: run `barid hub init` first")
    root = _kept_root(data) or root
    if root is None:
        raise ConfigurationError("no directory is loaded: run `barid hub load` first")
    engine = open_sqlite(data / DATABASE)
    migrate(engine, migrations)
    origin = origin_of(settings.exchange, "directory")
    history = DirectoryHistory(settings.exchange, root, origin)
    anchor = anchor_of(settings)
    return Ledger(engine, load_signers(keystore, settings.exchange), history, now_unix, anchor)


def anchor_of(settings: HubSettings) -> Anchor | None:
    """Where the hub notes what it signed: what the environment names, else the settings."""
    path = os.environ.get(ANCHOR_VARIABLE) or settings.anchor
    return None if path is None else Anchor(Path(path))


def _kept_root(data: Path) -> bytes | None:
    path = data / ROOT_FILE
    return path.read_bytes() if path.exists() else None


def load_repository(
    data: Path, keystore: Keystore, files: Mapping[str, bytes], now: datetime
) -> int:
    """Publish what governors or members signed: sign the snapshot and timestamp, log the directory.

    Args:
        files: name under `/v1/trust/` → bytes, without snapshot and timestamp: a whole repository, or what is
            new of it.

    Returns:
        The index of the `directory.published` entry: of the first that holds these files.

    Raises:
        ConfigurationError: the files are not a repository, or not the successor of what is in force.
        VerificationError: the first root is none.
        Problem: `busy`, the database took nothing.
    """
    root = _kept_root(data) or _first_root(files)
    ledger = open_ledger(data, keystore, lambda: int(now.timestamp()), root)
    try:
        (result,) = ledger.commit([Publish(files, ledger.signers)])
    finally:
        ledger.engine.dispose()
    if isinstance(result, Problem):
        raise ConfigurationError(f"the directory was not published: {result.detail}")
    # Kept once it is in force: a root that was given by mistake would shut out the right one for good.
    if _kept_root(data) is None:
        write_whole(data / ROOT_FILE, root)
    return int(result.index)


def _first_root(files: Mapping[str, bytes]) -> bytes:
    """The root from which a first directory descends. Raises ConfigurationError if there is none."""
    numbers = {name: name.removeprefix("metadata/").removesuffix(".root.json") for name in files}
    roots = sorted((int(number), name) for name, number in numbers.items() if number.isdecimal())
    if not roots:
        raise ConfigurationError(
            "no directory is loaded yet, and there is no root.json among the files: load the whole"
            " repository that `barid trust publish` wrote"
        )
    return files[roots[0][1]]
