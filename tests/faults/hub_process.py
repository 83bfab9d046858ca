"""A real hub as a process of its own, seen from outside: started, submitted to, and its log read afterwards.

The tests of kills, power cuts and full disks share it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker.hub.setup import open_ledger
from broker.tlog.receipt import LogVerifier, verify_receipt
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.loader import dump_json
from schemas.receipts import Receipt
from tests.exchange.live import LiveHub, run

START_SECONDS = 30

PROJECT = Path(__file__).parents[2]


def make_hub(data: Path) -> LiveHub:
    """A hub whose recipients have keys; it serves no more from this process."""
    hub = LiveHub(data)
    hub.start()
    run(hub.announce("tn/main", "ne/main"))
    hub.stop()
    return hub


def seal(hub: LiveHub, count: int) -> list[Envelope]:
    """Envelopes from Libya to two desks."""
    return [hub.seal(hub.outgoing("ly/main"), "tn/main", "ne/main") for _ in range(count)]


def spawn(
    hub: LiveHub, module: str, *arguments: str, under: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a module of this folder that serves the hub.

    Args:
        under: a command that runs it, as `strace`.
    """
    command = [*under, sys.executable, "-m", f"tests.faults.{module}", str(hub.data), *arguments]
    return subprocess.Popen(command, cwd=PROJECT)


async def until_it_answers(hub: LiveHub, process: subprocess.Popen[bytes]) -> None:
    """Wait until the hub serves."""
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


async def submit_all(hub: LiveHub, envelopes: list[Envelope], at_once: int) -> dict[int, Receipt]:
    """Submit envelopes, some at once; gives the receipts of those that were accepted, by number."""
    receipts: dict[int, Receipt] = {}

    async def submit(number: int) -> None:
        try:
            receipts[number] = await client.submit(dump_json(envelopes[number]))
        except (HubUnreachable, Problem):
            return

    async with hub.client("ly/main") as client:
        for start in range(0, len(envelopes), at_once):
            end = min(start + at_once, len(envelopes))
            await asyncio.gather(*(submit(number) for number in range(start, end)))
    return receipts


def logged_leaves(hub: LiveHub) -> list[str]:
    """The leaves of the whole exchange log as the database has them, after a restart."""
    ledger = open_ledger(hub.data, hub.keystore, hub.now_unix)
    with ledger.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT hex(leaf) FROM entry WHERE log = 'exchange' ORDER BY entry_index"
        ).all()
    ledger.engine.dispose()
    return [row[0].lower() for row in rows]


def check_receipts(hub: LiveHub, receipts: dict[int, Receipt]) -> None:
    """Every receipt that was given holds in the log that is there now."""
    log = LogVerifier.from_keys(hub.invitation.logs.exchange)
    kept = logged_leaves(hub)
    for receipt in receipts.values():
        assert kept[receipt.index] == verify_receipt(receipt, log).leaf.hex()
