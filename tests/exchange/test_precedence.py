"""Precedence at the commit point: a flash does not wait behind others, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from broker.hub import sequencer
from broker.hub.sequencer import LAST_RANK, Sequencer
from schemas.errors import Problem
from tests.exchange.live import run


class Noting:
    """Commits nothing, and notes the batches."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def commit(self, works: Sequence[Any], nonces: Sequence[tuple[str, int]] = ()) -> list[Any]:
        """As a ledger."""
        self.batches.append(list(works))
        return list(works)


def _told(calls: list[tuple[str, int, int]]) -> tuple[list[list[Any]], list[Any]]:
    """Submit (name, rank, size in bytes) before the sequencer begins; its batches, and the answers."""

    async def story() -> tuple[list[list[Any]], list[Any]]:
        noting = Noting()
        queue = Sequencer(noting)
        tasks = []
        for name, rank, size_bytes in calls:
            call: Any = queue.submit(name, rank=rank, size_bytes=size_bytes)  # type: ignore[arg-type]
            tasks.append(asyncio.create_task(call))
        await asyncio.sleep(0)
        queue.start()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        # What was answered makes room.
        assert queue._size_bytes == 0
        await queue.stop()
        return noting.batches, answers

    result: tuple[list[list[Any]], list[Any]] = run(story())
    return result


def test_batches_go_by_rank_then_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most urgent first, and among equals who came first; expiry behind all."""
    monkeypatch.setattr(sequencer, "BATCH_ENVELOPES_MAX", 3)
    ranks = (LAST_RANK, 3, 3, 0, 2, 3, 1, 0)
    batches, _ = _told([(f"{n}:{rank}", rank, 0) for n, rank in enumerate(ranks)])
    assert batches == [["3:0", "7:0", "6:1"], ["4:2", "1:3", "2:3"], ["5:3", "0:4"]]


def test_a_full_queue_has_room_for_a_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Routine is told to come back; a flash is taken, until a quarter more is waiting."""
    monkeypatch.setattr(sequencer, "QUEUE_MAX", 8)
    calls = [("r", 3, 0)] * 9 + [("f", 0, 0)] * 3
    _, answers = _told(calls)
    words = [each.word if isinstance(each, Problem) else each for each in answers]
    assert words == [*["r"] * 8, "busy", "f", "f", "busy"]


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few that are large fill the queue as many small ones do; of a flash a quarter more is taken."""
    monkeypatch.setattr(sequencer, "QUEUE_BYTES_MAX", 100)
    calls = [("a", 3, 60), ("b", 3, 41), ("c", 3, 40), ("f", 0, 25), ("g", 0, 1), ("h", 0, 0)]
    _, answers = _told(calls)
    words = [each.word if isinstance(each, Problem) else each for each in answers]
    assert words == ["a", "busy", "c", "f", "busy", "h"]
