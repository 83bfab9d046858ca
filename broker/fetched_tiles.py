"""Computing over a hub's tree: the tiles that a proof needs are fetched as it asks for them.

May import `broker.tlog`; `following`, receipts and evidence call it. Tiles prove nothing by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from broker.tlog.merkle import HashReader
from broker.tlog.tiles import reader_from_tiles, tile_path, tile_width
from schemas.errors import BaridError

T = TypeVar("T")


class TileSource(Protocol):
    """Where tiles come from, as `broker.client.HubClient`."""

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile by its path."""


class _TileNeeded(BaridError):
    def __init__(self, level: int, index: int) -> None:
        self.tile = (level, index)
        super().__init__(f"tile {level}/{index}")


async def over_tiles(
    source: TileSource, log: str, generation: int, size: int, compute: Callable[[HashReader], T]
) -> T:
    """Run a pure tree computation over the hub's tiles, fetching those that it asks for.

    Tiles are not trusted: what is computed from them must be verified against a signed root.

    Args:
        size: of the tree, in leaves.
        compute: called again from the start until every tile it asks for is there.
    """
    tiles: dict[tuple[int, int], bytes] = {}

    def read_tile(level: int, index: int) -> bytes:
        if (level, index) not in tiles:
            raise _TileNeeded(level, index)
        return tiles[level, index]

    while True:
        try:
            return compute(reader_from_tiles(read_tile, size))
        except _TileNeeded as needed:
            level, index = needed.tile
            path = tile_path(level, index, tile_width(level, index, size))
            tiles[level, index] = await source.tile(log, generation, path)
