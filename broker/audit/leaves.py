"""One leaf as the hub shows it three times (tile, entry bundle, opening), and which of them is the tree's.

Pure; may import `broker.tlog` and `schemas`. The reader fills it, the audits of the two logs take what opens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from broker.audit.rules import Findings, LogName
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import exchange_leaf
from schemas.receipts import Opening
from schemas.statements import Statement

NO_OPENING: Final = "the hub gave no opening of this leaf"

UNKNOWN_LEAF: Final = bytes(32)
"""Stands for a leaf that the hub does not show at all; no tree with it has the signed root."""

MayBeGone = Callable[[int, bytes], bool]
"""Whether a leaf, by its index and its hash of 32 bytes, may be without an opening."""


def all_open(_index: int, _leaf: bytes) -> bool:
    """Nothing was ordered to be destroyed."""
    return False


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
    """The leaf hash that the tree is rebuilt with, and what stands behind it if that opened.

    `is_destroyed`: it did not, as the council ordered.
    """

    leaf: bytes
    opened: OpenedLeaf | None
    is_destroyed: bool = False


@dataclass(frozen=True, slots=True)
class LeafAnswers:
    """The leaf hash (32 bytes) that each answer of the hub amounts to; None where there is none.

    `tile` stands in the tile, `told` is that of the bundle's entry, `shown` that of the opening.
    """

    log: LogName
    served: ServedLeaf
    tile: bytes | None
    told: bytes | None
    shown: bytes | None

    @classmethod
    def of(cls, log: LogName, served: ServedLeaf) -> LeafAnswers:
        """Hash what the hub serves of one leaf."""
        told = None if served.data is None else leaf_hash(served.data)
        shown = None if served.opening is None else _leaf_of(log, served.opening)
        return cls(log, served, served.tile_hash, told, shown)

    @property
    def disputed(self) -> bool:
        """Whether two answers contradict each other."""
        return len({self.tile, self.told, self.shown} - {None}) > 1

    def settle(
        self,
        findings: Findings,
        may_be_gone: MayBeGone = all_open,
        *,
        tiles_are_signed: bool,
    ) -> SettledLeaf:
        """Decide what the leaf is, and report which answers about it are wrong.

        Args:
            may_be_gone: whether its opening may have been destroyed, by its index and hash.
            tiles_are_signed: whether the tiles of level 0 make the root that the hub signed. If so, they
                are right. Else two answers that agree outvote the third.
        """
        leaf = self._leaf(tiles_are_signed)
        index, opening = self.served.index, self.served.opening
        if self.tile not in (None, leaf):
            findings.add(self.log, index, "tile", "the tile of level 0 has another hash here")
        # Bundle and opening of one altered entry are one finding.
        if self.told not in (None, leaf, self.shown):
            findings.add(self.log, index, "bundle", "the entry bundle holds another entry here")
        if opening is None and may_be_gone(index, leaf):
            return SettledLeaf(leaf, None, is_destroyed=True)
        if opening is None:
            findings.add(self.log, index, "opening-missing", NO_OPENING)
            return SettledLeaf(leaf, None)
        if self.shown != leaf:
            findings.add(self.log, index, "opening", "the opening does not hash to this leaf")
            return SettledLeaf(leaf, None)
        return SettledLeaf(leaf, OpenedLeaf(index, leaf, opening.entry, opening.statement))

    def _leaf(self, tiles_are_signed: bool) -> bytes:
        if self.told is not None and self.told == self.shown and not tiles_are_signed:
            return self.told
        return self.tile or self.told or self.shown or UNKNOWN_LEAF


def _leaf_of(log: LogName, opening: Opening) -> bytes | None:
    """The leaf that an opening makes; only the exchange log's leaves are salted."""
    if log == "directory":
        return leaf_hash(opening.entry) if opening.salt is None else None
    return None if opening.salt is None else exchange_leaf(opening.salt, opening.entry)
