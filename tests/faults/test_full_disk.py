"""A disk that is full, or a database that another process holds: clear words, nothing half, nothing lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Problem
from schemas.loader import dump_json
from schemas.receipts import Receipt
from tests.exchange.live import LiveHub, run
from tests.faults.hub_process import check_receipts, make_hub, seal, submit_all
from tests.faults.small_disk import fill, small_disk

ENVELOPES = 40
ROOM_BYTES = 400 * 1024


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    """A hub that serves from a small disk."""
    with small_disk(tmp_path / "disk") as disk:
        hub = make_hub(disk / "hub")
        hub.start()
        yield hub
        hub.stop()


async def _refusal(hub: LiveHub, envelope: bytes) -> str:
    async with hub.client("ly/main") as client:
        try:
            await client.submit(envelope)
        except Problem as problem:
            return problem.word
    return "accepted"


def _finish(hub: LiveHub, receipts: dict[int, Receipt], envelopes: list[object]) -> None:
    assert {receipt.index for receipt in receipts.values()} == set(range(len(envelopes)))
    check_receipts(hub, receipts)


def test_a_full_disk_refuses_and_goes_on_once_there_is_room(hub: LiveHub) -> None:
    """What is refused was not logged; the same envelopes are taken once somebody made room."""
    filler = fill(hub.data.parent, ROOM_BYTES)
    envelopes = seal(hub, ENVELOPES)
    before = run(submit_all(hub, envelopes, at_once=4))
    assert 0 < len(before) < ENVELOPES
    refused = [n for n in range(ENVELOPES) if n not in before]
    assert run(_refusal(hub, dump_json(envelopes[refused[-1]]))) == "disk-full"
    check_receipts(hub, before)
    filler.unlink()
    after = run(submit_all(hub, envelopes, at_once=4))
    assert {n: after[n].index for n in before} == {n: r.index for n, r in before.items()}
    _finish(hub, after, list(envelopes))


def test_a_database_that_another_process_holds_is_busy(hub: LiveHub) -> None:
    """Somebody's backup holds the lock for long: the sender hears `busy`, and sends again."""
    (envelope,) = seal(hub, 1)
    holder = sqlite3.connect(hub.data / "hub.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert run(_refusal(hub, dump_json(envelope))) == "busy"
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    _finish(hub, run(submit_all(hub, [envelope], at_once=1)), [envelope])
