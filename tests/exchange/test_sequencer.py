"""The commit point under strain: many at once, one that fails, a database that refuses, two processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from broker.hub import sequencer
from broker.hub.directory_log import Operate
from broker.hub.ledger import Answer, Batch, Ledger
from broker.hub.relay import Relay, judge, read_submission
from broker.hub.sequencer import Sequencer
from broker.hub.setup import open_ledger
from broker.hub.tables import log_head
from broker.tlog.receipt import exchange_leaf
from schemas.entries import EnvelopeAccepted
from schemas.envelope import Envelope
from schemas.errors import Problem
from schemas.loader import dump_json, load_json
from schemas.receipts import Receipt
from tests.exchange.acting import refusal, submit, verified
from tests.exchange.forging import ForgedLog, check_whole
from tests.exchange.live import LiveHub, live_hub, now, run
from tests.exchange.raw import rows

SENDERS = ("ly/main", "ne/main", "tn/main", "dz/judicial")
MANY = 200


def test_two_hundred_at_once(hub: LiveHub) -> None:
    """Each gets its own index and a receipt that verifies; places run without a gap in log order."""
    before = hub.ledger.heads()[1].size
    envelopes = [
        hub.seal(hub.outgoing(SENDERS[n % 4]), "dz/judicial", "ne/judicial") for n in range(MANY)
    ]

    async def all_at_once() -> list[Receipt]:
        clients = {sender: hub.client(sender) for sender in SENDERS}
        calls = [
            clients[SENDERS[n % 4]].submit(dump_json(envelope))
            for n, envelope in enumerate(envelopes)
        ]
        try:
            return await asyncio.gather(*calls)
        finally:
            for client in clients.values():
                await client.close()

    receipts: list[Receipt] = run(all_at_once())
    assert sorted(r.index for r in receipts) == list(range(before, before + MANY))
    for envelope, receipt in zip(envelopes, receipts, strict=True):
        found = verified(hub, receipt).entry
        assert isinstance(found, EnvelopeAccepted)
        assert found.header == envelope.payload
    by_pair: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for n, receipt in enumerate(receipts):
        for place in receipt.places:
            by_pair.setdefault((SENDERS[n % 4], place.desk), []).append((receipt.index, place.n))
    for told in by_pair.values():
        assert [n for _, n in sorted(told)] == list(range(1, MANY // 4 + 1))
    check_whole(hub)


def test_the_same_at_once(hub: LiveHub) -> None:
    """One envelope submitted many times in one batch is logged once, and all hear of one entry."""
    data = dump_json(hub.seal(hub.outgoing("ly/main"), "tn/main"))
    size = hub.ledger.heads()[1].size

    async def at_once() -> list[Receipt]:
        async with hub.client("ly/main") as client:
            return await asyncio.gather(*(client.submit(data) for _ in range(20)))

    receipts: list[Receipt] = run(at_once())
    assert {(r.index, r.entry, r.salt, r.places) for r in receipts} == {
        (size, receipts[0].entry, receipts[0].salt, receipts[0].places)
    }
    assert hub.ledger.heads()[1].size == size + 1


def _relay(hub: LiveHub, envelope: Envelope) -> Relay:
    """The work of a submission, as the route makes it."""
    submission = read_submission(dump_json(envelope), load_json(envelope.payload, 10**6)["from"])
    state, at = hub.ledger.state, hub.moment()
    return Relay(submission, judge(submission, state, at), state.size, at)


@dataclass(frozen=True)
class Refusing:
    """A work that is refused."""

    def apply(self, batch: Batch) -> Answer:
        """Refuse."""
        raise Problem("refusal-rate", f"at {batch.at}")


@dataclass(frozen=True)
class Failing:
    """A work that fails as none should, having written already."""

    error: Exception

    def apply(self, batch: Batch) -> Answer:
        """Write, then fail."""
        batch.exchange.append(b"half a thing", bytes(32), None)
        raise self.error


def test_a_refused_work_keeps_the_others(hub: LiveHub) -> None:
    """Within one batch a Problem is the answer of its own work alone."""
    works = [_relay(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")) for _ in range(3)]
    first, problem_, second, third = hub.ledger.commit([works[0], Refusing(), *works[1:]])
    assert isinstance(problem_, Problem)
    assert problem_.word == "refusal-rate"
    assert first.index + 1 == second.index == third.index - 1
    for receipt in (first, second, third):
        verified(hub, receipt)


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), IntegrityError("x", {}, Exception("x")), KeyError("x")]
)
def test_a_failing_work_takes_no_other_with_it(hub: LiveHub, error: Exception) -> None:
    """A work with a bug in it fails alone, and leaves no half of itself in the log."""
    envelopes = [hub.seal(hub.outgoing("ly/main"), "tn/main") for _ in range(4)]
    works: list[Any] = [_relay(hub, envelope) for envelope in envelopes]
    size = hub.ledger.heads()[1].size

    async def together() -> list[Any]:
        queue = Sequencer(hub.ledger)
        calls = [
            asyncio.create_task(queue.submit(w)) for w in (*works[:2], Failing(error), *works[2:])
        ]
        await asyncio.sleep(0)
        queue.start()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await queue.stop()
        return answers

    answers = run(together())
    assert answers[2] is error
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    assert sorted(r.index for r in receipts) == list(range(size, size + 4))
    for receipt in receipts:
        verified(hub, receipt)
    check_whole(hub)


def test_a_full_queue_says_so(hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when the queue is full is told to come back, and nothing of it is written."""
    monkeypatch.setattr(sequencer, "QUEUE_MAX", 2)
    size = hub.ledger.heads()[1].size

    async def overfill() -> list[Any]:
        queue = Sequencer(hub.ledger)
        works = [_relay(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")) for _ in range(3)]
        calls = [asyncio.create_task(queue.submit(work, rank=3)) for work in works]
        await asyncio.sleep(0)
        queue.start()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await queue.stop()
        return answers

    answers = run(overfill())
    assert [isinstance(answer, Receipt) for answer in answers] == [True, True, False]
    assert answers[2].word == "busy"
    assert hub.ledger.heads()[1].size == size + 2


@dataclass(frozen=True)
class Overtaking:
    """A work during which another process moves a head, as one could where a write lock is per row."""

    log: str

    def apply(self, batch: Batch) -> Answer:
        """Append, and be overtaken."""
        batch.exchange.append(b"late", bytes(32), None)
        moved = update(log_head).where(log_head.c.log == self.log).values(size=log_head.c.size + 1)
        batch.connection.execute(moved)
        return lambda _committed: "never"


@pytest.mark.parametrize("log", ["directory", "exchange"])
def test_a_lost_race_writes_nothing(hub: LiveHub, log: str) -> None:
    """If either head moved meanwhile the whole batch is undone: both logs move together, or neither."""
    before, heads = rows(hub), hub.ledger.heads()
    with pytest.raises(Problem) as caught:
        hub.ledger.commit([Overtaking(log), Operate("configuration")])
    assert caught.value.word == "busy"
    assert (rows(hub), hub.ledger.heads()) == (before, heads)
    verified(hub, run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))))
    check_whole(hub)


def test_two_ledgers_never_fork(hub: LiveHub) -> None:
    """Two that sequence on one database at once make one log: every receipt of both holds in it."""
    other = open_ledger(hub.data, hub.keystore, hub.now_unix)
    works = [_relay(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")) for _ in range(40)]
    before = hub.ledger.heads()
    receipts: list[Receipt] = []

    def commit(ledger: Ledger, mine: list[Relay]) -> None:
        for at in range(0, len(mine), 4):
            receipts.extend(ledger.commit([*mine[at : at + 4], Operate("configuration")])[:4])

    threads = [
        threading.Thread(target=commit, args=(hub.ledger, works[:20])),
        threading.Thread(target=commit, args=(other, works[20:])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = hub.ledger.heads()
    assert other.heads() == after
    assert after[1].size == before[1].size + 40
    assert after[0].size == before[0].size + 10
    assert sorted(r.index for r in receipts) == list(range(before[1].size, after[1].size))
    for receipt in receipts:
        found = verified(hub, receipt)
        assert found.leaf == exchange_leaf(receipt.salt, receipt.entry)
    check_whole(hub)
    hub.ledger.catch_up()
    other.catch_up()
    assert other.state.size == hub.ledger.state.size == after[0].size
    other.engine.dispose()


_SUBMITTER = """
import sys
from pathlib import Path
from broker.hub.directory_log import Operate
from broker.hub.setup import open_ledger
from keys.keystore import Keystore
from tests.exchange.live import PASSPHRASE
import time
data = Path(sys.argv[1])
ledger = open_ledger(data, Keystore.open(data / "keystore", PASSPHRASE), lambda: int(time.time()))
indexes = [ledger.commit([Operate("configuration")])[0] for _ in range(20)]
print(*indexes)
"""


def test_two_processes_never_fork(hub: LiveHub) -> None:
    """A second process that logs beside the serving hub gets indexes of its own, and both go on."""
    before = hub.ledger.heads()[0].size
    arguments = [sys.executable, "-c", _SUBMITTER, str(hub.data)]
    process = subprocess.Popen(
        arguments, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    mine: list[int] = []
    while process.poll() is None:
        mine += hub.ledger.commit([Operate("configuration")])
        run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
    output, _ = process.communicate()
    assert process.returncode == 0
    theirs = [int(index) for index in output.split()]
    assert len(theirs) == 20
    size = hub.ledger.heads()[0].size
    assert sorted(mine + theirs) == list(range(before, size))
    forged = ForgedLog.of(hub, "directory").checkpoint()
    assert (forged.size, forged.root) == (size, hub.ledger.heads()[0].root)
    check_whole(hub)


def test_a_directory_loaded_beside_is_noticed(hub: LiveHub) -> None:
    """Within a second or two a serving hub knows what `barid hub load` published, without any submission."""
    old = hub.directory_ref
    stale = hub.seal(hub.outgoing("mr/main"), "tn/main")
    index = hub.publish(hub.signed_member("mr", 2, now() + timedelta(days=200), ("0" * 64,)))
    deadline = time.monotonic() + 5
    while hub.directory_ref == old and time.monotonic() < deadline:
        time.sleep(0.05)
    assert hub.directory_ref.index == index
    problem_ = refusal(submit(hub, stale))
    assert problem_.word == "stale-directory"
    assert problem_.extensions["in_force"] == hub.directory_ref.model_dump(mode="json")
    run(submit(hub, hub.seal(hub.outgoing("mr/main"), "tn/main")))


def test_a_directory_loaded_beside_is_noticed_by_the_next_commit(hub: LiveHub) -> None:
    """A submission that was judged by the directory before is judged again in its batch."""
    work = _relay(hub, hub.seal(hub.outgoing("td/main"), "tn/main"))
    hub.publish(hub.signed_member("td", 2, now() + timedelta(days=200), ("0" * 64,)))
    (answer,) = hub.ledger.commit([work])
    assert isinstance(answer, Problem)
    assert answer.word == "stale-directory"


def test_an_entry_is_judged_by_its_own_time(hub: LiveHub) -> None:
    """What lapses between the verdict and the commit is refused: its entry would convict the hub."""
    outgoing = hub.outgoing("ly/main", expires=now() + timedelta(seconds=2))
    work = _relay(hub, hub.seal(outgoing, "tn/main"))
    while now() < outgoing.expires:
        time.sleep(0.05)
    (answer,) = hub.ledger.commit([work])
    assert isinstance(answer, Problem)
    assert (answer.word, "receipt" in answer.extensions) == ("lifetime", True)


def test_a_wrong_clock_leaves_no_trace_where_nothing_is_logged(hub: LiveHub) -> None:
    """A clock that was a year ahead while nothing was logged does not date what comes after it."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    run(submit(hub, envelope))
    hub.clock_offset_seconds = 365 * 24 * 3600
    try:
        hub.ledger.commit([Refusing()])
        hub.ledger.commit([_known(hub, envelope)])
    finally:
        hub.clock_offset_seconds = 0
    run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
    assert hub.ledger.heads()[1].at <= hub.now_unix()


def _known(hub: LiveHub, envelope: Envelope) -> Relay:
    submission = read_submission(dump_json(envelope), "ly/main")
    return Relay(submission, {}, hub.ledger.state.size, hub.moment())


def test_a_clock_that_falls_back(tmp_path: Path) -> None:
    """Entries never run backwards: an hour's fall keeps their time still, and what is too old is told."""
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("tn/main"))
        hub.clock_offset_seconds = 3600
        first = run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
        hub.clock_offset_seconds = 0
        second = run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
        times = [verified(hub, receipt).entry.at for receipt in (first, second)]
        assert times[1] >= times[0]
        soon = hub.seal(hub.outgoing("ly/main", expires=now() + timedelta(minutes=30)), "tn/main")
        assert refusal(submit(hub, soon)).word == "lifetime"
