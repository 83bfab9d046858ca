"""Tiles: appended in any batches they are the tree, their paths are strict, damage is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.tlog import merkle, proof, tiles
from schemas.errors import ParseError, VerificationError

TreeHash = Callable[[Sequence[bytes]], bytes]


class Store:
    """Tiles in memory, as the hub's table keeps them."""

    def __init__(self) -> None:
        self.size = 0
        self.tiles: dict[tuple[int, int], bytes] = {}

    def read(self, level: int, index: int) -> bytes:
        """Read what is stored of a tile."""
        return self.tiles.get((level, index), b"")

    def append(self, entries: Sequence[bytes]) -> tiles.Append:
        """Append entries and store what grew."""
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        appended = tiles.append(self.size, self.read, leaves)
        self.tiles.update(appended.tiles)
        self.size = appended.new_size
        return appended


def entries_of(start: int, count: int) -> list[bytes]:
    """Make that many different entries."""
    return [index.to_bytes(4, "big") for index in range(start, start + count)]


def filled(size: int) -> Store:
    """Make the store of a tree of `size` leaves."""
    store = Store()
    store.append(entries_of(0, size))
    return store


@settings(deadline=None, max_examples=25)
@given(batches=st.lists(st.integers(0, 300), max_size=6))
def test_any_batches_make_the_same_tree(tree_hash: TreeHash, batches: list[int]) -> None:
    """Every stored hash is the one that C2SP defines, however the leaves were batched."""
    store = Store()
    for count in batches:
        store.append(entries_of(store.size, count))
    entries = entries_of(0, sum(batches))
    assert store.size == len(entries)
    defined = {}
    for level, span in ((0, 1), (1, 256)):
        hashes = [
            tree_hash(entries[at : at + span]) for at in range(0, len(entries) // span * span, span)
        ]
        for at in range(0, len(hashes), 256):
            defined[level, at // 256] = b"".join(hashes[at : at + 256])
    assert store.tiles == defined
    read = tiles.reader_from_tiles(store.read, store.size)
    assert merkle.root(store.size, read) == tree_hash(entries)


def test_three_levels(tree_hash: TreeHash) -> None:
    """A tree of over 65,536 leaves has a tile at level 2, the right root, and good proofs."""
    store = Store()
    size = 65536 + 300
    entries = entries_of(0, size)
    for start in range(0, size, 7919):
        store.append(entries[start : start + 7919])
    read = tiles.reader_from_tiles(store.read, size)
    root = tree_hash(entries)
    assert merkle.root(size, read) == root
    assert len(store.tiles[2, 0]) == 32
    for index in (0, 255, 256, 65535, 65536, size - 1):
        path = merkle.inclusion_path(index, size, read)
        proof.verify_inclusion(merkle.leaf_hash(entries[index]), index, size, path, root)
    old_read = tiles.reader_from_tiles(store.read, 60000)
    path = merkle.consistency_path(60000, size, read)
    proof.verify_consistency(60000, merkle.root(60000, old_read), size, root, path)


def test_only_grown_tiles_are_written() -> None:
    """Appending across a tile's end writes the filled tile, the next, and their parent."""
    store = filled(255)
    appended = store.append(entries_of(255, 2))
    widths = {key: len(value) // 32 for key, value in appended.tiles.items()}
    assert widths == {(0, 0): 256, (0, 1): 1, (1, 0): 1}


def test_appending_nothing_writes_nothing() -> None:
    """An empty batch leaves the tree as it was."""
    assert filled(5).append([]) == tiles.Append(5, {})


def test_overlay_reads_what_is_not_stored_yet(tree_hash: TreeHash) -> None:
    """The new root can be computed before the new tiles are stored."""
    store = filled(300)
    leaves = [merkle.leaf_hash(entry) for entry in entries_of(300, 300)]
    appended = tiles.append(300, store.read, leaves)
    read = tiles.reader_from_tiles(appended.overlay(store.read), appended.new_size)
    assert merkle.root(600, read) == tree_hash(entries_of(0, 600))


@pytest.mark.parametrize("damaged", [b"", b"\x00" * 32, b"\x00" * (32 * 11), b"\x00" * (320 - 1)])
def test_damaged_tile_stops_the_log(damaged: bytes) -> None:
    """A stored tile that is narrower or wider than the size demands is never built upon."""
    with pytest.raises(VerificationError, match="not as wide"):
        tiles.append(10, lambda _level, _index: damaged, [merkle.leaf_hash(b"")])


def test_bad_leaf_hash_is_refused() -> None:
    """Only hashes of 32 bytes are appended."""
    with pytest.raises(VerificationError):
        tiles.append(0, Store().read, [b"short"])


@pytest.mark.parametrize("size", [-1, merkle.TREE_SIZE_MAX])
def test_impossible_size_is_refused(size: int) -> None:
    """No tree grows from a negative size, or beyond the largest."""
    with pytest.raises(VerificationError, match="no tree has"):
        tiles.append(size, Store().read, [merkle.leaf_hash(b"")])


@pytest.mark.parametrize(("level", "index"), [(0, 10), (4, 0), (1, 5), (-1, 0), (0, -1), (8, 0)])
def test_reader_refuses_what_lies_beyond_the_size(level: int, index: int) -> None:
    """A reader for 10 leaves gives no subtree that reaches further, though its tiles do."""
    read = tiles.reader_from_tiles(filled(300).read, 10)
    with pytest.raises(VerificationError, match="has no subtree"):
        read(level, index)


def test_reader_refuses_a_tile_that_is_too_short() -> None:
    """A tile without the hash is damage, not an empty hash."""
    with pytest.raises(VerificationError, match="too short"):
        tiles.reader_from_tiles(filled(9).read, 10)(0, 9)


def test_widths_are_those_of_the_specification() -> None:
    """A tree of 70,000 leaves has the tiles that C2SP's example counts."""
    widths = [
        [tiles.tile_width(level, index, 70_000) for index in (0, 1, 272, 273, 274)]
        for level in (0, 1, 2, 3)
    ]
    assert widths == [
        [256, 256, 256, 112, 0],
        [256, 17, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert tiles.tile_width("entries", 273, 70_000) == 112


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (tiles.TileId(0, 0), "tile/0/000"),
        (tiles.TileId(0, 1234, 17), "tile/0/x001/234.p/17"),
        (tiles.TileId(1, 1234067), "tile/1/x001/x234/067"),
        (tiles.TileId(63, 999, 255), "tile/63/999.p/255"),
        (tiles.TileId("entries", 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile: tiles.TileId, path: str) -> None:
    """A tile has one path, written and read alike."""
    assert tiles.tile_path(tile.level, tile.index, tile.width) == path
    assert tiles.parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/-01",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000p/1",
        "tile/0/\u0660\u0660\u0660",
        "tile/data/000",
        "tile/entries/../000",
        "tile/0/x999/x999/x999/x999/x999/999",
        "tile/0/x001/x000/x000/x000/x000/x000/000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    """Whatever is not exactly the path of a tile is refused."""
    with pytest.raises(ParseError):
        tiles.parse_tile_path(path)


@settings(deadline=None, max_examples=100)
@given(
    level=st.one_of(st.just("entries"), st.integers(0, 63)),
    index=st.integers(0, merkle.TREE_SIZE_MAX - 1),
    width=st.integers(1, 256),
)
def test_paths_round_trip(level: tiles.TileLevel, index: int, width: int) -> None:
    """Every tile is read back from its path."""
    path = tiles.tile_path(level, index, width)
    assert tiles.parse_tile_path(path) == tiles.TileId(level, index, width)


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 2**53, 1)],
)
def test_no_path_for_an_impossible_tile(level: tiles.TileLevel, index: int, width: int) -> None:
    """A tile that cannot be has no path."""
    with pytest.raises(ParseError):
        tiles.tile_path(level, index, width)


@settings(deadline=None, max_examples=50)
@given(entries=st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    """A bundle gives its entries back."""
    data = tiles.encode_entries(entries)
    assert tiles.decode_entries(data, len(entries)) == tuple(entries)


def test_bundle_layout() -> None:
    """Each entry stands behind its length, uint16 big-endian."""
    assert tiles.encode_entries([b"", b"ab", b"\x00" * 258]) == (
        b"\x00\x00" + b"\x00\x02ab" + b"\x01\x02" + b"\x00" * 258
    )


@pytest.mark.parametrize("entries", [[], [b""] * 257, [b"\x00" * 65536]])
def test_impossible_bundle_is_not_written(entries: list[bytes]) -> None:
    """A bundle holds 1 to 256 entries of at most 65,535 bytes."""
    with pytest.raises(ParseError):
        tiles.encode_entries(entries)


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"", 1),
        (b"\x00", 1),
        (b"\x00\x02a", 1),
        (b"\x00\x01ab", 1),
        (b"\x00\x01a\x00", 2),
        (b"\x00\x01a", 2),
        (b"\x00\x01a\x00\x01b", 1),
        (b"", 0),
        (b"\x00\x00" * 257, 257),
    ],
)
def test_malformed_bundle_is_refused(data: bytes, width: int) -> None:
    """A bundle that is cut, or has another number of entries, is refused."""
    with pytest.raises(ParseError):
        tiles.decode_entries(data, width)
