"""Backups of a hub and of nodes that are running, and what a restore brings back."""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from broker.archive import open_archive
from broker.db import open_sqlite, reading
from broker.hub.backup import backup_hub, restore_hub
from broker.hub.setup import open_ledger
from broker.hub.tables import entry, log_head
from broker.node import tables
from broker.node.backup import backup_node, restore_node
from broker.node.home import WITNESS_KEY_NAME, Home, look_home
from broker.node.restored import RESTORED_FILE
from broker.node.witness_keys import WITNESS_FILE
from keys.keystore import Keystore
from schemas.errors import ConfigurationError, VerificationError
from tests.exchange.live import PASSPHRASE, LiveHub, now
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for
from tests.exchange.test_node_attachments import enclosing, upload

Exchange = tuple[LiveHub, dict[str, LiveNode]]

MARKER = "what no backup may show"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Two nodes, between which a bulletin with an attachment has gone, and been read."""
    with live_exchange(tmp_path_factory.mktemp("backups"), "ly", "tn") as running:
        nodes = running[1]
        contents = MARKER.encode() * 10_000
        bulletin_id, attachment_id, sent = enclosing(contents)
        upload(nodes["ly"], bulletin_id, attachment_id, contents)
        assert nodes["ly"].send(sent, "tn/main").status_code == 202
        deliver(nodes, MARKER)
        wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
        yield running


def deliver(nodes: dict[str, LiveNode], title: str) -> str:
    """Have a bulletin sent by Libya and read in Tunisia."""
    bulletin_id, sent = document("ly/main", title)
    assert nodes["ly"].send(sent, "tn/main").status_code == 202
    wait_for(lambda: nodes["ly"].states(bulletin_id) == {"tn/main": "delivered"})
    return bulletin_id


def names_below(folder: Path) -> set[str]:
    """Every file below a folder, but those that SQLite makes while it works."""
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in paths if not name.endswith(("-wal", "-shm"))}


@pytest.fixture
def home(exchange: Exchange) -> Iterator[Home]:
    """The running node of Tunisia, opened beside it."""
    opened = look_home(exchange[1]["tn"].data, PASSPHRASE)
    yield opened
    opened.close()


def test_a_hub_comes_back_as_it_was(exchange: Exchange, tmp_path: Path) -> None:
    """Logs, envelopes, keys and attachments are there, and its logs verify with its keys."""
    hub, _ = exchange
    saved = backup_hub(hub.data, hub.keystore, tmp_path / "hub.tar", now())
    heads = hub.ledger.heads()
    assert (saved.role, saved.owner) == ("hub", hub.settings.authority)
    restored = restore_hub(tmp_path / "hub.tar", tmp_path / "hub", PASSPHRASE)
    assert (restored.directory, restored.exchange) == heads
    assert names_below(tmp_path / "hub") == names_below(hub.data)
    assert (tmp_path / "hub" / "tls.key").read_bytes() == (hub.data / "tls.key").read_bytes()
    keystore = Keystore.open(tmp_path / "hub" / "keystore", PASSPHRASE)
    ledger = open_ledger(tmp_path / "hub", keystore, hub.now_unix)
    assert ledger.heads() == heads
    assert ledger.state.in_force == hub.ledger.state.in_force
    ledger.engine.dispose()


def test_a_backup_is_of_one_moment(exchange: Exchange, tmp_path: Path) -> None:
    """While bulletins go on, each copy of the database has exactly the entries that its head counts."""
    hub, nodes = exchange
    ending = threading.Event()
    ids: list[str] = []

    def send() -> None:
        while not ending.is_set():
            bulletin_id, sent = document("ly/main", "meanwhile")
            nodes["ly"].send(sent, "tn/main")
            ids.append(bulletin_id)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        sizes = [_consistent_size(hub, tmp_path, number) for number in range(3)]
    finally:
        ending.set()
        sending.join()
    assert sizes == sorted(sizes)
    delivered = {"tn/main": "delivered"}
    wait_for(lambda: all(nodes["ly"].states(each) == delivered for each in ids))


def _consistent_size(hub: LiveHub, folder: Path, number: int) -> int:
    backup_hub(hub.data, hub.keystore, folder / f"{number}.tar", now())
    restored = restore_hub(folder / f"{number}.tar", folder / str(number), PASSPHRASE)
    engine = open_sqlite(folder / str(number) / "hub.db")
    with reading(engine) as connection:
        counted: dict[str, int] = {
            row[0]: row[1]
            for row in connection.execute(select(entry.c.log, func.count()).group_by(entry.c.log))
        }
        heads = {row.log: row.size for row in connection.execute(select(log_head))}
    engine.dispose()
    assert counted == heads
    return restored.exchange.size


def test_a_node_comes_back_as_it_was(exchange: Exchange, home: Home, tmp_path: Path) -> None:
    """Bulletins, evidence, attachments and keys are there, and the mark of a restore; no witness key."""
    _, nodes = exchange
    saved = backup_node(home, tmp_path / "tn.tar", now())
    assert (saved.role, saved.owner) == ("node", "tn")
    restore_node(tmp_path / "tn.tar", tmp_path / "tn", PASSPHRASE, now())
    witness = {f"keystore/{WITNESS_KEY_NAME}.key", WITNESS_FILE}
    before = names_below(nodes["tn"].data) - witness
    assert names_below(tmp_path / "tn") == before | {RESTORED_FILE}
    restored = look_home(tmp_path / "tn", PASSPHRASE)
    assert restored.desks.keys() == home.desks.keys()
    for table in (tables.incoming_bulletin, tables.incoming_attachment, tables.token):
        assert _rows(restored, table) == _rows(home, table) != []
    restored.close()


def _rows(home: Home, table: Any) -> list[Any]:
    with reading(home.engine) as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)))


def test_nothing_in_a_nodes_backup_can_be_read(
    exchange: Exchange, home: Home, tmp_path: Path
) -> None:
    """Neither content nor keys, neither of the desks nor of TLS, stand in an archive in clear."""
    backup_node(home, tmp_path / "tn.tar", now())
    archive = (tmp_path / "tn.tar").read_bytes()
    secrets_kept = [home.keystore.get(name) for name in home.keystore.names()]
    documents = [row.document for row in _rows(home, tables.incoming_bulletin)]
    assert any(MARKER.encode() in each for each in documents)
    for secret in (MARKER.encode(), b"SQLite format 3", b"PRIVATE KEY", PASSPHRASE, *secrets_kept):
        assert secret not in archive


def test_no_key_in_a_hubs_backup_can_be_read(exchange: Exchange, tmp_path: Path) -> None:
    """A hub's archive shows who wrote to whom, and neither content nor a key."""
    hub, _ = exchange
    backup_hub(hub.data, hub.keystore, tmp_path / "hub.tar", now())
    archive = (tmp_path / "hub.tar").read_bytes()
    kept = [hub.keystore.get(name) for name in hub.keystore.names()]
    assert b"ly/main" in archive
    for secret in (MARKER.encode(), b"PRIVATE KEY", PASSPHRASE, *kept):
        assert secret not in archive


def test_a_restored_node_takes_everything_again(exchange: Exchange, tmp_path: Path) -> None:
    """What came after the backup comes again, what came before is shown once, and the mark goes."""
    _, nodes = exchange
    old = nodes["tn"]
    home = look_home(old.data, PASSPHRASE)
    backup_node(home, tmp_path / "tn.tar", now())
    home.close()
    after = deliver(nodes, "after the backup")
    old.stop()
    restore_node(tmp_path / "tn.tar", tmp_path / "tn", PASSPHRASE, now())
    restored = copy.copy(old)
    restored.data = tmp_path / "tn"
    restored.start()
    nodes["tn"] = restored
    wait_for(lambda: after in [each["id"] for each in restored.inbox()])
    ids = [each["id"] for each in restored.inbox()]
    assert len(ids) == len(set(ids))
    wait_for(lambda: not (restored.data / RESTORED_FILE).exists())


def test_a_backup_is_restored_where_it_belongs(
    exchange: Exchange, home: Home, tmp_path: Path
) -> None:
    """A hub takes no node's archive, nobody takes one into a directory in use, or by another passphrase."""
    hub, _ = exchange
    backup_node(home, tmp_path / "tn.tar", now())
    with pytest.raises(ConfigurationError, match="barid node restore"):
        restore_hub(tmp_path / "tn.tar", tmp_path / "hub", PASSPHRASE)
    with pytest.raises(ConfigurationError, match="not empty"):
        restore_node(tmp_path / "tn.tar", hub.data, PASSPHRASE, now())
    with pytest.raises(ConfigurationError, match="passphrase"):
        restore_node(tmp_path / "tn.tar", tmp_path / "tn", b"another passphrase", now())
    altered = bytearray((tmp_path / "tn.tar").read_bytes())
    altered[len(altered) // 2] ^= 1
    (tmp_path / "altered.tar").write_bytes(altered)
    with pytest.raises(VerificationError):
        restore_node(tmp_path / "altered.tar", tmp_path / "tn", PASSPHRASE, now())
    assert not (tmp_path / "hub").exists()
    assert not (tmp_path / "tn").exists()


def test_an_archive_with_settings_of_ones_own(home: Home, tmp_path: Path) -> None:
    """Who has an archive, and not its passphrase, cannot make a node run a program of theirs."""
    backup_node(home, tmp_path / "tn.tar", now())
    manifest, _ = open_archive(tmp_path / "tn.tar", PASSPHRASE)
    size = next(each.size for each in manifest.files if each.name == "config.json")
    whole = (tmp_path / "tn.tar").read_bytes()
    settings = (home.data / "config.json").read_bytes()
    assert (len(settings), whole.count(settings)) == (size, 1)
    hostile = whole.replace(settings, settings.replace(b'"tn"', b'"ly"'))
    (tmp_path / "hostile.tar").write_bytes(hostile)
    with pytest.raises(VerificationError, match=r"config\.json"):
        open_archive(tmp_path / "hostile.tar", PASSPHRASE)


def test_unfinished_uploads_begin_anew(exchange: Exchange, tmp_path: Path) -> None:
    """What an agency has not handed in whole is in no archive: it would be sealed twice under one key."""
    _, nodes = exchange
    contents = secrets.token_bytes(300_000)
    bulletin_id, attachment_id, _ = enclosing(contents)
    path = f"/bulletins/{bulletin_id}/attachments/{attachment_id}"
    query = {"size": len(contents), "sha256": "0" * 64}
    answer = nodes["ly"].call(
        "PUT", path, params=query, content=contents[:131_072], headers={"Upload-Offset": "0"}
    )
    assert answer.status_code == 200
    home = look_home(nodes["ly"].data, PASSPHRASE)
    manifest = backup_node(home, tmp_path / "ly.tar", now())
    home.close()
    named = [each.name for each in manifest.files if each.name.startswith("attachments/out/")]
    assert len(named) == 1
    assert attachment_id not in named[0]
