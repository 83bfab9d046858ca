"""Logs of others, as their own tests hold them: notes, tiles and bundles are read, and come out the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.tlog.checkpoint import Checkpoint, open_checkpoint
from broker.tlog.merkle import HashReader, consistency_path, inclusion_path, leaf_hash, root
from broker.tlog.note import Ed25519NoteVerifier
from broker.tlog.proof import verify_consistency, verify_inclusion
from broker.tlog.tiles import (
    append,
    decode_entries,
    encode_entries,
    parse_tile_path,
    reader_from_tiles,
    tile_path,
    tile_width,
)
from schemas.errors import ParseError, VerificationError
from tests.unit.tlog.foreign import load, verifier

TESSERA = load("tessera")
SIZE = 15
TesseraAt = Callable[[int], Checkpoint]


@pytest.fixture(scope="module")
def tessera() -> TesseraAt:
    """Tessera's checkpoint at a size, opened with its key."""
    key = verifier(TESSERA["vkey"])

    def at(size: int) -> Checkpoint:
        text: str = TESSERA["files"][f"checkpoint.{size}"]
        return open_checkpoint(text, key.key.name, [key]).checkpoint

    return at


def _tile(size: int) -> bytes:
    return bytes.fromhex(TESSERA["files"][tile_path(0, 0, size)])


def _entries(size: int) -> tuple[bytes, ...]:
    return decode_entries(bytes.fromhex(TESSERA["files"][tile_path("entries", 0, size)]), size)


def _reader(size: int) -> HashReader:
    return reader_from_tiles(lambda _level, _index: _tile(size), size)


@pytest.mark.parametrize("size", range(SIZE + 1))
def test_tessera_each_checkpoint_is_of_its_tiles(tessera: TesseraAt, size: int) -> None:
    """Note, root, tile and bundle of every size from the empty log on, and Barid makes the same bytes."""
    signed = tessera(size)
    assert signed.size == size
    assert root(size, _reader(size)) == signed.root
    if size:
        entries = _entries(size)
        assert encode_entries(entries).hex() == TESSERA["files"][tile_path("entries", 0, size)]
        made = append(0, lambda _level, _index: b"", [leaf_hash(each) for each in entries])
        assert made.tiles == {(0, 0): _tile(size)}


def test_tessera_every_leaf_is_proved(tessera: TesseraAt) -> None:
    """Proofs that Barid makes out of Tessera's tiles lead to the roots that Tessera signed; others do not."""
    for size in range(1, SIZE + 1):
        signed, entries = tessera(size), _entries(size)
        for index in range(size):
            path = inclusion_path(index, size, _reader(size))
            verify_inclusion(leaf_hash(entries[index]), index, size, path, signed.root)
            with pytest.raises(VerificationError):
                verify_inclusion(leaf_hash(b"zero"), index, size, path, signed.root)


def test_tessera_the_log_only_grew(tessera: TesseraAt) -> None:
    """Each of its trees is the beginning of each later one, and of no other."""
    for new in range(1, SIZE + 1):
        for old in range(new + 1):
            path = consistency_path(old, new, _reader(new))
            verify_consistency(old, tessera(old).root, new, tessera(new).root, path)
            if 0 < old < new:
                with pytest.raises(VerificationError):
                    verify_consistency(old, tessera(old - 1).root, new, tessera(new).root, path)


def test_tessera_an_altered_note_does_not_open(tessera: TesseraAt) -> None:
    """Another size, another root, another origin, and a key that did not sign."""
    text: str = TESSERA["files"]["checkpoint.7"]
    key = verifier(TESSERA["vkey"])
    origin = key.key.name
    assert tessera(7).origin == origin
    altered = (text.replace("\n7\n", "\n6\n"), text.replace("\n7\n", "\n07\n"), text[:-3] + "=\n")
    for each in altered:
        with pytest.raises((VerificationError, ParseError)):
            open_checkpoint(each, origin, [key])
    with pytest.raises(VerificationError):
        open_checkpoint(text, "example.com/log/other", [key])
    with pytest.raises(VerificationError):
        open_checkpoint(text, origin, [Ed25519NoteVerifier(origin, bytes(range(32)))])


def test_sunlight_the_mirrored_log_is_of_its_tiles() -> None:
    """Full and partial tiles of two levels make the root that Sunlight's mirror cosigned (Ed25519, 0x04)."""
    mirror = load("sunlight")["mirror"]
    key = verifier(mirror["vkey"])
    opened = open_checkpoint(mirror["checkpoint"], "rome2026h1.example.org", [key])
    size = opened.checkpoint.size
    assert [each.at for each in opened.signatures] == [1_767_139_200]
    named = [(0, 0), (0, 1), (1, 0)]
    paths = {tile_path(*each, tile_width(*each, size)): each for each in named}
    assert set(paths) == set(mirror["tiles"])
    tiles = {paths[path]: bytes.fromhex(data) for path, data in mirror["tiles"].items()}
    reader = reader_from_tiles(lambda level, index: tiles[level, index], size)
    assert root(size, reader) == opened.checkpoint.root
    leaves = [leaf_hash(b"record %d" % index) for index in range(size)]
    assert append(0, lambda _level, _index: b"", leaves).tiles == tiles


@pytest.mark.parametrize("number", [0, 1])
def test_sunlight_its_witnesses_verify(number: int) -> None:
    """Beside a line of a type that Barid does not know, and without any line of the log."""
    witness = load("sunlight")["witnesses"][number]
    key = verifier(witness["vkey"])
    text: str = witness["checkpoint"]
    opened = open_checkpoint(text, text.split("\n", 1)[0], [key])
    assert (opened.checkpoint.size, len(opened.signatures)) == (300, 1)
    with pytest.raises(VerificationError):
        open_checkpoint(text.replace("\n300\n", "\n301\n"), text.split("\n", 1)[0], [key])


def test_c2sp_paths_and_widths_of_tiles() -> None:
    """The examples of tlog-tiles."""
    c2sp = load("c2sp")
    path = f"tile/0/{c2sp['path_of_1234067']}"
    assert tile_path(0, 1_234_067) == path
    assert parse_tile_path(path).index == 1_234_067
    for level, (full, partial) in c2sp["widths_at_70000"].items():
        widths = [tile_width(int(level), index, 70_000) for index in range(full + 2)]
        assert widths == [256] * full + [partial, 0]
