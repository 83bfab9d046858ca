"""Reading the hub: tiles, entry bundles, openings and trust files, one tile's width at a time.

May import `broker.tlog` and `schemas`; the only input of an audit. What is missing or unreadable is a
finding or a gap, and never stops the audit; a hub that does not answer does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from broker.audit.leaves import (
    UNKNOWN_LEAF,
    LeafAnswers,
    MayBeGone,
    OpenedLeaf,
    ServedLeaf,
    SettledLeaf,
    all_open,
)
from broker.audit.rules import Findings, LogName
from broker.audit.tree import GrowingTree, RebuiltTile
from broker.client import TrustFileAbsent
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.merkle import HASH_BYTES, leaf_hash
from broker.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, decode_entries, tile_path, tile_width
from schemas.errors import Fault, Finality, HubUnreachable, ParseError, Problem
from schemas.receipts import Opening, OpeningsPage

_EMPTY_TILES_MAX: Final = 4
"""Tiles in a row of which the hub shows nothing; behind them nothing more is asked for."""

Answer = TypeVar("Answer")


class LogSource(Protocol):
    """The calls of `broker.client.HubClient` that an audit makes."""

    async def checkpoint(self, log: str, generation: int) -> str:
        """The newest signed checkpoint, as note text."""

    async def witnessed(self, log: str, generation: int) -> str | None:
        """The newest checkpoint that a quorum cosigned, as note text."""

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or entry bundle by its path."""

    async def openings(self, log: str, start: int, end: int, generation: int = 1) -> OpeningsPage:
        """What stands behind the leaves start ≤ index < end."""

    async def trust_file(self, name: str) -> bytes:
        """A TUF file by its name; raises TrustFileAbsent."""


async def ask(call: Awaitable[Answer]) -> Answer | None:
    """Await an answer; None when the hub has none, or none that can be read.

    Raises:
        HubUnreachable: the hub did not answer, or says that it cannot now.
        Problem: the hub refuses the auditor itself, as with an unknown request key.
    """
    try:
        return await call
    except (ParseError, TrustFileAbsent):
        return None
    except Problem as problem:
        if problem.word == "not-found":
            return None
        if problem.type.fault is Fault.HUB and problem.type.finality is Finality.RETRYABLE:
            raise HubUnreachable(str(problem)) from problem
        raise


async def read_witnessed(
    source: LogSource, logs: Iterable[LogName], generation: int
) -> dict[LogName, str]:
    """The newest checkpoint of each log that the hub says a quorum cosigned, as note text."""
    shown: dict[LogName, str] = {}
    for log in logs:
        text = await ask(source.witnessed(log, generation))
        if text is not None:
            shown[log] = text
    return shown


@dataclass(frozen=True, slots=True)
class SettledBatch:
    """The leaves of one tile's width, settled, and what was found wrong in how they are served.

    Args:
        start: the index of the first.
    """

    start: int
    leaves: tuple[SettledLeaf, ...]
    findings: Findings

    @property
    def opened(self) -> tuple[OpenedLeaf, ...]:
        """Those that opened."""
        return tuple(leaf.opened for leaf in self.leaves if leaf.opened is not None)


class LogReader:
    """Reads one log of one generation, up to the size of a checkpoint.

    Args:
        checkpoint: whose leaves are read; nothing beyond them is asked for.
        findings: where what is wrong with tiles above level 0 goes.
        may_be_gone: whether a leaf may be without an opening.
    """

    def __init__(
        self,
        source: LogSource,
        log: LogName,
        generation: int,
        checkpoint: Checkpoint,
        findings: Findings,
        may_be_gone: MayBeGone = all_open,
    ) -> None:
        self._source = source
        self._log: LogName = log
        self._generation = generation
        self._size = checkpoint.size
        self._root = checkpoint.root
        self._findings = findings
        self._may_be_gone = may_be_gone
        # Of the batch that is read: reported when it is folded, so that findings stand in the log's order.
        self._found = Findings()
        self._tiles_are_signed: bool | None = None

    async def batches(self, first_tile: int = 0) -> AsyncIterator[SettledBatch]:
        """Every leaf in order from a tile on, a tile's width at a time: 1 to 256 of them.

        It ends early when the hub shows nothing of several tiles: a size is signed more easily than served.
        """
        empty_tiles = 0
        for tile_index in range(first_tile, -(-self._size // TILE_WIDTH)):
            start = tile_index * TILE_WIDTH
            width = tile_width(0, tile_index, self._size)
            tile, bundle, openings = await asyncio.gather(
                self._checked_hashes(tile_index, width),
                self._bundle(tile_index, width),
                self.openings(start, start + width),
            )
            served = [
                ServedLeaf(
                    index=start + offset,
                    tile_hash=tile[offset] if tile else None,
                    data=bundle[offset] if bundle else None,
                    opening=openings.get(start + offset),
                )
                for offset in range(width)
            ]
            settled = await self._settle(served)
            found, self._found = self._found, Findings()
            yield SettledBatch(start, tuple(settled), found)
            empty_tiles = 0 if tile or bundle or openings else empty_tiles + 1
            if empty_tiles == _EMPTY_TILES_MAX:
                return

    async def leaves(self) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Every leaf hash in order, a tile's width at a time; nothing is opened.

        Gives the index of each tile's first leaf, and its hashes of 32 bytes, as tile and entry bundle have
        them. It ends early as `batches`.
        """
        empty_tiles = 0
        for tile_index in range(-(-self._size // TILE_WIDTH)):
            start, width = tile_index * TILE_WIDTH, tile_width(0, tile_index, self._size)
            tile, bundle = await asyncio.gather(
                self._checked_hashes(tile_index, width), self._bundle(tile_index, width)
            )
            told = None if bundle is None else [leaf_hash(entry) for entry in bundle]
            if tile is not None and told is not None and tile != told:
                index = next(n for n in range(width) if tile[n] != told[n])
                detail = "the entry bundle holds another entry than the tile of level 0"
                self._found.add(self._log, start + index, "bundle", detail)
            found, self._found = self._found, Findings()
            self._findings.merge(found)
            yield start, tile or told or [UNKNOWN_LEAF] * width
            empty_tiles = 0 if tile or told else empty_tiles + 1
            if empty_tiles == _EMPTY_TILES_MAX:
                return

    async def _settle(self, batch: list[ServedLeaf]) -> list[SettledLeaf]:
        """Decide what each leaf is; the first dispute is settled by all tiles against the signed root."""
        answers = [LeafAnswers.of(self._log, served) for served in batch]
        signed = False
        if any(answer.disputed for answer in answers):
            if self._tiles_are_signed is None:
                self._tiles_are_signed = await self._make_root() == self._root
            signed = self._tiles_are_signed
        return [
            answer.settle(self._found, self._may_be_gone, tiles_are_signed=signed)
            for answer in answers
        ]

    async def _make_root(self) -> bytes | None:
        """The root that the tiles of level 0 make alone; None if one is not served."""
        tree = GrowingTree()
        for tile_index in range(-(-self._size // TILE_WIDTH)):
            hashes = await self._hashes(tile_index, tile_width(0, tile_index, self._size))
            if hashes is None:
                return None
            for leaf in hashes:
                tree.add(leaf)
        return tree.root()

    async def check_tile(self, rebuilt: RebuiltTile) -> None:
        """Report a tile above level 0 that is not the one that the leaves make."""
        path = tile_path(rebuilt.level, rebuilt.index, rebuilt.width)
        served = await ask(self._source.tile(self._log, self._generation, path))
        if served != rebuilt.hashes:
            first_leaf = rebuilt.index * TILE_WIDTH << (TILE_HEIGHT * rebuilt.level)
            what = "is missing" if served is None else "is not the one that the leaves make"
            self._findings.add(self._log, first_leaf, "tile", f"{path} {what}")

    async def _checked_hashes(self, index: int, width: int) -> list[bytes] | None:
        hashes = await self._hashes(index, width)
        if hashes is None:
            detail = f"{tile_path(0, index, width)} is missing, or has the wrong size"
            self._found.add(self._log, index * TILE_WIDTH, "tile", detail)
        return hashes

    async def _hashes(self, index: int, width: int) -> list[bytes] | None:
        path = tile_path(0, index, width)
        data = await ask(self._source.tile(self._log, self._generation, path))
        if data is None or len(data) != width * HASH_BYTES:
            return None
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

    async def _bundle(self, index: int, width: int) -> tuple[bytes, ...] | None:
        path = tile_path("entries", index, width)
        data = await ask(self._source.tile(self._log, self._generation, path))
        try:
            return decode_entries(data or b"", width)
        except ParseError as error:
            what = "is missing" if data is None else f"is unreadable: {error}"
            self._found.add(self._log, index * TILE_WIDTH, "bundle", f"{path} {what}")
            return None

    async def openings(self, start: int, end: int) -> dict[int, Opening]:
        """The openings of a range by index; the hub may answer with several pages."""
        found: dict[int, Opening] = {}
        while start < end:
            page = await ask(self._source.openings(self._log, start, end, self._generation))
            fresh = [o for o in page.openings if start <= o.index < end] if page else []
            if not fresh:
                break
            found |= {opening.index: opening for opening in fresh}
            start = max(found) + 1
        return found
