"""Databases: engines with the settings that durability needs, explicit transactions, migrations at start.

May import SQLAlchemy and Alembic; hub and node open their databases here and keep their own tables.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import quote

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from schemas.errors import ConfigurationError

_WRITE: Final = "barid_write"
_BUSY_TIMEOUT_MS: Final = 10_000
_POOL_SIZE: Final = 8
_KEY_BYTES: Final = 32


def open_sqlite(path: Path) -> Engine:
    """Open (or make) an SQLite database: WAL, synchronous=FULL, foreign keys, explicit BEGIN.

    synchronous=FULL is what makes an acknowledged submission survive a power cut: with NORMAL, WAL
    returns from a commit before the disk has it.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        # An error names the statement; what was being written is nobody's in a log.
        hide_parameters=True,
    )
    _prepare(engine)
    return engine


def open_sqlcipher(path: Path, key: bytes) -> Engine:
    """Open (or make) an SQLCipher database with a raw 32-byte key.

    Raises:
        ConfigurationError: the key does not open the database.
    """
    if len(key) != _KEY_BYTES:
        raise ConfigurationError("the database key is not 32 bytes")
    raw_key = quote(f"x'{key.hex()}'", safe="")
    engine = create_engine(
        f"sqlite+pysqlcipher://:{raw_key}@//{path.resolve()}",
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        hide_parameters=True,
    )
    _prepare(engine, "PRAGMA cipher_log_level = NONE")
    try:
        with reading(engine) as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except DatabaseError as error:
        raise ConfigurationError(
            f"{path} does not open with the keystore's key: use the keystore that belongs to it"
        ) from error
    return engine


def _prepare(engine: Engine, *first: str) -> None:
    pragmas = (
        *first,
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA secure_delete = ON",
        f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}",
    )

    def on_connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # The driver must not begin transactions behind our back.
        cursor = raw.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def on_begin(connection: Connection) -> None:
        # A writer takes its lock at once: one that upgrades later may fail when it is too late.
        writes = connection.get_execution_options().get(_WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view; nothing is written."""
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all of it is on the disk when the block ends, or none of it."""
    with engine.connect() as plain:
        connection = plain.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection


def settle(engine: Engine) -> None:
    """Write what stands in SQLite's log into the database, wait until the disk has it, and empty the log.

    After a failed fsync Linux takes for written what is not. A process that starts then reads what the disk
    does not have, and a power cut takes it, with all that was committed behind it. Written anew, it is there.

    Raises:
        ConfigurationError: the disk does not take it, or another process holds the database for too long.
    """
    why = "another process holds it"
    with engine.connect() as connection:
        # On the driver's own connection: a checkpoint stands outside of any transaction.
        driver: Any = connection.connection.driver_connection
        try:
            is_held = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except engine.dialect.loaded_dbapi.Error as error:
            is_held, why = True, str(error)
    if is_held:
        raise ConfigurationError(f"{engine.url.database} cannot be brought to the disk: {why}")


def snapshot(engine: Engine, path: Path) -> None:
    """Copy a database as it stands at one moment, while others write it, into a new file of mode 0600.

    A copy of an SQLCipher database is encrypted with the same key; plaintext never rests on the disk.
    """
    path.touch(mode=0o600, exist_ok=False)
    with engine.connect() as connection:
        # On the driver's own connection: VACUUM stands outside of any transaction.
        driver = connection.connection.driver_connection
        if driver is not None:
            driver.execute("VACUUM INTO ?", (str(path),))


def migrate(engine: Engine, migrations: ModuleType) -> None:
    """Bring a database to the newest schema; harmless when it is there already.

    Args:
        migrations: the package that holds `env.py` (which calls `run_migrations`) and `versions/`.

    Raises:
        ConfigurationError: it has a schema that this software does not know.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    schema = schema_of(engine, migrations)
    if not schema.is_known:
        raise ConfigurationError(
            f"the database has the schema {schema.current} of a newer version: install that one, or"
            " restore a backup of this one"
        )
    config = _config(migrations)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema that a database has, the newest that this software knows, and whether it knows the first."""

    current: str | None
    newest: str | None
    is_known: bool


def schema_of(engine: Engine, migrations: ModuleType) -> Schema:
    """Look at a database's schema; nothing is changed."""
    script = ScriptDirectory.from_config(_config(migrations))
    known = {each.revision for each in script.walk_revisions()}
    with reading(engine) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return Schema(current, script.get_current_head(), current is None or current in known)


def _config(migrations: ModuleType) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(*migrations.__path__)))
    return config


def run_migrations(metadata: Any) -> None:
    """What each `env.py` does: run within the transaction that `migrate` opened."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=True,
    )
    context.run_migrations()
