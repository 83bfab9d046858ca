"""Databases: settings that durability hangs on, transactions that are whole, a key that opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from broker.db import migrate, open_sqlcipher, open_sqlite, reading, settle, snapshot, writing
from broker.hub import migrations
from schemas.errors import ConfigurationError

KEY = b"k" * 32
Opener = Callable[[Path], Engine]
OPENERS: list[Opener] = [open_sqlite, lambda path: open_sqlcipher(path, KEY)]


@pytest.mark.parametrize("opener", OPENERS, ids=["sqlite", "sqlcipher"])
def test_a_commit_waits_for_the_disk(opener: Opener, tmp_path: Path) -> None:
    """WAL with synchronous=FULL (2): with NORMAL a commit would return before the disk has it."""
    engine = opener(tmp_path / "some.db")
    with reading(engine) as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    engine.dispose()
    assert found == ["wal", 2, 1, 1]


@pytest.mark.parametrize("opener", OPENERS, ids=["sqlite", "sqlcipher"])
def test_a_transaction_is_whole(opener: Opener, tmp_path: Path) -> None:
    """What an error interrupts leaves nothing, table or row."""
    engine = opener(tmp_path / "some.db")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")
    with pytest.raises(KeyError):
        _interrupted(engine)
    with reading(engine) as connection:
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
        rows = connection.exec_driver_sql("SELECT count(*) FROM kept").scalar()
    engine.dispose()
    assert (names, rows) == (["kept"], 0)


def _interrupted(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
        connection.exec_driver_sql("CREATE TABLE lost (x)")
        raise KeyError


@pytest.mark.parametrize("opener", OPENERS, ids=["sqlite", "sqlcipher"])
def test_what_is_settled_stands_in_the_database_alone(opener: Opener, tmp_path: Path) -> None:
    """SQLite's log is empty afterwards, and what was committed is read without it."""
    engine = opener(tmp_path / "some.db")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")
    log = tmp_path / "some.db-wal"
    assert log.stat().st_size > 0
    settle(engine)
    assert log.stat().st_size == 0
    (tmp_path / "copy.db").write_bytes((tmp_path / "some.db").read_bytes())
    other = opener(tmp_path / "copy.db")
    with reading(other) as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM kept").scalar()
    engine.dispose()
    other.dispose()
    assert rows == 0


def test_what_another_holds_is_not_settled(tmp_path: Path) -> None:
    """A reader of an older state keeps the log from being emptied: whoever wanted to go on is told."""
    engine, other = open_sqlite(tmp_path / "some.db"), open_sqlite(tmp_path / "some.db")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    with reading(other) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM kept")
        with pytest.raises(ConfigurationError, match="another process holds it"):
            settle(engine)
    settle(engine)
    engine.dispose()
    other.dispose()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    """A wrong key says what to do, and a key of another size is refused before the file is touched."""
    path = tmp_path / "node.db"
    engine = open_sqlcipher(path, KEY)
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")
    engine.dispose()
    with pytest.raises(ConfigurationError, match="keystore"):
        open_sqlcipher(path, b"x" * 32)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        open_sqlcipher(path, b"short")


@pytest.mark.parametrize("opener", OPENERS, ids=["sqlite", "sqlcipher"])
def test_a_snapshot_is_of_one_moment(opener: Opener, tmp_path: Path) -> None:
    """It has what was committed, not what is being written, and is for its owner alone."""
    engine = opener(tmp_path / "some.db")
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")
        connection.exec_driver_sql("INSERT INTO kept VALUES ('what is secret')")
    with writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO kept VALUES ('not yet')")
        snapshot(engine, tmp_path / "copy.db")
    with pytest.raises(FileExistsError):
        snapshot(engine, tmp_path / "copy.db")
    engine.dispose()
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    is_clear = b"what is secret" in (tmp_path / "copy.db").read_bytes()
    copy = opener(tmp_path / "copy.db")
    with reading(copy) as connection:
        rows = connection.exec_driver_sql("SELECT x FROM kept").scalars().all()
    copy.dispose()
    assert (rows, is_clear) == (["what is secret"], opener is open_sqlite)


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    """An older version does not touch it, and says what to do."""
    engine = open_sqlite(tmp_path / "hub.db")
    migrate(engine, migrations)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="newer version"):
        migrate(engine, migrations)
    engine.dispose()
