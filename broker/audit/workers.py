"""Examining entries on all cores: processes that each know the directory log, and answer in order.

May import `keys`, concurrent.futures and the auditor's own rooms; `verify` hands batches in. What a worker
answers is the same that this process would: how many there are changes nothing but the time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.audit.examining import Examined, examine
from broker.audit.leaves import OpenedLeaf
from keys.history import DirectoryHistory
from keys.tuf_files import TrustFileMissing

ENTRIES_FOR_WORKERS_MIN: Final = 2048
"""Entries below which starting processes, a second of each, takes longer than it saves."""

_THRESHOLDS: Final = (100_000, 50, 100)
"""New objects, and collections of the generation before, after which garbage is looked for."""


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
        # By a file: a pipe would take it only as fast as each process starts, one after the other.
        with tempfile.NamedTemporaryFile(prefix=".barid-audit-", delete=False) as file:
            pickle.dump(known, file)
        self._file = Path(file.name)
        self._pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._file,),
        )
        # All begin now: the pool else starts one with the next batch, while it may be clearing up dead ones.
        for _ in range(jobs):
            self._pool.submit(_knows)

    def submit(self, leaves: Sequence[OpenedLeaf]) -> Future[list[Examined]]:
        """Have a batch examined. A worker that dies breaks all that wait: never a pass.

        Raises:
            BrokenExecutor: one died before.
        """
        try:
            return self._pool.submit(_examine, tuple(leaves))
        except OSError as error:
            # Just then: the pool had closed what it is woken by, and had not yet said that it is broken.
            raise BrokenExecutor(str(error)) from error

    def close(self) -> None:
        """End the processes; what they were doing is given up."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._file.unlink(missing_ok=True)


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Have Python look for garbage seldom: what an entry is parsed into is much, and holds no cycles.

    At its usual pace that took a third of the time of the process that folds.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def cores() -> int:
    """How many processes may run at once."""
    return len(os.sched_getaffinity(0))


_known: KnownDirectory | None = None
_history: DirectoryHistory | None = None


def _begin(file: Path) -> None:
    global _known, _history
    # Ctrl-C is for the process that a person started: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Written by that process a moment ago, for its user alone (0600).
    known: KnownDirectory = pickle.loads(file.read_bytes())  # noqa: S301
    _known, _history = known, known.fold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def _knows() -> bool:
    return _known is not None


def _examine(leaves: tuple[OpenedLeaf, ...]) -> list[Examined]:
    if _known is None or _history is None:
        raise RuntimeError("a worker examines nothing before it knows the directory")
    return [examine(leaf, _known.exchange, _history) for leaf in leaves]
