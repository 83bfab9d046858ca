"""The end of a hub and of a node: one signal, and they are gone, quickly and without a word."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.node.setup import join_node
from schemas.errors import HubUnreachable
from schemas.loader import dump_json
from schemas.receipts import InboxPage
from tests.exchange.live import PASSPHRASE, LiveHub, run
from tests.exchange.nodes import LiveNode

START_SECONDS = 30.0
END_SECONDS = 3.0
HELD = ("ly/main", "ne/main", "tn/main", "dz/main")


@contextmanager
def _served(room: str, data: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`barid hub serve` or `barid node serve` in a process of its own, its output in a file."""
    secret = log.with_suffix(".passphrase")
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    command = [sys.executable, "-m", "broker.cli", room, "serve", "--data", str(data)]
    variables = {**os.environ, "BARID_PASSPHRASE_FILE": str(secret)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _end(process: subprocess.Popen[bytes]) -> float:
    """End it as the system does. Returns the seconds that it took."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(START_SECONDS)
    return time.monotonic() - began


def _complaints(log: Path) -> list[str]:
    """What was said beyond the greeting; a traceback, or tasks that had to be cancelled."""
    words = ("Traceback", "Exception", "Error", "ERROR", "Cancel")
    return [line for line in log.read_text().splitlines() if any(word in line for word in words)]


async def _until_it_answers(hub: LiveHub) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with hub.client("ly/main") as client:
        while time.monotonic() < deadline:
            try:
                await client.checkpoint("exchange", 1)
            except HubUnreachable:
                await asyncio.sleep(0.05)
            else:
                return
    pytest.fail("the hub did not come up")


async def _hold(hub: LiveHub, desk: str) -> InboxPage:
    async with hub.client(desk) as client:
        return await client.inbox(desk, limit=1, wait_seconds=60)


def test_a_hub_ends_while_requests_are_held_open(tmp_path: Path) -> None:
    """SIGTERM releases long polls: each is answered, the process ends within 3 s, and says nothing."""
    hub, log = LiveHub(tmp_path / "hub"), tmp_path / "hub.log"
    with _served("hub", hub.data, log) as process:

        async def story() -> tuple[float, list[InboxPage]]:
            await _until_it_answers(hub)
            held = [asyncio.create_task(_hold(hub, desk)) for desk in HELD]
            await asyncio.sleep(1)
            assert [task.done() for task in held] == [False] * len(HELD)
            seconds = await asyncio.to_thread(_end, process)
            return seconds, await asyncio.gather(*held)

        seconds, pages = run(story())
    assert [page.items for page in pages] == [()] * len(HELD)
    assert _complaints(log) == []
    assert seconds < END_SECONDS


def test_a_node_ends_while_it_waits_for_the_hub(tmp_path: Path) -> None:
    """SIGTERM ends a node whose own long polls are open at the hub, within 3 s and without a word."""
    node, log = LiveNode(tmp_path / "ly", "ly"), tmp_path / "node.log"
    hub = LiveHub(tmp_path / "hub", {"ly": node.request})
    hub.start()
    try:
        join_node(node.data, dump_json(hub.invitation))
        with _served("node", node.data, log) as process:
            deadline = time.monotonic() + START_SECONDS
            while hub.ledger.state.highest_epoch("ly/main") == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1)
            seconds = _end(process)
    finally:
        hub.stop()
    assert hub.ledger.state.highest_epoch("ly/main") == 1
    assert _complaints(log) == []
    assert seconds < END_SECONDS
