"""The directory log's pass: read, its files fetched as it asks for them, and folded entry by entry.

May import asyncio and the auditor's own rooms; `verify` runs it for each generation. What was read is kept,
so that other processes can fold the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from broker.audit.directory import DirectoryAudit
from broker.audit.growth import Growth
from broker.audit.leaves import OpenedLeaf
from broker.audit.pipeline import How
from broker.audit.reading import LogReader, LogSource, ask
from broker.audit.rules import Findings
from broker.audit.workers import KnownDirectory
from keys.tuf_files import Fetch, TrustFileMissing
from schemas.directory import Invitation

T = TypeVar("T")


class DirectoryPass:
    """Folds one directory log after the other.

    Args:
        source: gives trust files.
        directory: checks and folds.
        findings: where what is wrong goes.
        how: as the audit is done.
    """

    def __init__(
        self, source: LogSource, directory: DirectoryAudit, findings: Findings, how: How
    ) -> None:
        self._source = source
        self._directory = directory
        self._findings = findings
        self._how = how
        self._logs: list[tuple[str, list[OpenedLeaf]]] = []
        self._files: dict[int, dict[str, bytes]] = {}
        self._folded = 0

    def begin(self, origin: str) -> None:
        """Begin with the log of this origin."""
        self._logs.append((origin, []))

    def known(self, invitation: Invitation) -> KnownDirectory:
        """All that was read so far, for other processes."""
        logs = tuple((origin, tuple(leaves)) for origin, leaves in self._logs)
        return KnownDirectory(invitation.exchange, invitation.root, logs, self._files)

    async def run(self, reader: LogReader, size: int, growth: Growth) -> None:
        """Fold every entry of the log, and rebuild its tree.

        Args:
            reader: of the log.
            size: in entries.
            growth: of its tree.
        """
        async for batch in reader.batches():
            self._findings.merge(batch.findings)
            for settled in batch.leaves:
                growth.add(settled.leaf)
                if settled.opened is None:
                    self._directory.skip()
                else:
                    await self._fold(settled.opened)
            self._how.progress("directory", batch.start + len(batch.leaves), size)
            for tile in growth.tree.take_full_tiles():
                await reader.check_tile(tile)
        for tile in growth.tree.partial_tiles():
            await reader.check_tile(tile)
        growth.finish()

    async def _fold(self, leaf: OpenedLeaf) -> None:
        read = self._files.setdefault(self._folded, {})

        def fold(fetch: Fetch) -> None:
            def noting(name: str, size_bytes_max: int) -> bytes:
                data = fetch(name, size_bytes_max)
                read[str(name)] = data
                return data

            self._directory.add(leaf, noting)

        try:
            await self.with_files(fold)
        except TrustFileMissing as missing:
            self._directory.give_up(leaf, str(missing))
        self._logs[-1][1].append(leaf)
        self._folded += 1

    async def with_files(self, judge: Callable[[Fetch], T]) -> T:
        """Judge something that asks for trust files by name, up to a size in bytes.

        Raises:
            TrustFileMissing: the hub does not serve one, or not as it was signed.
        """
        loop = asyncio.get_running_loop()

        def fetch(name: str, size_bytes_max: int) -> bytes:
            # A directory names its files one after the other: its reader waits in a thread of its own.
            call = ask(self._source.trust_file(name))
            data = asyncio.run_coroutine_threadsafe(call, loop).result()
            if data is None or len(data) > size_bytes_max:
                raise TrustFileMissing(f"the hub does not serve {name}, or not as it was signed")
            return data

        return await asyncio.to_thread(judge, fetch)
