"""The node's database: encrypted from its first migration on, and as the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from broker.db import migrate, open_sqlcipher, reading, writing
from broker.node import migrations, tables
from schemas.errors import ConfigurationError
from tests.unit.node.world import DATABASE_KEY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A migrated database with one secret in it."""
    path = tmp_path / "node.db"
    engine = open_sqlcipher(path, DATABASE_KEY)
    migrate(engine, migrations)
    migrate(engine, migrations)
    with writing(engine) as connection:
        connection.execute(
            tables.follow_trust_file.insert().values(name="only-for-tunis", data=b"a secret route")
        )
    engine.dispose()
    return path


def test_migrations_and_tables_agree(path: Path) -> None:
    """What the migrations make is what the code reads."""
    engine = open_sqlcipher(path, DATABASE_KEY)
    with reading(engine) as connection:
        found = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    engine.dispose()
    assert found == []


def test_nothing_on_the_disk_is_readable(path: Path) -> None:
    """Neither schema, nor content, nor the file's own header, in the database or its log."""
    for file in path.parent.iterdir():
        data = file.read_bytes()
        for clear in (b"SQLite format", b"CREATE TABLE", b"only-for-tunis", b"a secret route"):
            assert clear not in data


def test_another_key_does_not_open_it(path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(ConfigurationError, match="keystore"):
        open_sqlcipher(path, bytes(32))
