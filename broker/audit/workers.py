"""Examining entries on all cores: processes that each know the directory log, and answer in order.

May import `keys`, concurrent.futures and the auditor's own rooms; `verify` hands batches in. What a worker
answers is the same that this process would: how many there are changes nothing but the time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from broker.audit.examining import Examined, examine
from broker.audit.leaves import OpenedLeaf
from keys.history import DirectoryHistory
from keys.tuf_files import TrustFileMissing

ENTRIES_FOR_WORKERS_MIN: Final = 2048
"""Entries below which starting processes, a second of each, takes longer than it saves."""


@dataclass(frozen=True, slots=True)
class KnownDirectory:
    """The directory logs as they were audited: what a worker needs to judge as this process does.

    Args:
        exchange: its name.
        initial_root: the exact bytes of the trust root.
        logs: by generation, the origin and the entries.
        files: TUF files by name; of one name, all that were read, the newest last.
    """

    exchange: str
    initial_root: bytes
    logs: tuple[tuple[str, tuple[OpenedLeaf, ...]], ...]
    files: Mapping[int, Mapping[str, bytes]]

    def fold(self) -> DirectoryHistory:
        """Fold the logs again."""
        history = DirectoryHistory(self.exchange, self.initial_root, self.logs[0][0])
        number = 0
        for generation, (origin, leaves) in enumerate(self.logs):
            if generation:
                history.begin(origin)
            for leaf in leaves:
                files = self.files.get(number, {})

                def fetch(
                    name: str, size_bytes_max: int, files: Mapping[str, bytes] = files
                ) -> bytes:
                    if name not in files or len(files[name]) > size_bytes_max:
                        raise TrustFileMissing(name)
                    return files[name]

                history.apply(leaf.index, leaf.leaf.hex(), leaf.entry, leaf.statement, fetch)
                number += 1
        return history


class Workers:
    """Processes that examine batches of entries.

    Args:
        known: the directory logs.
        jobs: how many.
    """

    def __init__(self, known: KnownDirectory, jobs: int) -> None:
        self._pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(known,),
        )

    def submit(self, leaves: Sequence[OpenedLeaf]) -> Future[list[Examined]]:
        """Have a batch examined. A worker that dies breaks all that wait: never a pass."""
        return self._pool.submit(_examine, tuple(leaves))

    def close(self) -> None:
        """End the processes; what they were doing is given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """How many processes may run at once."""
    return len(os.sched_getaffinity(0))


_known: KnownDirectory | None = None
_history: DirectoryHistory | None = None


def _begin(known: KnownDirectory) -> None:
    global _known, _history
    # Ctrl-C is for the process that a person started: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _known, _history = known, known.fold()


def _examine(leaves: tuple[OpenedLeaf, ...]) -> list[Examined]:
    if _known is None or _history is None:
        raise RuntimeError("a worker examines nothing before it knows the directory")
    return [examine(leaf, _known.exchange, _history) for leaf in leaves]
