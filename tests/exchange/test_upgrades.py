"""Upgrading a hub and going back: an older schema is brought to the newest, and nothing is signed by that."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from broker.db import open_sqlite, schema_of, writing
from broker.hub import migrations
from broker.hub.backup import backup_hub, restore_hub
from broker.hub.generations import FIRST_DATABASE, migrate_databases
from broker.hub.setup import open_ledger
from schemas.errors import ConfigurationError
from schemas.loader import dump_json
from tests.exchange.live import PASSPHRASE, LiveHub, now, run
from tests.faults.hub_process import check_receipts, make_hub, seal, submit_all
from tests.house.project import ROOT

OLDER = "0003"
ENVELOPES = 5


@pytest.fixture
def hub(tmp_path: Path) -> LiveHub:
    """A hub that has accepted something, and is stopped."""
    return make_hub(tmp_path / "hub")


def _make_older(path: Path) -> None:
    """Write the database as the older version had it: its schema, and every row that it knew of."""
    newer, older = path.with_suffix(".newer"), path.with_suffix(".older")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    path.rename(newer)
    config = Config()
    config.set_main_option("script_location", str(Path(*migrations.__path__)))
    engine = open_sqlite(older)
    with writing(engine) as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, OLDER)
    engine.dispose()
    with closing(sqlite3.connect(older)) as connection, connection:
        connection.execute("ATTACH ? AS newer", (str(newer),))
        for (table,) in connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name != 'alembic_version'"
        ).fetchall():
            columns = ", ".join(
                row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")
            )
            copied = f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"  # noqa: S608 - names of our own schema
            connection.execute(copied)
    older.rename(path)


def _schema(hub: LiveHub) -> str | None:
    engine = open_sqlite(hub.data / FIRST_DATABASE)
    try:
        return schema_of(engine, migrations).current
    finally:
        engine.dispose()


def _ledger_heads(hub: LiveHub, data: Path) -> object:
    ledger = open_ledger(data, hub.keystore, hub.now_unix)
    try:
        return ledger.heads()
    finally:
        ledger.close()


def test_an_older_hub_goes_on(hub: LiveHub, tmp_path: Path) -> None:
    """Its receipts hold, the same bytes get the same entry, and new ones follow."""
    envelopes = seal(hub, 2 * ENVELOPES)
    hub.start()
    receipts = run(submit_all(hub, envelopes[:ENVELOPES], at_once=1))
    hub.stop()
    heads = hub.ledger.heads()
    hub.ledger.close()
    _make_older(hub.data / FIRST_DATABASE)
    assert _schema(hub) == OLDER
    # Saved by the older version, before the upgrade.
    saved = backup_hub(hub.data, hub.keystore, tmp_path / "hub.tar", now())
    assert saved.role == "hub"

    done = _migrate(hub.data)
    assert f"had the schema {OLDER}, and has" in done
    assert _ledger_heads(hub, hub.data) == heads
    assert "already" in _migrate(hub.data)
    restore_hub(tmp_path / "hub.tar", tmp_path / "back", PASSPHRASE)
    assert _ledger_heads(hub, tmp_path / "back") == heads

    hub.start()
    again = run(submit_all(hub, envelopes, at_once=1))
    hub.stop()
    assert len(again) == 2 * ENVELOPES
    assert {n: again[n].index for n in receipts} == {n: r.index for n, r in receipts.items()}
    check_receipts(hub, receipts)
    check_receipts(hub, again)


def _migrate(data: Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "broker.cli", "hub", "migrate", "--data", str(data)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_a_schema_of_a_newer_version_is_left_alone(hub: LiveHub) -> None:
    """Who goes back without a restore is told so, and nothing is altered."""
    hub.ledger.close()
    path = hub.data / FIRST_DATABASE
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = dump_json(list(sqlite3.connect(path).iterdump()))
    with pytest.raises(ConfigurationError, match="newer version"):
        migrate_databases(hub.data)
    assert dump_json(list(sqlite3.connect(path).iterdump())) == before


def test_what_is_no_hub(tmp_path: Path) -> None:
    """A directory without a database is named."""
    with pytest.raises(ConfigurationError, match="no hub's database"):
        migrate_databases(tmp_path)
