"""A hub on paper: it judges, logs and proves as the real one does, and lies where a test wants it to.

    world = NodeWorld()
    tn = world.home(tmp_path, "tn", "main")
    world.announce_for(tn)
    index = world.accept(world.envelope("ly/main", "tn/main"))
    item = world.item(index, "tn/main")

Keys, signatures, sealing, log proofs and databases are real; only the transport is missing.
"""

from __future__ import annotations

import atexit
import copy
import functools
import shutil
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, event

from broker.client import HubClient
from broker.db import migrate, open_sqlcipher, writing
from broker.following import Follower
from broker.node import migrations
from broker.node.freshness import Source, note_vouched
from broker.node.home import DeskKeys, Home
from broker.node.line import HubClock, Line
from broker.node.sealing_keys import prepare_key
from broker.settings import Listen, NodeSettings
from keys.keystore import KdfCost, Keystore
from tests.exchange.trust_world import START
from tests.unit.node.documents import document as document
from tests.unit.node.documents import new_id as new_id
from tests.unit.node.paper_hub import PaperClient as PaperClient
from tests.unit.node.paper_hub import PaperFollower
from tests.unit.node.paper_log import LoggingWorld

CHEAP = KdfCost(operations=1, memory_bytes=8 * 1024 * 1024)
PASSPHRASE = b"a passphrase of tests"
DATABASE_KEY = bytes(range(32))


@functools.cache
def _migrated() -> Path:
    """A new node's database, made once: every test starts from its copy."""
    path = Path(tempfile.mkdtemp(prefix="barid-node-")) / "node.db"
    engine = open_sqlcipher(path, DATABASE_KEY)
    migrate(engine, migrations)
    engine.dispose()
    atexit.register(shutil.rmtree, path.parent)
    return path


def open_database(data: Path) -> Engine:
    """Open a node's database; tests kill processes, never the power, so that they need no fsync."""
    engine = open_sqlcipher(data / "node.db", DATABASE_KEY)
    engine.dispose()

    def on_connect(raw: Any, _record: Any) -> None:
        raw.execute("PRAGMA synchronous = OFF")

    event.listen(engine, "connect", on_connect)
    return engine


def copy_home(home: Home, folder: Path) -> Home:
    """The same node once more, on a disk of its own."""
    data = folder / home.settings.member
    shutil.copytree(home.data, data)
    keystore = Keystore(data / "keystore", home.keystore._box)
    engine, desks = open_database(data), dict(home.desks)
    return replace(home, data=data, keystore=keystore, engine=engine, desks=desks)


class NodeWorld(LoggingWorld):
    """The world of senders and a hub on paper, with nodes that hold a line to it."""

    def copy(self) -> NodeWorld:
        """An independent world with the same keys and the same past."""
        other = copy.copy(self)
        other.items, other.entries = [*self.items], [*self.entries]
        other.answered, other._places = set(self.answered), dict(self._places)
        other.files, other.current = dict(self.files), dict(self.current)
        other.member_files, other.desks = dict(self.member_files), dict(self.desks)
        other.versions = replace(self.versions, members=dict(self.versions.members))
        other.sealing_secrets = dict(self.sealing_secrets)
        other._history = self.known.copy()
        return other

    def home(self, folder: Path, member: str, *units: str) -> Home:
        """A node's home with the keys that the directory names; its database is SQLCipher on disk."""
        data = folder / member
        data.mkdir()
        keystore = Keystore.create(data / "keystore", PASSPHRASE, CHEAP)
        settings = NodeSettings(
            exchange=self.exchange,
            member=member,
            desks=units,
            listen=Listen(host="127.0.0.1", port=0),
        )
        shutil.copy(_migrated(), data / "node.db")
        engine = open_database(data)
        desks = {}
        for desk in settings.desk_ids:
            node = self.desks[desk].node
            assert node is not None
            desks[desk] = DeskKeys(node, self.desks[desk].request)
        return Home(data, settings, keystore, engine, desks)

    def announce_for(self, home: Home) -> None:
        """Have the node make and log the sealing keys of its desks."""
        for desk in home.desks:
            statement = prepare_key(home, desk, self.newest, self.now)
            assert statement is not None
            self.announce(statement)
            assert prepare_key(home, desk, self.newest, self.now) is None

    def announce_for_all_but(self, *desks: str) -> None:
        """Log a first sealing key of every other desk that has none."""
        for desk, keys in self.desks.items():
            has_one = self.newest.highest_epoch(desk) > 0
            if keys.node is not None and desk not in desks and not has_one:
                self.announce(self.sealing_statement(desk, 1, not_before=self.now))

    def line(self, home: Home) -> tuple[Line, PaperClient]:
        """The line of a node to this hub, which it has just followed."""
        with writing(home.engine) as connection:
            note_vouched(connection, Source.TIMESTAMP, self.now)
        client = PaperClient(self)
        clients = dict.fromkeys(home.desks, cast(HubClient, client))
        reader, follower = cast(HubClient, client), cast(Follower, PaperFollower(self))
        time = HubClock(lambda: self.now)
        return Line(home, self.hub, clients, reader, follower, time), client


def at(**later: int) -> datetime:
    """The world's first moment, or some time after it."""
    return START + timedelta(**later)
