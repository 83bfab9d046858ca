"""The sweep that expires what is due: by itself, until nothing is, and whenever the hub is killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.hub import expiry
from broker.hub.expiry import Expire
from broker.hub.sequencer import Sequencer
from schemas.errors import Problem
from tests.exchange.acting import submit
from tests.exchange.expiring import DESK, LIFE_SECONDS, pass_away, short_lived, stored
from tests.exchange.forging import check_whole
from tests.exchange.live import LiveHub, live_hub, run


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHub]:
    """A hub that sweeps once, when it starts, and a desk that can receive."""
    monkeypatch.setattr(expiry, "SWEEP_SECONDS", 3600.0)
    with live_hub(tmp_path / "hub") as serving:
        run(serving.announce(DESK))
        yield serving


def test_a_serving_hub_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, until nothing is due, also where the database refuses once; idle, it asks for nothing."""
    monkeypatch.setattr(expiry, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr(expiry, "EXPIRED_PER_BATCH_MAX", 2)
    submitting = Sequencer.submit
    asked: list[Expire] = []

    async def submit_once_refused(self: Sequencer, work: Any, **how: Any) -> Any:
        if isinstance(work, Expire):
            asked.append(work)
            if len(asked) == 1:
                raise Problem("busy")
        return await submitting(self, work, **how)

    monkeypatch.setattr(Sequencer, "submit", submit_once_refused)
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce(DESK))
        for _ in range(5):
            run(submit(hub, short_lived(hub, DESK)))
        size = hub.ledger.heads()[1].size
        hub.clock_offset_seconds += LIFE_SECONDS + 1
        deadline = time.monotonic() + 10
        while hub.ledger.heads()[1].size < size + 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert hub.ledger.heads()[1].size == size + 5
        works = len(asked)
        time.sleep(0.4)
        assert len(asked) == works
        check_whole(hub)


_CRASHING = """
import os, signal, sys, time
from pathlib import Path
from broker.hub import ledger
from broker.hub.expiry import Expire
from broker.hub.setup import open_ledger
from keys.keystore import Keystore
from tests.exchange.live import PASSPHRASE
data, point, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
opened = open_ledger(
    data, Keystore.open(data / "keystore", PASSPHRASE), lambda: int(time.time()) + seconds
)
writing = ledger.writing

class Writing:
    def __init__(self, engine):
        self.inner = writing(engine)
    def __enter__(self):
        return self.inner.__enter__()
    def __exit__(self, *error):
        if point == "before-commit":
            os.kill(os.getpid(), signal.SIGKILL)
        self.inner.__exit__(*error)
        os.kill(os.getpid(), signal.SIGKILL)

ledger.writing = Writing
opened.commit([Expire()])
"""


@pytest.mark.parametrize(("point", "survived"), [("before-commit", 0), ("after-commit", 3)])
def test_killed_while_it_expires(hub: LiveHub, point: str, survived: int) -> None:
    """Killed before the commit nothing has expired, after it all of it; the next sweep goes on from there."""
    receipts = [run(submit(hub, short_lived(hub, DESK))) for _ in range(3)]
    size = hub.ledger.heads()[1].size
    hub.clock_offset_seconds += LIFE_SECONDS + 1
    arguments = [str(hub.data), point, str(hub.clock_offset_seconds)]
    process = subprocess.run(
        [sys.executable, "-c", _CRASHING, *arguments],
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    assert process.returncode == -signal.SIGKILL
    assert hub.ledger.heads()[1].size == size + survived
    slots = [(DESK, b"", 2)] if survived else None
    for receipt in receipts:
        kept, bodies = stored(hub, receipt.index)
        assert (kept == slots, bodies == []) == (bool(survived), bool(survived))
    assert pass_away(hub) == 3 - survived
    assert hub.ledger.heads()[1].size == size + 3
    assert all(stored(hub, r.index) == ([(DESK, b"", 2)], []) for r in receipts)
    check_whole(hub)


def test_a_sweep_ends_with_its_hub(hub: LiveHub) -> None:
    """Cancelled while it waits, the sweep is gone."""

    async def cancelled() -> bool:
        task = asyncio.create_task(
            expiry.sweep(hub.ledger.engine, Sequencer(hub.ledger), hub.now_unix)
        )
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert run(cancelled())
