"""The sequencer: one task that commits whatever arrived while the last commit ran.

May import asyncio and the hub's ledger; routes submit works and wait, nothing else calls the ledger while the
hub serves. The queue serves by rank and is bounded: who comes when it is full is told to come back.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from broker.hub.ledger import Work
from schemas.errors import Problem
from schemas.limits import BATCH_ENVELOPES_MAX

NONCES_MAX: Final = 65_536
"""Nonces that wait to be written: where nothing else is, two minutes' of 500 reading requests a second. A
nonce lives no longer than that, and the oldest go first."""

QUEUE_MAX: Final = 4 * BATCH_ENVELOPES_MAX
"""Works waiting: a few batches, about 40 MB of ordinary envelopes."""

QUEUE_BYTES_MAX: Final = 128 * 1024 * 1024
"""Bytes of what waits or is being written, as it was submitted: as many envelopes of the largest size as
there may be works would be 4 GiB."""

_MORE_FOR_FLASH: Final = 5 / 4
"""Those of rank 0 may be a quarter more, in works and in bytes: a queue that is full of others turns no
flash away."""

LAST_RANK: Final = 4
"""Behind every envelope: what nobody waits for."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Work
    answer: asyncio.Future[Any]
    size_bytes: int


class Commits(Protocol):
    """What commits a batch: the ledger, or what watches it."""

    def commit(self, works: Sequence[Work], nonces: Sequence[tuple[str, int]] = ()) -> list[Any]:
        """As `Ledger.commit`."""


class Sequencer:
    """Puts works in order, a batch at a time, on a thread of its own."""

    def __init__(self, ledger: Commits) -> None:
        self._ledger = ledger
        # The number keeps the order of arrival within one rank, and works from being compared.
        self._queue: asyncio.PriorityQueue[tuple[int, int, _Waiting]] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._size_bytes = 0
        self._nonces: deque[tuple[str, int]] = deque(maxlen=NONCES_MAX)
        self._executor = ThreadPoolExecutor(1, "sequencer")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; called once the event loop runs."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End after the batch at hand; what still waits is not answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._executor.shutdown)

    @property
    def waiting(self) -> int:
        """How many works wait for the next batch."""
        return self._queue.qsize()

    def remember(self, nonce: str, expires: int) -> None:
        """Have a request's nonce written with the next batch."""
        self._nonces.append((nonce, expires))

    async def submit(self, work: Work, *, rank: int = 0, size_bytes: int = 0) -> Any:
        """Have a work written; returns its answer once the disk has it.

        Args:
            work: what to write.
            rank: of an envelope's precedence, 0 for flash; small works of members go first as well.
            size_bytes: of what was submitted, which is held in memory until it is answered.

        Raises:
            Problem: what the work raised, or `busy`.
        """
        share = _MORE_FOR_FLASH if rank == 0 else 1
        if self._queue.qsize() >= QUEUE_MAX * share:
            raise Problem("busy", f"{self._queue.qsize()} submissions are waiting")
        if self._size_bytes + size_bytes > QUEUE_BYTES_MAX * share:
            raise Problem("busy", f"{self._size_bytes} bytes of submissions are waiting")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._size_bytes += size_bytes
        self._queue.put_nowait((rank, next(self._numbers), _Waiting(work, answer, size_bytes)))
        return await answer

    async def _run(self) -> None:
        while True:
            waiting = [(await self._queue.get())[-1]]
            while len(waiting) < BATCH_ENVELOPES_MAX and not self._queue.empty():
                waiting.append(self._queue.get_nowait()[-1])
            results = await self._commit([each.work for each in waiting])
            self._size_bytes -= sum(each.size_bytes for each in waiting)
            self._answer(waiting, results)

    async def _commit(self, works: list[Work]) -> list[Any]:
        """Commit a batch; a work that fails as none should is found, and takes no other with it."""
        nonces = list(self._nonces)
        self._nonces.clear()
        commit = partial(self._ledger.commit, works, nonces)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, commit)
        except Exception as error:  # noqa: BLE001 - whatever failed, everybody who waits must hear of it
            self._nonces = deque([*nonces, *self._nonces], NONCES_MAX)
            if isinstance(error, Problem) or len(works) == 1:
                return [error] * len(works)
        return [result for work in works for result in await self._commit([work])]

    def _answer(self, waiting: list[_Waiting], results: Iterable[Any]) -> None:
        for each, result in zip(waiting, results, strict=True):
            if each.answer.cancelled():
                continue
            if isinstance(result, Exception):
                each.answer.set_exception(result)
            else:
                each.answer.set_result(result)
