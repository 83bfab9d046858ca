"""Databases: settings that durability hangs on, transactions that are whole, a key that opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from broker.db import open_sqlcipher, open_sqlite, reading, writing
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
