"""Handing a withdrawal in: what may be withdrawn, by whom, to whom it goes, and all of it or nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.node.outbox.checking import Order
from broker.node.outbox.queueing import queue
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from tests.unit.node.bench import Bench
from tests.unit.node.documents import withdrawal
from tests.unit.node.world import NodeWorld, document, new_id


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox; every desk but ne/main has a sealing key."""
    return Bench(world, ly)


def refused(bench: Bench, original: str, *to: str, **changed: Any) -> Problem:
    """Why a withdrawal is refused; nothing may be stored."""
    before = bulletins(bench)
    with pytest.raises(Problem) as caught:
        bench.withdraw(original, *to, **changed)
    assert bulletins(bench) == before
    return caught.value


def bulletins(bench: Bench) -> int:
    """How many bulletins the outbox holds."""
    with reading(bench.home.engine) as connection:
        query = select(func.count()).select_from(tables.outgoing_bulletin)
        return connection.execute(query).scalar_one()


def test_it_is_as_urgent_as_the_original(bench: Bench) -> None:
    """A flash that was wrong is not withdrawn as routine; a withdrawal may be more urgent."""
    flash = bench.queue("tn/main", precedence=Precedence.FLASH)
    routine = bench.queue("tn/main")
    bench.send()
    slow = bench.withdraw(flash, precedence=Precedence.ROUTINE)
    fast = bench.withdraw(routine, precedence=Precedence.FLASH)
    assert bench.outgoing(slow).precedence == "flash"
    assert bench.outgoing(fast).precedence == "flash"


def test_the_same_withdrawal_again_is_answered_alike(bench: Bench) -> None:
    """Posting twice is harmless."""
    bulletin = bench.queue("tn/main")
    bench.send()
    asked = Order("ly/main", withdrawal("ly/main", bulletin), ())
    first = queue(bench.home, asked, bench.world.newest, bench.world.now)
    again = queue(bench.home, asked, bench.world.newest, bench.world.now + timedelta(hours=1))
    assert (again.bulletin_id, again.deliveries, again.new) == (
        first.bulletin_id,
        first.deliveries,
        False,
    )


def test_another_withdrawal_of_the_same_is_refused(bench: Bench) -> None:
    """A bulletin is withdrawn once."""
    bulletin = bench.queue("tn/main")
    bench.send()
    bench.withdraw(bulletin)
    assert refused(bench, bulletin).word == "withdrawn"


def test_a_withdrawal_cannot_be_withdrawn_or_superseded(bench: Bench) -> None:
    """What was taken back stays so."""
    bulletin = bench.queue("tn/main")
    bench.send()
    taken_back = bench.withdraw(bulletin)
    assert refused(bench, taken_back).word == "original-withdrawal"
    with pytest.raises(Problem) as caught:
        bench.queue(supersedes=taken_back)
    assert caught.value.word == "original-withdrawal"


def test_anothers_bulletin_is_unknown(bench: Bench) -> None:
    """Nobody withdraws what he did not send: neither one's own invention nor another desk's."""
    foreign = new_id()
    bench.world.accept(
        bench.world.envelope(
            "dz/main",
            "ly/main",
            outgoing=bench.world.outgoing("dz/main", document("dz/main", foreign)),
        )
    )
    assert refused(bench, foreign).word == "original-unknown"
    assert refused(bench, new_id()).word == "original-unknown"


def test_named_recipients_are_those_of_the_original(bench: Bench) -> None:
    """All of them, and nobody else: who was left out would go on believing it."""
    bulletin = bench.queue("tn/main", "dz/main")
    bench.send()
    assert refused(bench, bulletin, "tn/main", "dz/main", "eg/main").word == "original-desks"
    assert refused(bench, bulletin, "tn/main").word == "bad-parameter"
    taken_back = bench.withdraw(bulletin, "tn/main", "dz/main")
    assert set(bench.states(taken_back)) == {"dz/main", "tn/main"}


def test_who_may_get_nothing_more_does_not_stop_it(bench: Bench) -> None:
    """A rule that came since forbids one desk: the others hear of the withdrawal, and the status says why."""
    bulletin = bench.queue("tn/main", "dz/main")
    bench.send()
    bench.world.policy_text += (
        '@id("not-to-dz")\nforbid (principal, action, resource == Desk::"dz/main");\n'
    )
    bench.world.change_council()
    bench.world.publish()
    taken_back = bench.withdraw(bulletin)
    bench.send()
    assert bench.states(taken_back) == {"dz/main": "refused", "tn/main": "accepted"}
    assert bench.reasons(taken_back)["dz/main"] == "access-denied"


def test_where_nobody_may_get_it_it_is_refused_with_the_rule(bench: Bench) -> None:
    """Then there is nothing to queue."""
    bulletin = bench.queue("dz/main")
    bench.send()
    bench.world.policy_text += (
        '@id("not-to-dz")\nforbid (principal, action, resource == Desk::"dz/main");\n'
    )
    bench.world.change_council()
    bench.world.publish()
    problem = refused(bench, bulletin)
    assert (problem.word, problem.extensions["policies"]) == ("access-denied", ["not-to-dz"])
    assert bench.outgoing(bulletin).withdrawn is None


def test_a_crash_within_leaves_both_as_they_were(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawal and original are one transaction: neither without the other."""
    bulletin = bench.queue("tn/main", "ne/main")
    bench.send()

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("broker.node.outbox.originals.end_unsent", crash)
    with pytest.raises(KeyboardInterrupt):
        bench.withdraw(bulletin)
    monkeypatch.undo()
    bench.restart()
    assert bulletins(bench) == 1
    assert bench.outgoing(bulletin).withdrawn is None
    assert bench.states(bulletin) == {"ne/main": "waiting", "tn/main": "accepted"}
