"""kill -9 of the hub at every commit point, under load: what was acknowledged is in the log, once."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from broker.tlog.tiles import TILE_WIDTH
from schemas.envelope import Envelope
from schemas.receipts import Receipt
from tests.exchange.live import LiveHub, run
from tests.faults.crashing_hub import POINTS
from tests.faults.hub_process import (
    START_SECONDS,
    check_receipts,
    logged_leaves,
    make_hub,
    seal,
    spawn,
    submit_all,
    until_it_answers,
)

ENVELOPES = 24
CRASH_AFTER = 9
AT_ONCE = 4


@pytest.fixture
def prepared(tmp_path: Path) -> LiveHub:
    """A hub whose recipients have keys; it serves no more."""
    return make_hub(tmp_path / "hub")


def _spawn(hub: LiveHub, point: str, after: int) -> subprocess.Popen[bytes]:
    return spawn(hub, "crashing_hub", point, str(after))


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(prepared: LiveHub, point: str) -> None:
    """Killed at a commit point: every receipt holds afterwards, and each envelope is logged once."""
    hub = prepared
    envelopes = seal(hub, ENVELOPES)
    process = _spawn(hub, point, CRASH_AFTER)
    run(until_it_answers(hub, process))
    receipts = run(submit_all(hub, envelopes, AT_ONCE))
    assert process.wait(START_SECONDS) == -signal.SIGKILL
    assert len(receipts) < ENVELOPES
    check_receipts(hub, receipts)
    _finish(hub, envelopes, receipts)


def _finish(hub: LiveHub, envelopes: list[Envelope], receipts: dict[int, Receipt]) -> None:
    process = _spawn(hub, "never", 0)
    try:
        run(until_it_answers(hub, process))
        again = run(submit_all(hub, envelopes, AT_ONCE))
    finally:
        process.kill()
        process.wait()
    assert len(again) == ENVELOPES
    assert {n: again[n].index for n in receipts} == {n: r.index for n, r in receipts.items()}
    assert sorted(receipt.index for receipt in again.values()) == list(range(ENVELOPES))
    places = sorted((p.desk, p.n) for r in again.values() for p in r.places)
    expected = [(d, n) for d in ("ne/main", "tn/main") for n in range(1, ENVELOPES + 1)]
    assert places == expected
    assert len(logged_leaves(hub)) == ENVELOPES < TILE_WIDTH
