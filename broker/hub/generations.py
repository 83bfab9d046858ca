"""The generations of a hub's logs: which database holds each, and which keys sign it.

May import `broker.db`, `broker.tlog`, `keys` and the hub's own rooms; `setup` opens them, `succession` begins
the next. One database a generation: what is closed is never written again, and stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nacl.utils
from sqlalchemy import Engine, insert

from broker.db import migrate, open_sqlite, reading, schema_of, settle, writing
from broker.hub import migrations
from broker.hub.logbook import LogName
from broker.hub.signers import Signers
from broker.hub.stored import fold_directory
from broker.hub.tables import log_head
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import EMPTY_ROOT
from broker.tlog.note import Ed25519NoteSigner
from keys.history import DirectoryHistory
from keys.keystore import Keystore
from keys.repository import online_signer
from schemas.directory import HubDescription
from schemas.errors import ConfigurationError, ParseError
from schemas.limits import GENERATIONS_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import parse

FIRST_DATABASE: Final = "hub.db"
DESCRIPTION_FILE: Final = "hub.json"
"""What a hub tells the governors and its members: where it is, its log keys, its online key."""

LOGS: Final[tuple[LogName, ...]] = ("directory", "exchange")
SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Database:
    """The database of one generation."""

    generation: int
    path: Path

    @classmethod
    def of(cls, data: Path, generation: int) -> Database:
        """Where it lies, or is to lie."""
        name = FIRST_DATABASE if generation == 1 else f"hub.{generation}.db"
        return cls(generation, data / name)


@dataclass(frozen=True, slots=True)
class Migrated:
    """A database, and its schema before and now."""

    path: Path
    before: str | None
    now: str | None


def databases(data: Path) -> tuple[Database, ...]:
    """Those of a hub, by generation; the last is written, and there is none where no hub was made."""
    found = (Database.of(data, number) for number in range(1, GENERATIONS_MAX + 1))
    return tuple(each for each in found if each.path.exists())


def open_database(database: Database) -> Engine:
    """Open it, with the newest schema."""
    engine = open_sqlite(database.path)
    migrate(engine, migrations)
    return engine


def settle_newest(data: Path) -> None:
    """Have the disk hold what the database that is written shows, before anything is signed behind it.

    Raises:
        ConfigurationError: as `settle`.
    """
    for database in databases(data)[-1:]:
        engine = open_sqlite(database.path)
        try:
            settle(engine)
        finally:
            engine.dispose()


def migrate_databases(data: Path) -> tuple[Migrated, ...]:
    """Bring every database of a hub that does not serve to the newest schema; nothing is signed or logged.

    Raises:
        ConfigurationError: there is none, or one has a schema that this software does not know.
    """
    found = databases(data)
    if not found:
        raise ConfigurationError(f"{data} holds no hub's database")
    done = []
    for database in found:
        engine = open_sqlite(database.path)
        try:
            before = schema_of(engine, migrations).current
            migrate(engine, migrations)
            done.append(Migrated(database.path, before, schema_of(engine, migrations).current))
        finally:
            engine.dispose()
    return tuple(done)


def origin_of(exchange: str, log: LogName, generation: int) -> str:
    """The origin of a log, which is also its keys' name."""
    return f"{exchange}/{log}/{generation}"


def closed_origins(exchange: str, generation: int) -> frozenset[str]:
    """The origins of all logs before a generation."""
    before = range(1, generation)
    return frozenset(origin_of(exchange, log, number) for log in LOGS for number in before)


def key_names(log: LogName, generation: int) -> tuple[str, str]:
    """Names of the secrets of a log's keys, Ed25519 and ML-DSA-44: their seeds, 32 bytes each."""
    prefix = f"log.{log}" if generation == 1 else f"log.{log}.{generation}"
    return f"{prefix}.ed25519", f"{prefix}.ml-dsa-44"


def read_description(path: Path) -> HubDescription:
    """Read what a hub tells of itself. Raises ConfigurationError: it cannot be read."""
    try:
        return parse(HubDescription, path.read_bytes(), TRUST_FILE_BYTES_MAX)
    except (OSError, ParseError) as error:
        raise ConfigurationError(f"{path} cannot be read: restore it from a backup") from error


def make_log_keys(keystore: Keystore, generation: int) -> None:
    """Draw the keys of both logs of a generation."""
    for log in LOGS:
        for name in key_names(log, generation):
            keystore.put(name, nacl.utils.random(SEED_BYTES))


def load_signers(keystore: Keystore, exchange: str, generation: int = 1) -> Signers:
    """The hub's keys out of the keystore: those of a generation's logs, and the online key.

    Raises:
        ConfigurationError: the keystore does not have them.
    """

    def pair(log: LogName) -> tuple[Ed25519NoteSigner, MlDsa44CosignatureSigner]:
        origin = origin_of(exchange, log, generation)
        ed25519, ml_dsa_44 = key_names(log, generation)
        return (
            Ed25519NoteSigner(origin, keystore.get(ed25519)),
            MlDsa44CosignatureSigner(origin, keystore.get(ml_dsa_44)),
        )

    online = online_signer(keystore.get("online"))
    return Signers(pair("directory"), pair("exchange"), online, generation)


def open_logs(engine: Engine, signers: Signers, at: int) -> None:
    """Write the heads of two empty logs, signed.

    Args:
        engine: a new database.
        signers: of the generation.
        at: seconds since 1970.
    """
    with writing(engine) as connection:
        for log, keys in (("directory", signers.directory), ("exchange", signers.exchange)):
            empty = Checkpoint(keys[0].key.name, 0, EMPTY_ROOT)
            row = {
                "log": log,
                "generation": signers.generation,
                "origin": empty.origin,
                "size": 0,
                "root": EMPTY_ROOT,
                "checkpoint": sign_checkpoint(empty, keys, at),
                "at": at,
            }
            connection.execute(insert(log_head), row)


def history_of_closed(exchange: str, root: bytes, closed: Sequence[Engine]) -> DirectoryHistory:
    """Read the directory logs that were closed, as the log that is written begins after them.

    Args:
        exchange: its name.
        root: the exact bytes of the trust root.
        closed: the databases of the generations before, in their order.
    """
    history = DirectoryHistory(exchange, root, origin_of(exchange, "directory", 1))
    for engine in closed:
        with reading(engine) as connection:
            fold_directory(connection, history)
        history.begin(origin_of(exchange, "directory", history.generation + 1))
    return history
