"""The exchange log's pass: read, examined on all cores, and folded in order; what was examined is kept.

May import asyncio and the auditor's own rooms; `verify` runs it for each generation. Batches are read ahead
of the fold, and what is wrong in one is reported when it is folded: so the order is the log's own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from broker.audit.examining import Examined
from broker.audit.exchange import ExchangeAudit
from broker.audit.growth import Growth
from broker.audit.journal import Journal, Kept, damaged_journal
from broker.audit.leaves import NO_OPENING
from broker.audit.purges import PurgeAudit
from broker.audit.reading import LogReader, SettledBatch
from broker.audit.rules import Findings, LogName
from broker.audit.workers import (
    ENTRIES_FOR_WORKERS_MIN,
    KnownDirectory,
    Workers,
    rarely_collecting,
)
from broker.tlog.tiles import TILE_WIDTH
from schemas.errors import ConfigurationError, ParseError

Progress = Callable[[LogName, int, int], None]
"""Told of a log how many entries are done, of how many."""

_AHEAD_OF_EACH_JOB: Final = 4
"""Batches read ahead for each process: enough to keep it busy while one is folded."""

_KEPT_AT_ONCE: Final = 64 * TILE_WIDTH
"""Entries after which the journal is written: what a killed audit has to do again."""


def _nothing(_log: LogName, _done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class How:
    """How an audit is done; but for `trees_only` none of it changes what is found.

    Args:
        jobs: processes that examine entries; 1 for none beside this one.
        journal: what earlier audits examined; None to begin with the first entry.
        progress: told how far it is.
        trees_only: open no entry of the exchange log: only its tree is checked, which is fast.
    """

    jobs: int = 1
    journal: Journal | None = None
    progress: Progress = _nothing
    trees_only: bool = False


async def check_tree(how: How, reader: LogReader, size: int, growth: Growth) -> None:
    """Rebuild the exchange log's tree out of tiles and entry bundles; nothing is opened.

    Args:
        how: as the audit is done.
        reader: of the log.
        size: of its tree.
        growth: rebuilds it.
    """
    async for start, leaves in reader.leaves():
        for leaf in leaves:
            growth.add(leaf)
        for tile in growth.tree.take_full_tiles():
            await reader.check_tile(tile)
        how.progress("exchange", start + len(leaves), size)
    for tile in growth.tree.partial_tiles():
        await reader.check_tile(tile)
    growth.finish()


@dataclass
class ExchangePass:
    """One pass over the exchange log of a generation.

    Args:
        how: as the audit is done.
        reader: of the log.
        size: of the tree that is audited.
        origin: of the log.
        growth: rebuilds the tree.
        audit: folds the entries.
        findings: where what is wrong goes.
        known: the directory logs, for other processes.
        purges: what may be without an opening.
        now: the auditor's clock.
        judged_by: the checkpoint of the directory log.
    """

    how: How
    reader: LogReader
    size: int
    origin: str
    growth: Growth
    audit: ExchangeAudit
    findings: Findings
    known: KnownDirectory
    purges: PurgeAudit
    now: datetime
    judged_by: str
    resumed: int = 0
    """Entries that the journal held."""
    _waiting: list[Kept] = field(default_factory=list)

    async def run(self) -> None:
        """Fold every entry of the log."""
        with rarely_collecting():
            await self._fold_all()
        await self._check_tiles()
        self._keep()
        self.growth.finish()
        self.audit.finish()

    async def _fold_all(self) -> None:
        self._go_on()
        first_tile = self.resumed // TILE_WIDTH
        is_large = self.size - self.resumed >= ENTRIES_FOR_WORKERS_MIN
        if self.how.jobs == 1 or not is_large:
            async for batch in self.reader.batches(first_tile):
                await self._fold(batch, [self.audit.examine(leaf) for leaf in batch.opened])
        else:
            workers = Workers(self.known, self.how.jobs)
            try:
                await self._examine_with(workers, first_tile)
            except BrokenExecutor as error:
                detail = "a process that examined entries ended: is there memory for --jobs?"
                raise ConfigurationError(detail) from error
            finally:
                workers.close()

    async def _examine_with(self, workers: Workers, first_tile: int) -> None:
        ahead: deque[tuple[SettledBatch, asyncio.Future[list[Examined]]]] = deque()
        async for batch in self.reader.batches(first_tile):
            ahead.append((batch, asyncio.wrap_future(workers.submit(batch.opened))))
            if len(ahead) > self.how.jobs * _AHEAD_OF_EACH_JOB:
                done, examined = ahead.popleft()
                await self._fold(done, await examined)
        for done, examined in ahead:
            await self._fold(done, await examined)

    def _go_on(self) -> None:
        """Fold what the journal holds; it ends at a tile's end."""
        journal = self.how.journal
        if journal is None:
            return
        journal.forget(self.origin, self.purges.due(self.now))
        size = min(journal.size(self.origin), self.size) // TILE_WIDTH * TILE_WIDTH
        try:
            for kept in journal.read(self.origin, size):
                self.growth.add(kept.leaf)
                if kept.is_destroyed:
                    self._skip_destroyed(kept)
                else:
                    self.audit.add(kept.examined())
                self.resumed += 1
                if self.resumed % TILE_WIDTH == 0:
                    self.how.progress("exchange", self.resumed, self.size)
        except ParseError as error:
            raise damaged_journal() from error
        journal.cut(self.origin, size)
        self.growth.tree.take_full_tiles()

    def _skip_destroyed(self, kept: Kept) -> None:
        is_ordered = self.purges.may_be_gone(kept.index, kept.leaf)
        if not is_ordered:
            self.findings.add("exchange", kept.index, "opening-missing", NO_OPENING)
        self.audit.skip(kept.index, is_destroyed=is_ordered)

    async def _fold(self, batch: SettledBatch, examined: list[Examined]) -> None:
        self.findings.merge(batch.findings)
        found = iter(examined)
        for index, settled in enumerate(batch.leaves, batch.start):
            self.growth.add(settled.leaf)
            if settled.opened is None:
                self.audit.skip(index, is_destroyed=settled.is_destroyed)
                self._note(Kept(index, settled.leaf, b"", None))
                continue
            each = next(found)
            self.audit.add(each)
            self._note(Kept(index, settled.leaf, settled.opened.entry, each.verdict))
        for tile in self.growth.tree.take_full_tiles():
            await self.reader.check_tile(tile)
        self.how.progress("exchange", batch.start + len(batch.leaves), self.size)
        if len(self._waiting) >= _KEPT_AT_ONCE:
            self._keep()

    def _note(self, kept: Kept) -> None:
        if self.how.journal is not None:
            self._waiting.append(kept)

    async def _check_tiles(self) -> None:
        for tile in self.growth.tree.partial_tiles():
            await self.reader.check_tile(tile)

    def _keep(self) -> None:
        """Write what was examined to the journal, up to the first thing that was found."""
        waiting, self._waiting = self._waiting, []
        if self.how.journal is not None and not self.findings.total:
            self.how.journal.add(self.origin, waiting, self.judged_by)
