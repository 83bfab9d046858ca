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

from broker.certificates import make_certificate
from broker.hub.anchor import ANCHOR_VARIABLE, Anchor
from broker.hub.generations import (
    DESCRIPTION_FILE,
    Database,
    databases,
    history_of_closed,
    load_signers,
    make_log_keys,
    open_database,
    open_logs,
)
from broker.hub.ledger import Ledger
from broker.hub.publications import Publish
from broker.hub.signers import Closed
from broker.hub.succession import Loaded, begin_next, names_next_logs
from broker.settings import HubSettings, load_hub, save_hub, write_whole
from keys.keystore import Keystore
from schemas.directory import HubAddress, HubDescription
from schemas.errors import ConfigurationError, Problem
from schemas.loader import dump_json

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
    if databases(data):
        raise ConfigurationError(f"{data} holds a hub already: choose another directory")
    make_log_keys(keystore, 1)
    keystore.put("online", nacl.utils.random(32))
    save_hub(data, settings)
    certificate, _ = make_certificate(data, settings.names, now)
    signers = load_signers(keystore, settings.exchange)
    engine = open_database(Database.of(data, 1))
    open_logs(engine, signers, int(now.timestamp()))
    engine.dispose()
    description = HubDescription(
        v=1,
        exchange=settings.exchange,
        hub=HubAddress(
            authority=settings.authority, url=url, tls_trust=certificate.read_text("ascii")
        ),
        logs=signers.logs(),
        online=signers.online.public,
    )
    (data / DESCRIPTION_FILE).write_bytes(dump_json(description))
    return description


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
    found = databases(data)
    if not found:
        raise ConfigurationError(f"{data} holds no hub: run `barid hub init` first")
    root = _kept_root(data) or root
    if root is None:
        raise ConfigurationError("no directory is loaded: run `barid hub load` first")
    *former, present = found
    closed = {
        each.generation: Closed(
            open_database(each), load_signers(keystore, settings.exchange, each.generation)
        )
        for each in former
    }
    engines = [each.engine for each in closed.values()]
    history = history_of_closed(settings.exchange, root, engines)
    signers = load_signers(keystore, settings.exchange, present.generation)
    anchor = anchor_of(settings)
    return Ledger(open_database(present), signers, history, now_unix, anchor, closed)


def anchor_of(settings: HubSettings) -> Anchor | None:
    """Where the hub notes what it signed: what the environment names, else the settings."""
    path = os.environ.get(ANCHOR_VARIABLE) or settings.anchor
    return None if path is None else Anchor(Path(path))


def _kept_root(data: Path) -> bytes | None:
    path = data / ROOT_FILE
    return path.read_bytes() if path.exists() else None


def load_repository(
    data: Path, keystore: Keystore, files: Mapping[str, bytes], now: datetime
) -> Loaded:
    """Publish what governors or members signed: sign the snapshot and timestamp, log the directory.

    Where its council names new logs, they begin with it, and the present ones are closed (`succession`).

    Args:
        files: name under `/v1/trust/` → bytes, without snapshot and timestamp: a whole repository, or what is
            new of it.

    Returns:
        Where the `directory.published` entry stands: the first that holds these files.

    Raises:
        ConfigurationError: the files are not a repository, or not the successor of what is in force.
        VerificationError: the first root is none.
        Problem: `busy`, the database took nothing.
    """
    root = _kept_root(data) or _first_root(files)
    ledger = open_ledger(data, keystore, lambda: int(now.timestamp()), root)
    try:
        if names_next_logs(files, ledger.generation):
            return begin_next(data, keystore, ledger, files, now)
        (result,) = ledger.commit([Publish(files, ledger.signers)])
    finally:
        ledger.close()
    if isinstance(result, Problem):
        raise ConfigurationError(f"the directory was not published: {result.detail}")
    # Kept once it is in force: a root that was given by mistake would shut out the right one for good.
    if _kept_root(data) is None:
        write_whole(data / ROOT_FILE, root)
    return Loaded(ledger.generation, int(result.index), is_new_log=False)


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
