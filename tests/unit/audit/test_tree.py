"""The auditor's own tree against the log's, and growth against roots that were expected."""

from __future__ import annotations

import hashlib

import pytest

from broker.audit.growth import Growth
from broker.audit.rules import Finding, Findings
from broker.audit.tree import GrowingTree, RebuiltTile
from broker.tlog import merkle, tiles


def _leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]


def _no_tile(_level: int, _index: int) -> bytes:
    return b""


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 513, 65536, 65537])
def test_root_and_tiles_are_those_of_the_log(size: int) -> None:
    """The tree that grows leaf by leaf has the root and the tiles that the log's own code makes."""
    leaves = _leaves(size)
    logged = tiles.append(0, _no_tile, leaves).tiles
    tree = GrowingTree()
    for leaf in leaves:
        tree.add(leaf)
    read = tiles.reader_from_tiles(lambda level, index: logged[level, index], size)
    rebuilt = [*tree.take_full_tiles(), *tree.partial_tiles()]
    assert tree.root() == merkle.root(size, read)
    assert {(t.level, t.index): t.hashes for t in rebuilt} == {
        key: hashes for key, hashes in logged.items() if key[0] > 0
    }
    assert len(rebuilt) == len({(t.level, t.index) for t in rebuilt})


def test_full_tiles_are_taken_once() -> None:
    """A tile above level 0 is handed out when it becomes full, and not again."""
    tree = GrowingTree()
    for leaf in _leaves(65536):
        tree.add(leaf)
    assert [(t.level, t.index, t.width) for t in tree.take_full_tiles()] == [(1, 0, 256)]
    assert tree.take_full_tiles() == []
    assert [(t.level, t.index, t.width) for t in tree.partial_tiles()] == [(2, 0, 1)]


def test_width_counts_hashes() -> None:
    """A tile's width is its number of hashes."""
    assert RebuiltTile(1, 0, bytes(96)).width == 3


@pytest.mark.parametrize("size", [0, 1, 5, 8])
def test_growth_reports_the_root_that_differs(size: int) -> None:
    """A root expected at a size is compared there, and its finding reported if it differs."""
    findings = Findings()
    growth = Growth(findings)
    honest = GrowingTree()
    for leaf in _leaves(size):
        honest.add(leaf)
    growth.expect(size, honest.root(), Finding("exchange", None, "root", "the honest root"))
    growth.expect(size, bytes(32), Finding("exchange", 7, "log-forked", "another root"))
    for leaf in _leaves(8):
        growth.add(leaf)
    assert findings.listed == [Finding("exchange", 7, "log-forked", "another root")]
