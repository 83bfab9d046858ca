"""Rebuilding a log's tree from its leaves alone: every tile and the root of every size on the way.

Pure; may import `broker.tlog`. The auditor compares what comes out with what the hub serves and signed.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.tlog.merkle import EMPTY_ROOT, node_hash
from broker.tlog.tiles import TILE_HEIGHT, TILE_WIDTH


@dataclass(frozen=True, slots=True)
class RebuiltTile:
    """A tile above level 0 as the leaves give it: up to 256 hashes of 32 bytes, concatenated."""

    level: int
    index: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it has."""
        return len(self.hashes) // len(EMPTY_ROOT)


class GrowingTree:
    """A tree that grows leaf by leaf and keeps one hash a level, and the tiles that are not full."""

    def __init__(self) -> None:
        self.size = 0
        # Roots of the complete subtrees that the leaves so far fall into, the largest first.
        self._peaks: list[tuple[int, bytes]] = []
        self._open_tiles: dict[int, list[bytes]] = {}
        self._full_tiles: list[RebuiltTile] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash of 32 bytes."""
        level, node = 0, leaf
        while self._peaks and self._peaks[-1][0] == level:
            node = node_hash(self._peaks.pop()[1], node)
            level += 1
            if level % TILE_HEIGHT == 0:
                self._put(level // TILE_HEIGHT, node)
        self._peaks.append((level, node))
        self.size += 1

    def _put(self, tile_level: int, node: bytes) -> None:
        hashes = self._open_tiles.setdefault(tile_level, [])
        hashes.append(node)
        if len(hashes) == TILE_WIDTH:
            self._full_tiles.append(self._tile(tile_level, hashes))
            self._open_tiles[tile_level] = []

    def _tile(self, tile_level: int, hashes: list[bytes]) -> RebuiltTile:
        # The newest hash of this level stands at size / 256^level - 1.
        index = (((self.size + 1) >> (TILE_HEIGHT * tile_level)) - 1) // TILE_WIDTH
        return RebuiltTile(tile_level, index, b"".join(hashes))

    def root(self) -> bytes:
        """The root over the leaves so far (RFC 6962 section 2.1), 32 bytes."""
        if not self._peaks:
            return EMPTY_ROOT
        result = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            result = node_hash(peak, result)
        return result

    def take_full_tiles(self) -> list[RebuiltTile]:
        """Tiles above level 0 that became full since the last call."""
        taken, self._full_tiles = self._full_tiles, []
        return taken

    def partial_tiles(self) -> list[RebuiltTile]:
        """Tiles above level 0 that the tree of this size leaves unfinished."""
        return [
            RebuiltTile(level, (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH, b"".join(hashes))
            for level, hashes in self._open_tiles.items()
            if hashes
        ]
