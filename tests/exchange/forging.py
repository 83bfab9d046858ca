"""A hub that holds its real keys and lies: logs rebuilt with other entries, and a client that shows them.

May import the live hub and the pure log; the tests of those who follow a hostile hub call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import select

from broker.client import HubClient, TrustFileAbsent
from broker.db import reading
from broker.hub.generations import load_signers
from broker.hub.logbook import LogName
from broker.hub.tables import entry
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.merkle import leaf_hash, root
from broker.tlog.receipt import exchange_leaf_data
from broker.tlog.tiles import append, encode_entries, parse_tile_path, reader_from_tiles
from schemas.errors import HubUnreachable
from schemas.loader import parse
from schemas.receipts import Opening, OpeningsPage
from schemas.statements import Statement
from tests.exchange.live import EXCHANGE, LiveHub


@dataclass
class ForgedLog:
    """A log that begins as the hub's does and goes on as a test wants it, signed with the hub's own keys."""

    hub: LiveHub
    log: LogName
    openings: list[Opening] = field(default_factory=list)

    @classmethod
    def of(cls, hub: LiveHub, log: LogName) -> Self:
        """Copy a log as it stands."""
        query = select(entry).where(entry.c.log == log).order_by(entry.c.entry_index)
        with reading(hub.ledger.engine) as connection:
            rows = connection.execute(query).all()
        openings = [
            Opening(
                index=row.entry_index,
                salt=row.salt,
                entry=row.entry,
                statement=None if row.statement is None else parse(Statement, row.statement, 10**7),
            )
            for row in rows
        ]
        return cls(hub, log, openings)

    def alter(self, index: int, data: bytes) -> Self:
        """Put other bytes in the place of an entry."""
        self.openings[index] = self.openings[index].model_copy(update={"entry": data})
        return self

    def add(self, data: bytes, statement: Statement | None = None) -> Self:
        """Append an entry."""
        salt = bytes(32) if self.log == "exchange" else None
        index = len(self.openings)
        self.openings.append(Opening(index=index, salt=salt, entry=data, statement=statement))
        return self

    def cut(self, size: int) -> Self:
        """Forget the entries from an index on."""
        del self.openings[size:]
        return self

    @property
    def data(self) -> list[bytes]:
        """The leaf data of each entry."""
        return [
            o.entry if o.salt is None else exchange_leaf_data(o.salt, o.entry)
            for o in self.openings
        ]

    @property
    def leaves(self) -> list[bytes]:
        """The leaf hash of each entry."""
        return [leaf_hash(data) for data in self.data]

    def checkpoint(self) -> Checkpoint:
        """Size and root of the tree."""
        size = len(self.openings)
        tiles = append(0, lambda _level, _index: b"", self.leaves).tiles
        read = reader_from_tiles(lambda level, index: tiles.get((level, index), b""), size)
        keys = self.hub.invitation.logs
        return Checkpoint(getattr(keys, self.log).origin, size, root(size, read))

    def text(self, keys: slice = slice(None)) -> str:
        """The signed checkpoint, with both lines or some."""
        signers = getattr(load_signers(self.hub.keystore, EXCHANGE), self.log)
        return sign_checkpoint(self.checkpoint(), signers[keys], self.hub.now_unix())

    def tile(self, path: str) -> bytes:
        """A tile or entry bundle of this log."""
        wanted = parse_tile_path(path)
        if wanted.level == "entries":
            start = wanted.index * 256
            return encode_entries(self.data[start : start + wanted.width])
        tiles = append(0, lambda _level, _index: b"", self.leaves).tiles
        return tiles[wanted.level, wanted.index][: 32 * wanted.width]


class Hostile(HubClient):
    """A client whose hub is honest but where a test says otherwise.

    `texts`, `tiles`, `pages` and `files` answer in the hub's place, `once` a single time; `calls_left` counts
    down to a cut line.
    """

    def __init__(self, hub: LiveHub, desk: str = "mr/judicial") -> None:
        super().__init__(hub.invitation.hub, EXCHANGE, hub.desks[desk].request, hub.now_unix)
        self.honest()

    def honest(self) -> None:
        """Lie no more."""
        self.texts: dict[str, str] = {}
        self.once: dict[str, str] = {}
        self.tiles: Callable[[str, str], bytes | None] = lambda _log, _path: None
        self.pages: Callable[[Sequence[Opening]], Iterable[Opening]] = lambda page: page
        self.forged: dict[str, ForgedLog] = {}
        self.files: dict[str, bytes | None] = {}
        self.calls_left = 10**6

    def forge(self, forged: ForgedLog) -> None:
        """Show a forged log in every answer."""
        self.forged[forged.log] = forged
        self.texts[forged.log] = forged.text()

    def _count(self) -> None:
        if self.calls_left == 0:
            raise HubUnreachable("the line was cut")
        self.calls_left -= 1

    async def checkpoint(self, log: str, generation: int) -> str:
        """A forged checkpoint, or the hub's."""
        self._count()
        told = self.once.pop(log, None) or self.texts.get(log)
        return told or await super().checkpoint(log, generation)

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A forged tile, or the hub's."""
        self._count()
        told = self.tiles(log, path)
        if told is None and log in self.forged:
            told = self.forged[log].tile(path)
        return await super().tile(log, generation, path) if told is None else told

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """Openings of a forged log or the hub's, as `pages` lets them pass."""
        self._count()
        if log in self.forged:
            page = OpeningsPage(openings=tuple(self.forged[log].openings[start:end]))
        else:
            page = await super().openings(log, start, end, generation)
        return OpeningsPage(openings=tuple(self.pages(page.openings)), next=page.next)

    async def trust_file(self, name: str, size_bytes_max: int = 10**7) -> bytes:
        """A file that a test has put there, or the hub's."""
        self._count()
        if name not in self.files:
            return await super().trust_file(name)
        told = self.files[name]
        if told is None:
            raise TrustFileAbsent(name)
        return told


@dataclass
class MemoryStore:
    """What a follower keeps, in memory; `copy` is what a crash would have left."""

    kept: list[Opening] = field(default_factory=list)
    checkpoints: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> MemoryStore:
        """The same, independent."""
        return MemoryStore(list(self.kept), dict(self.checkpoints), dict(self.files))

    def openings(self) -> Iterable[Opening]:
        """What was saved, in order."""
        return list(self.kept)

    def save(
        self,
        openings: Sequence[Opening],
        checkpoints: dict[str, str],
        generation: int = 1,
    ) -> None:
        """Keep all or nothing."""
        self.kept += openings
        self.checkpoints |= checkpoints

    def checkpoint(self, log: str) -> str | None:
        """The newest one saved."""
        return self.checkpoints.get(log)

    def trust_file(self, name: str) -> bytes | None:
        """A file saved."""
        return self.files.get(name)

    def save_trust_file(self, name: str, data: bytes) -> None:
        """Keep a file."""
        self.files[name] = data


def shown(value: Any) -> Any:
    """What two followers must agree on: size, directory in force, and both heads."""
    state = value.state
    return state.size, state.in_force, value.directory_checkpoint, value.exchange_checkpoint


def check_whole(hub: LiveHub) -> None:
    """The hub's exchange log is the tree of its entries, each of them under its own hash."""
    forged = ForgedLog.of(hub, "exchange")
    head = hub.ledger.heads()[1]
    assert (forged.checkpoint().size, forged.checkpoint().root) == (head.size, head.root)
    query = select(entry.c.leaf).where(entry.c.log == "exchange").order_by(entry.c.entry_index)
    with reading(hub.ledger.engine) as connection:
        assert list(connection.execute(query).scalars()) == forged.leaves
