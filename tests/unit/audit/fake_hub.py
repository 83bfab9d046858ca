"""A hub that serves two logs from memory, honestly until a test alters what it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from broker.client import TrustFileAbsent
from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import leaf_hash, root
from broker.tlog.note import Ed25519NoteSigner, Note, parse_note
from broker.tlog.tiles import append, encode_entries, parse_tile_path, reader_from_tiles
from schemas.errors import Problem
from schemas.receipts import Opening, OpeningsPage
from tests.exchange.trust_world import LogSecrets


@dataclass
class ServedLog:
    """What the hub serves of one log; tests alter it after the fact."""

    secrets: LogSecrets
    data: list[bytes]
    openings: list[Opening | None]
    checkpoint: str
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @classmethod
    def of(
        cls, log: LogSecrets, data: list[bytes], openings: list[Opening | None], at: datetime
    ) -> ServedLog:
        """Serve these leaves, signed at a moment."""
        tree, tiles = grow(data)
        return cls(log, data, openings, cls.signed(log, len(data), tree, at), tiles)

    @staticmethod
    def signed(log: LogSecrets, size: int, tree: bytes, at: datetime) -> str:
        """Sign any checkpoint with both keys of a log."""
        signers = (
            Ed25519NoteSigner(log.origin, log.ed25519),
            MlDsa44CosignatureSigner(log.origin, log.ml_dsa_44),
        )
        return sign_checkpoint(Checkpoint(log.origin, size, tree), signers, int(at.timestamp()))


def grow(data: list[bytes]) -> tuple[bytes, dict[tuple[int, int], bytes]]:
    """Root and tiles of the tree over these leaves."""
    tiles = append(0, lambda _level, _index: b"", [leaf_hash(item) for item in data]).tiles
    read = reader_from_tiles(lambda level, index: tiles[level, index], len(data))
    return root(len(data), read), tiles


class FakeHub:
    """Answers an auditor as the hub's client does, out of two logs that tests may alter."""

    def __init__(self, logs: dict[str, ServedLog], files: dict[str, bytes]) -> None:
        self.logs = logs
        self.files = files
        self.page_max = 256
        self.cosigned: dict[str, str] = {}

    async def checkpoint(self, log: str, generation: int) -> str:
        """The signed checkpoint."""
        assert generation == 1
        return self.logs[log].checkpoint

    async def witnessed(self, log: str, generation: int) -> str:
        """What a quorum cosigned, where there is any."""
        assert generation == 1
        if log not in self.cosigned:
            raise Problem("not-found")
        return self.cosigned[log]

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or bundle."""
        assert generation == 1
        wanted, served = parse_tile_path(path), self.logs[log]
        if wanted.level == "entries":
            start = wanted.index * 256
            return encode_entries(served.data[start : start + wanted.width])
        tile = served.tiles.get((wanted.level, wanted.index))
        if tile is None or len(tile) < 32 * wanted.width:
            raise Problem("not-found")
        return tile[: 32 * wanted.width]

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """Openings of a range, at most `page_max` of them."""
        found = [opening for opening in self.logs[log].openings[start:end] if opening is not None]
        return OpeningsPage(openings=tuple(found[: self.page_max]))

    async def trust_file(self, name: str) -> bytes:
        """A TUF file."""
        if name not in self.files:
            raise TrustFileAbsent(name)
        return self.files[name]


def one_signature(text: str, keep: int) -> str:
    """The checkpoint with one of its signature lines alone."""
    note = parse_note(text)
    return Note(note.text, (note.signatures[keep],)).render()
