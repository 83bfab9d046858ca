"""One log inside one transaction: rows appended, tiles grown, the next checkpoint signed.

May import SQLAlchemy, `broker.tlog` and the hub's tables; `ledger` opens one for each log, and proofs are
read through it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from broker.hub.tables import entry, log_head, tile
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.merkle import HashReader, inclusion_path, leaf_hash, root
from broker.tlog.note import Note, NoteSigner, parse_note
from broker.tlog.receipt import exchange_leaf
from broker.tlog.tiles import TileReader, append, reader_from_tiles
from schemas.entries import TreeHead
from schemas.errors import BaridError, Problem
from schemas.receipts import Place, Receipt

LogName = Literal["directory", "exchange"]

ED25519_BYTES: Final = 64

_CHECKPOINTS_KEPT_MAX: Final = 16

# Built once: to build a statement takes SQLAlchemy several times as long as to run it.
_HEAD: Final = select(log_head).where(log_head.c.log == bindparam("of_log"))
_TILE: Final = select(tile.c.hashes).where(
    tile.c.log == bindparam("of_log"),
    tile.c.level == bindparam("at_level"),
    tile.c.tile_index == bindparam("at_index"),
)
_APPEND: Final = insert(entry)
_NEW_TILE: Final = upsert(tile)
_KEEP_TILE: Final = _NEW_TILE.on_conflict_do_update(
    index_elements=["log", "level", "tile_index"], set_={"hashes": _NEW_TILE.excluded.hashes}
)
_SWAP: Final = (
    update(log_head)
    .where(
        log_head.c.log == bindparam("of_log"),
        log_head.c.size == bindparam("old_size"),
        log_head.c.root == bindparam("old_root"),
    )
    .values(
        size=bindparam("new_size"),
        root=bindparam("new_root"),
        checkpoint=bindparam("new_checkpoint"),
        at=bindparam("new_at"),
    )
)


class LostRace(BaridError):
    """Another process moved a log meanwhile: this transaction must not be committed."""


@dataclass(frozen=True, slots=True)
class Head:
    """A log as it was last committed; `at` is in seconds since 1970."""

    log: LogName
    generation: int
    origin: str
    size: int
    root: bytes
    checkpoint: str
    at: int

    @property
    def tree(self) -> TreeHead:
        """Size and root as entries name them."""
        return TreeHead(size=self.size, root=self.root.hex())


def read_head(connection: Connection, log: LogName) -> Head:
    """Read the committed head of a log."""
    row = connection.execute(_HEAD, {"of_log": log}).one()
    return Head(log, row.generation, row.origin, row.size, row.root, row.checkpoint, row.at)


# Every page, status and receipt of one tree carries the same.
@lru_cache(maxsize=_CHECKPOINTS_KEPT_MAX)
def receipt_checkpoint(checkpoint: str) -> str:
    """The checkpoint as receipts carry it: with the Ed25519 line alone."""
    note = parse_note(checkpoint)
    origin = note.text.partition("\n")[0]
    kept = [
        line
        for line in note.signatures
        if line.name == origin and len(line.signature) == ED25519_BYTES
    ]
    return Note(note.text, tuple(kept)).render()


def _read_tile(connection: Connection, log: LogName, level: int, index: int) -> bytes:
    which = {"of_log": log, "at_level": level, "at_index": index}
    return connection.execute(_TILE, which).scalar() or b""


def tile_reader(connection: Connection, log: LogName) -> TileReader:
    """Read stored tiles, each at most once."""
    seen: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        if (level, index) not in seen:
            seen[level, index] = _read_tile(connection, log, level, index)
        return seen[level, index]

    return read


def why_behind(connection: Connection, log: LogName, signed: TreeHead) -> str:
    """Why a log is not one that a tree which was signed has grown into. Empty where it is."""
    head = read_head(connection, log)
    if head.size < signed.size:
        return (
            f"the {log} log has {head.size} entries, where {signed.size} were signed: this is an old disk or"
            " backup"
        )
    tiles = reader_from_tiles(tile_reader(connection, log), head.size)
    if root(signed.size, tiles).hex() != signed.root:
        return f"the {log} log is not the one of which {signed.size} entries were signed"
    return ""


@dataclass(frozen=True, slots=True)
class Prover:
    """Makes receipts for entries of the exchange log out of one head."""

    head: Head
    checkpoint: str
    read: HashReader

    @classmethod
    def of(cls, connection: Connection, head: Head) -> Prover:
        """Prove within the tree of a committed head."""
        tiles = tile_reader(connection, head.log)
        return cls(head, receipt_checkpoint(head.checkpoint), reader_from_tiles(tiles, head.size))

    def receipt(
        self, index: int, entry_bytes: bytes, salt: bytes, places: Sequence[Place] = ()
    ) -> Receipt:
        """The receipt of the entry at `index`."""
        path = inclusion_path(index, self.head.size, self.read)
        return Receipt(
            entry=entry_bytes,
            salt=salt,
            places=tuple(places),
            index=index,
            path=tuple(step.hex() for step in path),
            checkpoint=self.checkpoint,
        )


class LogWriter:
    """Appends to one log within the open transaction; nothing is true before `close` and the commit."""

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection = connection
        self.head = head
        self._rows: list[dict[str, object]] = []
        self._leaves: list[bytes] = []
        self._stored: dict[tuple[int, int], bytes] = {}
        self._hashes: HashReader = reader_from_tiles(self._tile, head.size)

    @property
    def next_index(self) -> int:
        """The index that the next entry gets."""
        return self.head.size + len(self._rows)

    def append(self, entry_bytes: bytes, salt: bytes | None, statement: bytes | None) -> int:
        """Take an entry; returns its index."""
        index = self.next_index
        leaf = leaf_hash(entry_bytes) if salt is None else exchange_leaf(salt, entry_bytes)
        self._leaves.append(leaf)
        self._rows.append(
            {
                "log": self.head.log,
                "entry_index": index,
                "leaf": leaf,
                "salt": salt,
                "entry": entry_bytes,
                "statement": statement,
            }
        )
        return index

    def close(self, signers: Sequence[NoteSigner], at: int) -> Head:
        """Write the rows and tiles, sign the new checkpoint, and swap the head if nobody else did.

        The swap covers an unchanged log too: both logs move together, or neither does. Its `at` stays:
        a clock that was wrong while nothing was logged leaves no trace.

        Raises:
            LostRace: the stored head is not the one that this transaction began with.
        """
        if not self._rows:
            return self._swap(self.head)
        size, new_root = self._grow()
        text = sign_checkpoint(Checkpoint(self.head.origin, size, new_root), signers, at)
        return self._swap(replace(self.head, size=size, root=new_root, checkpoint=text, at=at))

    def _swap(self, new: Head) -> Head:
        swapped = self._connection.execute(
            _SWAP,
            {
                "of_log": self.head.log,
                "old_size": self.head.size,
                "old_root": self.head.root,
                "new_size": new.size,
                "new_root": new.root,
                "new_checkpoint": new.checkpoint,
                "new_at": new.at,
            },
        )
        if swapped.rowcount != 1:
            raise LostRace(f"the {self.head.log} log moved")
        return new

    def adopt(self, signed: Checkpoint, text: str, at: int) -> None:
        """Write the rows and tiles, where they make a tree that this hub signed before, and take its head.

        Args:
            signed: the checkpoint; the caller verified its signatures.
            text: its note.
            at: of the newest entry, in seconds since 1970.

        Raises:
            Problem: `inclusion`: they make another tree; the transaction must not be committed.
        """
        size, new_root = self._grow()
        if (size, new_root) != (signed.size, signed.root):
            raise Problem("inclusion", "these entries are not those of the signed tree")
        self._swap(replace(self.head, size=size, root=new_root, checkpoint=text, at=at))

    def prover(self, connection: Connection, head: Head) -> Prover:
        """Prove within the tree that `close` made, once it is committed.

        Args:
            connection: reads what is older than this batch; what it grew is at hand.
            head: what `close` returned.
        """
        # The transaction in which this log was written is over.
        self._connection = connection
        return Prover(head, receipt_checkpoint(head.checkpoint), self._hashes)

    def _tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._stored:
            self._stored[level, index] = _read_tile(self._connection, self.head.log, level, index)
        return self._stored[level, index]

    def _grow(self) -> tuple[int, bytes]:
        """Write the rows and the tiles that they grow; the new size and root."""
        grown = append(self.head.size, self._tile, self._leaves)
        self._hashes = reader_from_tiles(grown.overlay(self._tile), grown.new_size)
        self._connection.execute(_APPEND, self._rows)
        rows = [
            {"log": self.head.log, "level": level, "tile_index": index, "hashes": hashes}
            for (level, index), hashes in grown.tiles.items()
        ]
        self._connection.execute(_KEEP_TILE, rows)
        return grown.new_size, root(grown.new_size, self._hashes)
