"""A hub as a process of its own: killed in the middle of uploads, and how much memory it takes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.client import HubClient
from schemas.errors import HubUnreachable
from schemas.receipts import Receipt
from tests.exchange.acting import submit
from tests.exchange.attaching import (
    Sealed,
    as_desk,
    downloaded,
    naming,
    objects,
    persist,
    store,
)
from tests.exchange.live import LiveHub, run
from tests.exchange.raw import rows

MIB = 1024 * 1024
KILLS = 10 if os.environ.get("BARID_SOAK") else 2
SENT_MIB = 100 if os.environ.get("BARID_SOAK") else 24
START_SECONDS = 60.0


class _Process:
    """A hub as a process of its own."""

    def __init__(self, hub: LiveHub) -> None:
        self._hub = hub

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = ["-m", "tests.faults.crashing_hub", str(self._hub.data), "never", "0"]
        self.popen = subprocess.Popen([sys.executable, *program], cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + START_SECONDS

        async def ask(client: HubClient) -> None:
            while True:
                try:
                    await client.checkpoint("exchange", 1)
                except HubUnreachable:
                    assert self.popen.poll() is None
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                else:
                    return

        as_desk(self._hub, "ly/main", ask)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait()

    @property
    def peak_bytes(self) -> int:
        """The most memory that it has held so far."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text(encoding="ascii")
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[LiveHub, _Process]]:
    """A hub that serves from a process of its own."""
    hub = LiveHub(tmp_path / "hub")
    hub.start()
    run(hub.announce("tn/main"))
    hub.stop()
    started = _Process(hub)
    started.start()
    try:
        yield hub, started
    finally:
        started.kill()


def test_a_hub_killed_at_random_moments(process: tuple[LiveHub, _Process]) -> None:
    """Killed again and again in the middle of an upload, it has each byte once, and one entry."""
    hub, running = process
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - a failure must be repeatable
    chance = random.Random(seed)
    sealed = Sealed(chance.randbytes(SENT_MIB * MIB + 1))

    async def uploading() -> Receipt:
        async with hub.client("ly/main") as client:
            sending = asyncio.create_task(persist(client, sealed.data, MIB // 2))
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.02, 0.25))
                running.kill()
                await asyncio.to_thread(running.start)
            return await sending

    receipt = run(uploading())
    assert store(hub, "ly/main", sealed).index == receipt.index
    running.kill()
    hub.start()
    try:
        run(submit(hub, naming(hub, "ly/main", "tn/main", sealed=(sealed,))))
        assert downloaded(hub, "tn/main", sealed) == sealed.data
        assert (rows(hub)["attachment"], objects(hub)) == (1, {sealed.sha256})
    finally:
        hub.stop()


def test_memory_stays_flat(process: tuple[LiveHub, _Process]) -> None:
    """100 MiB go up and down again, and the hub has never held 64 MiB more than before."""
    hub, running = process
    data = os.urandom(MIB) * 100

    async def there_and_back(client: HubClient) -> tuple[int, int]:
        await persist(client, b"the first attachment")
        before = running.peak_bytes
        await persist(client, data)
        digest = hashlib.sha256()
        async for chunk in client.download(hashlib.sha256(data).hexdigest()):
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(data).digest()
        return before, running.peak_bytes

    before, after = as_desk(hub, "ly/main", there_and_back)
    assert after - before < 64 * MIB
