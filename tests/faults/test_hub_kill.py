"""kill -9 of the hub at every commit point, under load: what was acknowledged is in the log, once."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker.hub.setup import open_ledger
from broker.tlog.receipt import LogVerifier, verify_receipt
from broker.tlog.tiles import TILE_WIDTH
from keys.keystore import Keystore
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.loader import dump_json
from schemas.receipts import Receipt
from tests.exchange.live import PASSPHRASE, LiveHub, run
from tests.faults.crashing_hub import POINTS

ENVELOPES = 24
CRASH_AFTER = 9
START_SECONDS = 30


def _spawn(hub: LiveHub, point: str, after: int) -> subprocess.Popen[bytes]:
    arguments = [
        sys.executable,
        "-m",
        "tests.faults.crashing_hub",
        str(hub.data),
        point,
        str(after),
    ]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[2])


async def _until_it_answers(hub: LiveHub, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with hub.client("ly/main") as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                await client.checkpoint("exchange", 1)
            except HubUnreachable:
                await asyncio.sleep(0.05)
            else:
                return
    pytest.fail("the hub did not come up")


async def _submit_all(hub: LiveHub, envelopes: list[Envelope]) -> dict[int, Receipt]:
    receipts: dict[int, Receipt] = {}

    async def submit(number: int) -> None:
        try:
            receipts[number] = await client.submit(dump_json(envelopes[number]))
        except (HubUnreachable, Problem):
            return

    async with hub.client("ly/main") as client:
        for start in range(0, len(envelopes), 4):
            await asyncio.gather(*(submit(n) for n in range(start, min(start + 4, len(envelopes)))))
    return receipts


def _log(hub: LiveHub) -> list[str]:
    """The leaves of the whole exchange log as the database has them, after a restart."""
    ledger = open_ledger(hub.data, hub.keystore, hub.now_unix)
    with ledger.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT hex(leaf) FROM entry WHERE log = 'exchange' ORDER BY entry_index"
        ).all()
    ledger.engine.dispose()
    return [row[0].lower() for row in rows]


@pytest.fixture
def prepared(tmp_path: Path) -> LiveHub:
    """A hub whose recipients have keys; it serves no more."""
    hub = LiveHub(tmp_path / "hub")
    hub.start()
    run(hub.announce("tn/main", "ne/main"))
    hub.stop()
    return hub


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(prepared: LiveHub, point: str) -> None:
    """Killed at a commit point: every receipt holds afterwards, and each envelope is logged once."""
    hub = prepared
    envelopes = [hub.seal(hub.outgoing("ly/main"), "tn/main", "ne/main") for _ in range(ENVELOPES)]
    process = _spawn(hub, point, CRASH_AFTER)
    run(_until_it_answers(hub, process))
    receipts = run(_submit_all(hub, envelopes))
    assert process.wait(START_SECONDS) == -signal.SIGKILL
    assert len(receipts) < ENVELOPES
    log = LogVerifier.from_keys(hub.invitation.logs.exchange)
    kept = _log(hub)
    for receipt in receipts.values():
        assert kept[receipt.index] == verify_receipt(receipt, log).leaf.hex()
    _finish(hub, envelopes, receipts)


def _finish(hub: LiveHub, envelopes: list[Envelope], receipts: dict[int, Receipt]) -> None:
    process = _spawn(hub, "never", 0)
    try:
        run(_until_it_answers(hub, process))
        again = run(_submit_all(hub, envelopes))
    finally:
        process.kill()
        process.wait()
    assert len(again) == ENVELOPES
    assert {n: again[n].index for n in receipts} == {n: r.index for n, r in receipts.items()}
    assert sorted(receipt.index for receipt in again.values()) == list(range(ENVELOPES))
    places = sorted((p.desk, p.n) for r in again.values() for p in r.places)
    expected = [(d, n) for d in ("ne/main", "tn/main") for n in range(1, ENVELOPES + 1)]
    assert places == expected
    assert len(_log(hub)) == ENVELOPES < TILE_WIDTH


def test_killed_at_random_moments(prepared: LiveHub) -> None:
    """Killed again and again at random moments, the hub loses nothing that it acknowledged."""
    hub = prepared
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - a failure must be repeatable
    chance = random.Random(seed)
    envelopes = [hub.seal(hub.outgoing("ly/main"), "tn/main", "ne/main") for _ in range(ENVELOPES)]
    receipts: dict[int, Receipt] = {}
    for _ in range(3):
        process = _spawn(hub, "never", 0)
        run(_until_it_answers(hub, process))
        receipts |= run(_killed_meanwhile(hub, envelopes, process, chance.uniform(0.0, 0.3)))
        process.wait()
    assert Keystore.open(hub.data / "keystore", PASSPHRASE).names()
    kept = _log(hub)
    log = LogVerifier.from_keys(hub.invitation.logs.exchange)
    for receipt in receipts.values():
        assert kept[receipt.index] == verify_receipt(receipt, log).leaf.hex()
    _finish(hub, envelopes, receipts)


async def _killed_meanwhile(
    hub: LiveHub, envelopes: list[Envelope], process: subprocess.Popen[bytes], seconds: float
) -> dict[int, Receipt]:
    submitting = asyncio.create_task(_submit_all(hub, envelopes))
    await asyncio.sleep(seconds)
    process.kill()
    return await submitting
