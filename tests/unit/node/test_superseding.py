"""Corrections, recipients who must not learn of each other, and threads."""

from __future__ import annotations

from typing import Any

import pytest

from broker.db import reading
from broker.node.home import Home
from broker.node.outbox import sealing
from broker.node.outbox.checking import Order, check
from broker.node.outbox.queueing import queue
from keys.envelope import parse_header, seal_content
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import HubUnreachable, Problem
from tests.unit.node.bench import Bench
from tests.unit.node.documents import withdrawal
from tests.unit.node.world import NodeWorld, document, new_id


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def word(bench: Bench, *to: str, **changed: Any) -> str:
    """Why a bulletin is refused."""
    with pytest.raises(Problem) as caught:
        bench.queue(*to, **changed)
    return caught.value.word


def warnings(bench: Bench, **changed: Any) -> tuple[str, ...]:
    """What a check of a bulletin warns of."""
    asked = Order("ly/main", document("ly/main", **changed), ("tn/main",))
    with reading(bench.home.engine) as connection:
        return check(connection, asked, bench.world.newest, bench.world.now).warnings


def test_a_correction_goes_where_the_original_went(bench: Bench) -> None:
    """Its header names the bulletin that it replaces; the old one stays as it was delivered."""
    old = bench.queue("tn/main", "dz/main")
    bench.send()
    new = bench.queue(supersedes=old)
    bench.send()
    assert bench.states(new) == {"dz/main": "accepted", "tn/main": "accepted"}
    header = parse_header(bench.world.items[-1].statement)
    assert (header.supersedes, header.withdraws, header.bulletin.id) == (old, None, new)
    assert bench.outgoing(old).withdrawn is None


def test_a_correction_waits_until_its_original_is_there(bench: Bench) -> None:
    """A desk without key gets both once it has one, the original first: the hub would refuse the other."""
    old = bench.queue("tn/main", "ne/main")
    bench.send()
    new = bench.queue(supersedes=old, precedence=Precedence.FLASH)
    bench.send()
    assert bench.states(new) == {"ne/main": "queued", "tn/main": "accepted"}
    bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    for _ in range(2):
        bench.send()
    sent = [parse_header(item.statement) for item in bench.world.items]
    to_ne = [header.bulletin.id for header in sent if header.desks == ("ne/main",)]
    assert to_ne == [old, new]


def test_a_correction_whose_original_never_left_ends(bench: Bench) -> None:
    """The original is withdrawn before it left: there is nothing to correct there."""
    old = bench.queue("ne/main", "tn/main")
    bench.send()
    new = bench.queue(supersedes=old)
    bench.withdraw(old)
    for _ in range(2):
        bench.send()
    assert bench.states(new) == {"ne/main": "refused", "tn/main": "accepted"}
    assert bench.reasons(new)["ne/main"] == "original-desks"


def test_a_correction_may_be_corrected_and_withdrawn(bench: Bench) -> None:
    """Each is a bulletin of its own."""
    old = bench.queue("tn/main")
    bench.send()
    new = bench.queue(supersedes=old)
    newest = bench.queue(supersedes=new)
    for _ in range(3):
        bench.send()
    bench.withdraw(newest)
    bench.send()
    withdrawals = [parse_header(item.statement).withdraws for item in bench.world.items]
    assert withdrawals == [None, None, None, newest]


def test_what_cannot_be_superseded(bench: Bench) -> None:
    """What is unknown, withdrawn, or sent to nobody; and no desk beside those of the original."""
    old = bench.queue("tn/main", "dz/main")
    bench.send()
    assert word(bench, supersedes=new_id()) == "original-unknown"
    assert word(bench, "tn/main", "dz/main", "eg/main", supersedes=old) == "original-desks"
    assert word(bench, "tn/main", supersedes=old) == "bad-parameter"
    bench.withdraw(old)
    assert word(bench, supersedes=old) == "withdrawn"
    asked = Order("ly/main", withdrawal("ly/main", old), (), supersedes=old)
    with pytest.raises(Problem) as caught, reading(bench.home.engine) as connection:
        check(connection, asked, bench.world.newest, bench.world.now)
    assert caught.value.word == "bad-parameter"


def test_recipients_who_must_not_learn_of_each_other(bench: Bench) -> None:
    """One envelope for each, of one content; no header names another desk."""
    bulletin = bench.queue("tn/main", "dz/main", "eg/main", separately=True)
    assert bench.send() == 3
    headers = [parse_header(item.statement) for item in bench.world.items]
    assert sorted(header.desks for header in headers) == [("dz/main",), ("eg/main",), ("tn/main",)]
    assert len({header.bulletin.content for header in headers}) == 1
    assert len({header.id for header in headers}) == 3
    assert {header.bulletin.id for header in headers} == {bulletin}


def test_nor_do_they_when_it_is_sealed_again(bench: Bench) -> None:
    """A stale header, and a desk that waited for its key: still one desk each."""
    bench.queue("tn/main", "dz/main", "ne/main", separately=True)
    bench.client.refusals = [Problem("stale-directory"), Problem("stale-key", desk="tn/main")]
    bench.send()
    bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    bench.world.later(minutes=5)
    bench.send()
    headers = [parse_header(item.statement) for item in bench.world.items]
    assert sorted(header.desks for header in headers) == [("dz/main",), ("ne/main",), ("tn/main",)]


@pytest.mark.parametrize("follower", ["withdrawal", "correction"])
def test_nor_by_what_follows(bench: Bench, follower: str) -> None:
    """A withdrawal or a correction in one envelope would tell them after all."""
    bulletin = bench.queue("tn/main", "dz/main", separately=True)
    bench.send()
    make = {
        "withdrawal": lambda: bench.withdraw(bulletin),
        "correction": lambda: bench.queue(supersedes=bulletin),
    }
    new = make[follower]()
    bench.send()
    assert sorted(bench.accepted(new)) == [("dz/main",), ("tn/main",)]


def test_a_reply_is_kept_with_what_it_answers(bench: Bench) -> None:
    """Threads are found by it; it leaves inside the bulletin alone."""
    asked = Order(
        "ly/main",
        document("ly/main", reply := new_id(), in_reply_to={"desk": "tn/main", "id": new_id()}),
        ("tn/main",),
    )
    queue(bench.home, asked, bench.world.newest, bench.world.now)
    row = bench.outgoing(reply)
    assert row.reply_desk == "tn/main"
    assert row.reply_id.encode() in asked.document


def test_a_reply_to_what_nobody_knows_is_a_warning(bench: Bench) -> None:
    """It may have arrived at another node, so that nothing is refused for it."""
    own = bench.queue("tn/main")
    assert warnings(bench, in_reply_to={"desk": "ly/main", "id": own}) == ()
    unknown = new_id()
    [warning] = warnings(bench, in_reply_to={"desk": "tn/main", "id": unknown})
    assert (unknown in warning, "tn/main" in warning) == (True, True)


def test_a_flash_overtakes_what_is_queued_and_sealed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 routine bulletins wait, a pass is under way: the flash is the very next to be submitted."""
    for _ in range(300):
        bench.queue("tn/main")
    submit, flash = bench.client.submit, []

    async def flash_comes(sealed: bytes) -> Any:
        if len(bench.client.submitted) == 7:
            flash.append(bench.queue("dz/main", precedence=Precedence.FLASH))
        return await submit(sealed)

    monkeypatch.setattr(bench.client, "submit", flash_comes)
    monkeypatch.setattr("broker.node.sending.SUBMITTED_AT_ONCE", 10)
    monkeypatch.setattr("broker.node.outbox.sealing.SEALED_AT_ONCE", 20)
    bench.send()
    sent = [parse_header(item.statement).bulletin.id for item in bench.world.items]
    assert sent.index(flash[0]) == 8


def test_a_flash_does_not_wait_until_all_is_sealed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the first of many is being sealed: it is the first to be submitted."""
    for _ in range(20):
        bench.queue("tn/main")
    flash: list[str] = []

    def flash_comes(*arguments: Any) -> Any:
        if not flash:
            flash.append(bench.queue("dz/main", precedence=Precedence.FLASH))
        return seal_content(*arguments)

    monkeypatch.setattr("broker.node.outbox.sealing.seal_content", flash_comes)
    assert sealing.seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now) == 1
    bench.send()
    sent = [parse_header(item.statement).bulletin.id for item in bench.world.items]
    assert sent[0] == flash[0]


def test_a_flash_goes_before_what_was_answered(bench: Bench) -> None:
    """Asking for the status of many does not hold it up."""
    for _ in range(3):
        bench.queue("tn/main")
    bench.send()
    bench.world.later(minutes=5)
    bench.queue("dz/main", precedence=Precedence.FLASH)
    asked: list[str] = []
    status = bench.client.status

    async def noted(sender: str, envelope_id: str) -> Any:
        asked.append(envelope_id)
        return await status(sender, envelope_id)

    bench.client.status = noted  # type: ignore[method-assign]
    assert bench.ask() > 0
    assert asked == []


def test_nothing_overtakes_before_a_directory_was_read(bench: Bench) -> None:
    """Else the outbox would go round without end."""
    bench.queue("tn/main", precedence=Precedence.FLASH)
    empty = bench.world.empty_history().newest
    rank = Precedence.ROUTINE.rank
    assert not sealing.is_overtaken(bench.home, "ly/main", empty, rank, bench.world.now)
    assert sealing.is_overtaken(bench.home, "ly/main", bench.world.newest, rank, bench.world.now)
    bench.client.away = True
    with pytest.raises(HubUnreachable):
        bench.send()
