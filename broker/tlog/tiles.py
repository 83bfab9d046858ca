"""Tiles: how a log is stored and served, 256 hashes of one level at a time (C2SP tlog-tiles).

Pure; may import `schemas` and `broker.tlog.merkle`. The hub appends and serves, nodes and auditors
read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from broker.tlog.merkle import HASH_BYTES, TREE_SIZE_MAX, HashReader, pair_hash
from schemas.errors import ParseError, VerificationError

TILE_HEIGHT: Final = 8
"""Levels of the tree that one tile spans."""

TILE_WIDTH: Final = 1 << TILE_HEIGHT
"""Hashes of a full tile."""

TILE_LEVEL_MAX: Final = 63
"""Highest tile level that a path can name (C2SP tlog-tiles)."""

_TILES_KEPT_MAX: Final = 256
"""Tiles above level 0 whose subtrees are kept: 16 KiB each, of 16 million leaves."""

_PAIR_BYTES: Final = 2 * HASH_BYTES

BUNDLE_ENTRY_BYTES_MAX: Final = 0xFFFF
"""Bytes of one entry in a bundle: its length is an uint16."""

TileReader: TypeAlias = Callable[[int, int], bytes]
"""(tile level, tile index) → the tile's hashes so far, concatenated: 0 to 8192 bytes."""

TileLevel: TypeAlias = int | Literal["entries"]

_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([0-9]{1,3}))?"
)


@dataclass(frozen=True, slots=True)
class TileId:
    """Which tile or entry bundle, and how many hashes or entries of it; 256 is a full one."""

    level: TileLevel
    index: int
    width: int = TILE_WIDTH


@dataclass(frozen=True, slots=True)
class Append:
    """What appending leaves makes: the new size, and the full content of each new or grown tile."""

    new_size: int
    tiles: dict[tuple[int, int], bytes]

    def overlay(self, read_tile: TileReader) -> TileReader:
        """Read these tiles before they are stored, and all others through `read_tile`."""

        def read(level: int, index: int) -> bytes:
            tile = self.tiles.get((level, index))
            return read_tile(level, index) if tile is None else tile

        return read


def tile_path(level: TileLevel, index: int, width: int = TILE_WIDTH) -> str:
    """Write the path of a tile, as `tile/0/x001/234.p/17`.

    Args:
        level: of the tile, or `entries` for an entry bundle.
        index: of the tile within its level.
        width: hashes or entries, 1 to 256; fewer than 256 make a partial tile.

    Raises:
        ParseError: there is no such tile.
    """
    known_level = level == "entries" or 0 <= level <= TILE_LEVEL_MAX
    if not known_level or not 0 <= index < TREE_SIZE_MAX or not 1 <= width <= TILE_WIDTH:
        raise ParseError(f"there is no tile at level {level}, index {index}, of width {width}")
    index, last = divmod(index, 1000)
    number = f"{last:03}"
    while index:
        index, group = divmod(index, 1000)
        number = f"x{group:03}/{number}"
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{number}{partial}"


def parse_tile_path(text: str) -> TileId:
    """Read the path of a tile or entry bundle; only what `tile_path` writes is taken.

    Raises:
        ParseError: not such a path.
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise ParseError("not the path of a tile")
    level: TileLevel = "entries" if match[1] == "entries" else int(match[1])
    index = int(match[2].replace("x", "").replace("/", ""))
    tile = TileId(level, index, TILE_WIDTH if match[3] is None else int(match[3]))
    if tile_path(tile.level, tile.index, tile.width) != text:
        raise ParseError("not the one path of this tile")
    return tile


def tile_width(level: TileLevel, index: int, size: int) -> int:
    """Count the hashes (or entries) of a tile in the tree over `size` leaves: 0 to 256."""
    height = 0 if level == "entries" else TILE_HEIGHT * level
    return min(TILE_WIDTH, max(0, (size >> height) - index * TILE_WIDTH))


def append(size: int, read_tile: TileReader, leaf_hashes: Sequence[bytes]) -> Append:
    """Append leaves to a tree of `size` leaves.

    Args:
        size: leaves of the stored tree.
        read_tile: reads stored tiles; only the last one of each level is asked for, if partial.
        leaf_hashes: 32 bytes each (`merkle.leaf_hash`), in order.

    Raises:
        VerificationError: the stored tiles are not those of a tree of `size` leaves, a leaf hash is
            not 32 bytes long, or the tree would be too large.
    """
    new_size = size + len(leaf_hashes)
    if size < 0 or new_size > TREE_SIZE_MAX:
        raise VerificationError(f"no tree has {new_size} leaves")
    if any(len(value) != HASH_BYTES for value in leaf_hashes):
        raise VerificationError(f"every leaf hash is {HASH_BYTES} bytes long")
    tiles: dict[tuple[int, int], bytes] = {}
    level, count, hashes = 0, size, list(leaf_hashes)
    while hashes:
        hashes = _append_level(level, count, read_tile, b"".join(hashes), tiles)
        level, count = level + 1, count >> TILE_HEIGHT
    return Append(new_size, tiles)


def _append_level(
    level: int,
    count: int,
    read_tile: TileReader,
    added: bytes,
    tiles: dict[tuple[int, int], bytes],
) -> list[bytes]:
    """Add hashes to a level that has `count`; fill `tiles`; return the roots of tiles now full."""
    index, present = divmod(count, TILE_WIDTH)
    stored = read_tile(level, index) if present else b""
    if len(stored) != present * HASH_BYTES:
        # No crash causes this, since tiles and size are stored together: the database is damaged.
        raise VerificationError(f"tile {level}/{index} is not as wide as the tree's size demands")
    content = stored + added
    full_roots: list[bytes] = []
    for start in range(0, len(content), TILE_WIDTH * HASH_BYTES):
        tile = content[start : start + TILE_WIDTH * HASH_BYTES]
        tiles[level, index] = tile
        index += 1
        if len(tile) == TILE_WIDTH * HASH_BYTES:
            full_roots.append(_tile_root(tile))
    return full_roots


def _tile_root(tile: bytes) -> bytes:
    return _rows(tile)[-1]


def _rows(tile: bytes) -> list[bytes]:
    """The hashes of a tile, and above them every complete subtree that they make: rows of halved length."""
    rows = [tile]
    while len(tile) > HASH_BYTES:
        pairs = range(0, len(tile) // _PAIR_BYTES * _PAIR_BYTES, _PAIR_BYTES)
        tile = b"".join([pair_hash(tile[at : at + _PAIR_BYTES]) for at in pairs])
        rows.append(tile)
    return rows


# Proofs share the tiles near the root; those at the leaves are seldom asked for twice.
_rows_kept = lru_cache(maxsize=_TILES_KEPT_MAX)(_rows)


def reader_from_tiles(read_tile: TileReader, size: int) -> HashReader:
    """Read complete subtrees of the tree over `size` leaves out of its tiles.

    It keeps every tile and hash that it saw: make one for a request or batch, then let it go.

    Args:
        read_tile: reads stored tiles; they may already be wider than `size` demands.
        size: leaves of the tree; what lies beyond is refused.

    Returns:
        A reader that raises VerificationError for a subtree beyond `size` or a tile too short.
    """
    tiles: dict[tuple[int, int], list[bytes]] = {}

    def read(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > size:
            raise VerificationError(f"a tree of {size} has no subtree {index} at level {level}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, offset = divmod(index, TILE_WIDTH >> height)
        rows = tiles.get((tile_level, tile_index))
        if rows is None:
            tile = read_tile(tile_level, tile_index)
            if len(tile) % HASH_BYTES:
                raise VerificationError(f"tile {tile_level}/{tile_index} ends within a hash")
            rows = tiles[tile_level, tile_index] = (_rows_kept if tile_level else _rows)(tile)
        start = offset * HASH_BYTES
        if height >= len(rows) or start >= len(rows[height]):
            raise VerificationError(f"tile {tile_level}/{tile_index} is too short for this tree")
        return rows[height][start : start + HASH_BYTES]

    return read


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Write an entry bundle: each entry after its length as big-endian uint16 (C2SP tlog-tiles).

    Args:
        entries: 1 to 256, at most 65,535 bytes each.

    Raises:
        ParseError: too many, none, or one too long.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise ParseError(f"a bundle has 1 to {TILE_WIDTH} entries")
    if any(len(entry) > BUNDLE_ENTRY_BYTES_MAX for entry in entries):
        raise ParseError(f"an entry has at most {BUNDLE_ENTRY_BYTES_MAX} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_entries(data: bytes, width: int) -> tuple[bytes, ...]:
    """Read an entry bundle of exactly `width` entries (1 to 256).

    Raises:
        ParseError: truncated, or more or fewer entries.
    """
    if not 1 <= width <= TILE_WIDTH:
        raise ParseError(f"a bundle has 1 to {TILE_WIDTH} entries")
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    # `at` only grows, so that a cut anywhere shows here.
    if at != len(data):
        raise ParseError("the bundle is cut, or has bytes behind its last entry")
    return tuple(entries)
