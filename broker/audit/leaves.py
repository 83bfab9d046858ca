"""One leaf as the hub shows it three times (tile, entry bundle, opening), and which of them is the tree's.

Pure; may import `broker.tlog` and `schemas`. The reader fills it, the audits of the two logs take what opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from broker.audit.rules import Findings, LogName
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import exchange_leaf
from schemas.receipts import Opening
from schemas.statements import Statement

UNKNOWN_LEAF: Final = bytes(32)
"""Stands for a leaf that the hub does not show at all; no tree with it has the signed root."""


@dataclass(frozen=True, slots=True)
class ServedLeaf:
    """What the hub serves of one leaf; None where it serves nothing readable.

    `tile_hash` stands in the tile of level 0 (32 bytes), `data` in the entry bundle.
    """

    index: int
    tile_hash: bytes | None
    data: bytes | None
    opening: Opening | None


@dataclass(frozen=True, slots=True)
class OpenedLeaf:
    """A leaf whose entry is known: `entry` is the exact bytes that `leaf` (32 bytes) was made of."""

    index: int
    leaf: bytes
    entry: bytes
    statement: Statement | None


@dataclass(frozen=True, slots=True)
class SettledLeaf:
    """The leaf hash that the tree is rebuilt with, and what stands behind it if that opened."""

    leaf: bytes
    opened: OpenedLeaf | None


def settle(log: LogName, served: ServedLeaf, findings: Findings) -> SettledLeaf:
    """Decide what a leaf is, and report which of the hub's three answers about it is wrong.

    Two answers that agree outvote the third, so that one alteration is one finding; the root, which the
    hub signed, then judges them together.
    """
    told = None if served.data is None else leaf_hash(served.data)
    shown = None if served.opening is None else _leaf_of(log, served.opening)
    leaf = _majority(served.tile_hash, told, shown)
    if served.tile_hash not in (None, leaf):
        findings.add(log, served.index, "tile", "the tile of level 0 has another hash here")
    if told not in (None, leaf):
        findings.add(log, served.index, "bundle", "the entry bundle holds another entry here")
    if served.opening is None:
        findings.add(log, served.index, "opening-missing", "the hub gave no opening of this leaf")
        return SettledLeaf(leaf, None)
    if shown != leaf:
        findings.add(log, served.index, "opening", "the opening does not hash to this leaf")
        return SettledLeaf(leaf, None)
    opening = served.opening
    return SettledLeaf(leaf, OpenedLeaf(served.index, leaf, opening.entry, opening.statement))


def _leaf_of(log: LogName, opening: Opening) -> bytes | None:
    """The leaf that an opening makes; only the exchange log's leaves are salted."""
    if log == "directory":
        return leaf_hash(opening.entry) if opening.salt is None else None
    return None if opening.salt is None else exchange_leaf(opening.salt, opening.entry)


def _majority(tile: bytes | None, told: bytes | None, shown: bytes | None) -> bytes:
    if told is not None and told == shown:
        return told
    return tile or told or shown or UNKNOWN_LEAF
