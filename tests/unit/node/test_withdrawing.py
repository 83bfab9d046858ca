"""Withdrawals: what had not left never leaves, what may have left is settled, nothing is sealed again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from broker.db import writing
from broker.node import tables
from broker.node.home import Home
from broker.node.outbox.sealing import due, seal_queued
from keys.envelope import address, parse_header, seal_content
from schemas.acknowledgements import Result
from schemas.envelope import Envelope
from schemas.errors import HubUnreachable, Problem
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import parse
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld, copy_home


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def test_what_was_queued_never_leaves(bench: Bench) -> None:
    """Nothing is sealed of it, the withdrawal goes to nobody, and the status says `unsent`."""
    bulletin = bench.queue("tn/main", "dz/main")
    taken_back = bench.withdraw(bulletin)
    assert bench.send() == 0
    assert bench.states(bulletin) == {"dz/main": "withdrawn", "tn/main": "withdrawn"}
    assert bench.reasons(bulletin) == {"dz/main": "unsent", "tn/main": "unsent"}
    assert (bench.states(taken_back), bench.world.items) == ({}, [])
    assert bench.outgoing(bulletin).withdrawn is not None


def test_what_was_sealed_and_not_sent_never_leaves(bench: Bench) -> None:
    """Sealed bytes that were never submitted are given up."""
    bulletin = bench.queue("tn/main")
    seal_queued(bench.home, "ly/main", bench.world.newest, bench.world.now)
    bench.withdraw(bulletin)
    assert due(bench.home, "ly/main", bench.world.now, 10) == ()
    assert bench.send() == 0
    assert [row.state for row in bench.envelopes()] == ["abandoned"]
    assert bench.reasons(bulletin) == {"tn/main": "unsent"}


def test_it_goes_to_those_who_were_sent_the_original(bench: Bench) -> None:
    """A desk that still waited for a key never hears of it; the other gets the withdrawal."""
    bulletin = bench.queue("tn/main", "ne/main")
    bench.send()
    taken_back = bench.withdraw(bulletin)
    bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    bench.send()
    assert bench.states(taken_back) == {"tn/main": "accepted"}
    assert bench.states(bulletin) == {"ne/main": "withdrawn", "tn/main": "accepted"}
    assert bench.accepted(bulletin) == [("tn/main",)]
    header = parse_header(bench.world.items[-1].statement)
    assert (header.kind, header.withdraws, header.supersedes) == ("withdrawal", bulletin, None)


def test_a_lost_answer_is_settled_first(bench: Bench) -> None:
    """The hub accepted, the answer was lost: the same bytes find the receipt, then the withdrawal goes."""
    bulletin = bench.queue("tn/main")
    bench.client.drops_answers = True
    with pytest.raises(HubUnreachable):
        bench.send()
    taken_back = bench.withdraw(bulletin)
    assert bench.states(taken_back) == {"tn/main": "queued"}
    bench.world.later(minutes=2)
    with pytest.raises(HubUnreachable):
        bench.send()
    assert bench.accepted(taken_back) == []
    bench.client.drops_answers = False
    bench.world.later(minutes=2)
    bench.send()
    bench.send()
    assert (bench.accepted(bulletin), bench.accepted(taken_back)) == (
        [("tn/main",)],
        [("tn/main",)],
    )
    assert bench.states(taken_back) == {"tn/main": "accepted"}


def test_a_crash_while_submitting_counts_as_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 between the hub's commit and the node's: the withdrawal still follows the original."""
    bulletin = bench.queue("tn/main")

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("broker.node.outbox.settle.note_places", crash)
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    monkeypatch.undo()
    bench.restart()
    taken_back = bench.withdraw(bulletin)
    bench.send()
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    assert bench.accepted(taken_back) == [("tn/main",)]


def test_a_withdrawal_that_comes_as_the_envelope_leaves(bench: Bench) -> None:
    """The bytes are in the sender's hands, but were not submitted: they are not."""
    bulletin = bench.queue("tn/main")
    waiting = bench.sender._seal()
    bench.withdraw(bulletin)

    def sealed_before() -> Any:
        return waiting

    bench.sender._seal = sealed_before  # type: ignore[method-assign]
    bench.send()
    assert bench.world.items == []


def test_a_withdrawal_that_comes_while_it_is_sealed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The envelope that was being made is thrown away: its id and key were never used."""
    bulletin = bench.queue("tn/main")

    def withdrawn_meanwhile(*arguments: Any) -> Any:
        bench.withdraw(bulletin)
        return seal_content(*arguments)

    monkeypatch.setattr("broker.node.outbox.sealing.seal_content", withdrawn_meanwhile)
    assert bench.send() == 0
    assert (bench.envelopes(), bench.headers()) == ([], 0)
    assert bench.reasons(bulletin) == {"tn/main": "unsent"}


def test_a_withdrawal_that_comes_while_it_is_sealed_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale header is not replaced by one of what was withdrawn meanwhile."""
    bulletin = bench.queue("tn/main")
    bench.client.refusals = [Problem("stale-key")]
    bench.send()
    bench.world.later(minutes=61)

    def withdrawn_meanwhile(*arguments: Any) -> Any:
        bench.withdraw(bulletin)
        return address(*arguments)

    monkeypatch.setattr("broker.node.outbox.reseal.address", withdrawn_meanwhile)
    bench.send()
    assert ([row.state for row in bench.envelopes()], bench.headers()) == (["abandoned"], 1)
    assert bench.world.items == []


def test_an_envelope_that_the_hub_called_stale_is_given_up(bench: Bench) -> None:
    """The hub has not accepted it; another header would seal what was withdrawn."""
    bulletin = bench.queue("tn/main")
    bench.client.refusals = [Problem("stale-directory")]
    bench.send()
    bench.withdraw(bulletin)
    headers = bench.headers()
    bench.world.later(minutes=5)
    bench.send()
    assert (bench.world.items, bench.headers()) == ([], headers)
    assert bench.reasons(bulletin) == {"tn/main": "unsent"}


@pytest.mark.parametrize("word", ["stale-key", "attachments-missing"])
def test_one_that_the_hub_has_not_accepted_is_given_up_then(bench: Bench, word: str) -> None:
    """It was not known whether the hub had it; now it is: the withdrawal of it goes to nobody."""
    bulletin = bench.queue("tn/main")
    bench.client.away = True
    with pytest.raises(HubUnreachable):
        bench.send()
    taken_back = bench.withdraw(bulletin)
    bench.client.away = False
    bench.client.refusals = [Problem(word)]
    bench.world.later(minutes=5)
    bench.send()
    bench.send()
    assert bench.world.items == []
    assert (bench.reasons(bulletin), bench.states(bulletin)) == (
        {"tn/main": "unsent"},
        {"tn/main": "withdrawn"},
    )
    assert bench.reasons(taken_back) == {"tn/main": "original-desks"}


def test_one_refused_after_the_withdrawal_ends_both(bench: Bench) -> None:
    """The hub refused the original for good: it would refuse the withdrawal as well."""
    bulletin = bench.queue("tn/main")
    bench.client.away = True
    with pytest.raises(HubUnreachable):
        bench.send()
    taken_back = bench.withdraw(bulletin)
    bench.client.away = False
    sealed = parse(Envelope, bench.envelopes()[0].sealed, ENVELOPE_BYTES_MAX)
    bench.client.refusals = [bench.world.refuse(sealed, "lifetime")]
    bench.world.later(minutes=5)
    bench.send()
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "refused"}
    assert bench.states(taken_back) == {"tn/main": "refused"}
    assert bench.accepted(taken_back) == []


def test_a_desk_that_cannot_open_gets_nothing_withdrawn(bench: Bench) -> None:
    """`cannot_open` seals again once, but never what was withdrawn; the withdrawal still goes there."""
    bulletin = bench.queue("tn/main")
    bench.send()
    taken_back = bench.withdraw(bulletin)
    bench.world.log_answer(bench.world.answer("tn/main", 0, Result.REJECTED, reason="cannot_open"))
    bench.world.later(minutes=2)
    bench.ask()
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "rejected"}
    assert bench.accepted(bulletin) == [("tn/main",)]
    assert bench.accepted(taken_back) == [("tn/main",)]


def test_one_that_was_queued_again_is_not_sealed(bench: Bench) -> None:
    """`cannot_open` came first, then the withdrawal: the second envelope is never made."""
    bulletin = bench.queue("tn/main")
    bench.send()
    bench.world.log_answer(bench.world.answer("tn/main", 0, Result.REJECTED, reason="cannot_open"))
    bench.world.later(minutes=2)
    bench.ask()
    assert bench.states(bulletin) == {"tn/main": "queued"}
    taken_back = bench.withdraw(bulletin)
    bench.send()
    assert bench.accepted(bulletin) == [("tn/main",)]
    assert bench.accepted(taken_back) == [("tn/main",)]
    assert bench.states(bulletin) == {"tn/main": "withdrawn"}


def test_a_delivery_that_is_open_by_mistake_is_not_sealed(bench: Bench) -> None:
    """Whatever queued it: of what was withdrawn nothing is sealed."""
    bulletin = bench.queue("tn/main")
    bench.withdraw(bulletin)
    delivery = tables.delivery
    with writing(bench.home.engine) as connection:
        mine = delivery.c.bulletin_id == bulletin
        connection.execute(update(delivery).where(mine).values(state="queued"))
    assert (bench.send(), bench.world.items) == (0, [])


@pytest.mark.parametrize("reason", ["unread", "read"])
def test_the_recipients_answer_is_shown(bench: Bench, reason: str) -> None:
    """`withdrawn` with its reason moves the original, with the proof."""
    bulletin = bench.queue("tn/main")
    bench.send()
    bench.withdraw(bulletin)
    bench.send()
    if reason == "read":
        bench.world.log_answer(bench.world.answer("tn/main", 0, Result.DELIVERED))
        bench.world.log_answer(bench.world.answer("tn/main", 0, Result.READ))
    bench.world.log_answer(bench.world.answer("tn/main", 0, Result.WITHDRAWN, reason=reason))
    bench.world.later(minutes=2)
    bench.ask()
    assert (bench.states(bulletin), bench.reasons(bulletin)) == (
        {"tn/main": "withdrawn"},
        {"tn/main": reason},
    )


DESKS = ("dz/main", "ne/main", "tn/main")
STEPS = st.lists(
    st.sampled_from(
        ["send", "send", "away", "dropped", "stale", "restart", "key", "ask", "cannot_open"]
    ),
    max_size=6,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=STEPS, after=STEPS, separately=st.booleans())
def test_whatever_happens_the_withdrawal_follows_the_original(
    world: NodeWorld,
    ly: Home,
    tmp_path_factory: pytest.TempPathFactory,
    before: list[str],
    after: list[str],
    separately: bool,
) -> None:
    """Every desk that was sent the original is sent the withdrawal, no other desk, and never before it."""
    folder: Path = tmp_path_factory.mktemp("history")
    bench = Bench(world.copy(), copy_home(ly, folder))
    bulletin = bench.queue(*DESKS, separately=separately)
    for step in before:
        play(bench, step)
    taken_back = bench.withdraw(bulletin)
    sealed = {row.envelope_id for row in bench.envelopes() if row.bulletin_id == bulletin}
    for step in (*after, "key", "send", "send", "send", "send"):
        play(bench, step)
    told = set().union(*bench.accepted(taken_back))
    assert told == set().union(*bench.accepted(bulletin))
    assert sealed == {row.envelope_id for row in bench.envelopes() if row.bulletin_id == bulletin}
    original: set[str] = set()
    for item in bench.world.items:
        if item.envelope is not None:
            header = parse_header(item.statement)
            assert header.withdraws is None or set(header.desks) <= original
            original |= set(header.desks) if header.bulletin.id == bulletin else set()
            assert not separately or len(header.desks) == 1
    unsent = set(DESKS) - original
    assert {
        desk for desk, state in bench.states(bulletin).items() if state == "withdrawn"
    } >= unsent
    bench.home.engine.dispose()


def play(bench: Bench, step: str) -> None:
    """One thing that happens to a node."""
    bench.world.later(minutes=3)
    bench.client.away, bench.client.drops_answers = step == "away", step == "dropped"
    bench.client.stale = step == "stale"
    if step == "restart":
        bench.restart()
    elif step == "key" and bench.world.newest.highest_epoch("ne/main") == 0:
        bench.world.announce(bench.world.sealing_statement("ne/main", 1))
    elif step == "ask":
        bench.ask()
    elif step == "cannot_open":
        _reject_all(bench)
    else:
        try:
            bench.send()
        except HubUnreachable:
            assert step in {"away", "dropped"}


def _reject_all(bench: Bench) -> None:
    for index, item in enumerate(bench.world.items):
        desks = () if item.envelope is None else parse_header(item.statement).desks
        for desk in desks:
            if (index, desk) not in bench.world.answered:
                answer = bench.world.answer(desk, index, Result.REJECTED, reason="cannot_open")
                bench.world.log_answer(answer)
    bench.ask()


def test_a_hub_that_accepted_what_it_called_stale_is_noticed(bench: Bench) -> None:
    """The withdrawn bulletin was given up, and the log shows it: an alarm says who may hold it."""
    asyncio.run(bench.sender.watch())
    bench.client.drops_answers = True
    bulletin = bench.queue("tn/main")
    with suppress(HubUnreachable):
        bench.send()
    bench.withdraw(bulletin)
    bench.client.drops_answers = False
    bench.client.refusals = [Problem("stale-directory")]
    bench.world.later(minutes=3)
    bench.send()
    asyncio.run(bench.sender.watch())
    assert bulletin in bench.alarms()["hub-fault"]
