"""What recipients answered counts when they signed it and the log proves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from broker.db import reading
from broker.node import tables
from broker.node.home import Home
from broker.node.watch import note_openings, watched_size
from keys.signing import SigningIdentity
from schemas.acknowledgements import Result
from schemas.errors import Problem
from schemas.receipts import Opening
from schemas.statements import Statement
from tests.unit.node.bench import Bench
from tests.unit.node.world import NodeWorld


@pytest.fixture
def bench(world: NodeWorld, ly: Home) -> Bench:
    """ly/main's outbox."""
    return Bench(world, ly)


def answered(bench: Bench, result: Result, desk: str = "tn/main", **changed: Any) -> None:
    """A desk answers the first envelope, and the sender asks."""
    bench.world.log_answer(bench.world.answer(desk, 0, result, **changed))
    bench.world.later(minutes=2)
    bench.ask()


def sent(bench: Bench, *to: str) -> str:
    """A bulletin that was accepted."""
    bulletin = bench.queue(*to)
    bench.send()
    return bulletin


def test_delivered_then_read(bench: Bench) -> None:
    """Each answer moves the delivery, with its proof and the log's time."""
    bulletin = sent(bench, "tn/main", "dz/main")
    answered(bench, Result.DELIVERED)
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "delivered"}
    answered(bench, Result.READ)
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "read"}
    with reading(bench.home.engine) as connection:
        proofs = connection.execute(
            select(tables.delivery_change.c.proof).where(
                tables.delivery_change.c.recipient == "tn/main"
            )
        ).scalars()
        assert [proof is None for proof in proofs] == [True, True, False, False]


def test_the_sealed_bytes_go_when_everybody_answered(bench: Bench) -> None:
    """Not before: until then they may have to be sent again."""
    sent(bench, "tn/main", "dz/main")
    answered(bench, Result.DELIVERED)
    assert bench.envelopes()[0].sealed is not None
    answered(bench, Result.DELIVERED, "dz/main")
    [row] = bench.envelopes()
    assert (row.state, row.sealed) == ("answered", None)


def test_an_answer_read_twice_changes_nothing(bench: Bench) -> None:
    """Status is asked again and again: one step for each answer."""
    bulletin = sent(bench, "tn/main", "dz/main")
    answered(bench, Result.DELIVERED)
    bench.world.later(minutes=2)
    bench.ask()
    with reading(bench.home.engine) as connection:
        steps = connection.execute(
            select(tables.delivery_change.c.state).where(
                tables.delivery_change.c.recipient == "tn/main"
            )
        ).scalars()
        assert list(steps) == ["queued", "accepted", "delivered"]
    assert bench.states(bulletin)["tn/main"] == "delivered"


def test_cannot_open_is_sealed_again_once(bench: Bench) -> None:
    """A new envelope of the same bulletin, by itself, once; the second time a person must see it."""
    bulletin = sent(bench, "tn/main")
    answered(bench, Result.REJECTED, reason="cannot_open")
    assert bench.states(bulletin) == {"tn/main": "queued"}
    bench.send()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    second = bench.envelopes()[1]
    bench.world.log_answer(
        bench.world.answer("tn/main", second.entry_index, Result.REJECTED, reason="cannot_open")
    )
    bench.world.later(minutes=2)
    bench.ask()
    assert bench.states(bulletin) == {"tn/main": "rejected"}
    assert bench.send() == 0
    assert "rejected" in bench.alarms()


def test_a_desk_that_opened_it_once_cannot_have_it_sealed_again(bench: Bench) -> None:
    """A stolen node identity must not reopen history."""
    bulletin = sent(bench, "tn/main")
    answered(bench, Result.DELIVERED)
    answered(bench, Result.REJECTED, reason="cannot_open")
    assert bench.states(bulletin) == {"tn/main": "delivered"}
    assert bench.send() == 0


def test_a_rejection_with_a_reason_is_an_alarm(bench: Bench) -> None:
    """The sender is told what it did wrong, and nothing is sent again."""
    bulletin = sent(bench, "tn/main")
    answered(bench, Result.REJECTED, reason="padding")
    assert bench.states(bulletin) == {"tn/main": "rejected"}
    assert bench.alarms()["rejected"].endswith("padding")
    assert bench.send() == 0


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"signer": SigningIdentity.generate()}, "hub-fault"),
        ({"index": 7}, "other-leaf"),
        ({"leaf": "0" * 64}, "other-leaf"),
        ({"origin": "another/log/1"}, "other-leaf"),
        ({"exchange": "another-exchange"}, "hub-fault"),
        ({"desk": "dz/main"}, "hub-fault"),
    ],
    ids=["identity", "index", "leaf", "log", "exchange", "desk"],
)
def test_an_answer_that_does_not_verify_is_the_hubs_fault(
    bench: Bench, changed: dict[str, Any], kind: str
) -> None:
    """It moves nothing, raises an alarm, and is asked for again later; another leaf is one of its own."""
    bulletin = sent(bench, "tn/main")
    statement = bench.world.answer("tn/main", 0, Result.DELIVERED, **changed)
    index = bench.world.log_answer(statement)
    status = bench.world.status(0).model_copy(
        update={
            "recipients": (
                bench.world.status(0)
                .recipients[0]
                .model_copy(update={"acknowledgements": (bench.world.proof(index, "ly/main"),)}),
            )
        }
    )

    async def shown(*_arguments: object) -> object:
        return status

    bench.client.status = shown  # type: ignore[method-assign, assignment]
    bench.world.later(minutes=2)
    bench.ask()
    assert bench.states(bulletin) == {"tn/main": "accepted"}
    assert list(bench.alarms()) == [kind]


def test_an_answer_shown_for_another_recipient_is_the_hubs_fault(bench: Bench) -> None:
    """One desk's answer is not another's."""
    bulletin = sent(bench, "dz/main", "tn/main")
    index = bench.world.log_answer(bench.world.answer("tn/main", 0, Result.DELIVERED))
    status = bench.world.status(0)
    proof = bench.world.proof(index, "ly/main")
    moved = status.recipients[0].model_copy(update={"acknowledgements": (proof,)})
    shown_status = status.model_copy(update={"recipients": (moved, status.recipients[1])})

    async def shown(*_arguments: object) -> object:
        return shown_status

    bench.client.status = shown  # type: ignore[method-assign, assignment]
    bench.world.later(minutes=2)
    bench.ask()
    assert bench.states(bulletin) == {"dz/main": "accepted", "tn/main": "accepted"}
    assert "hub-fault" in bench.alarms()


def openings(bench: Bench) -> tuple[Opening, ...]:
    """Everything in the exchange log."""
    return tuple(
        Opening(index=i, salt=item.salt, entry=item.entry, statement=item.statement)
        for i, item in enumerate(bench.world.items)
    )


def watch(bench: Bench, desk: str = "ly/main") -> None:
    """Look at all of the exchange log."""
    size = len(bench.world.items)
    note_openings(
        bench.home, desk, openings(bench), bench.world.exchange_log.origin, size, bench.world.now
    )
    assert watched_size(bench.home, desk) == size


def test_an_answer_in_the_log_makes_the_sender_ask_at_once(bench: Bench) -> None:
    """Without waiting for the next pause to end."""
    bulletin = sent(bench, "tn/main")
    bench.ask()
    bench.world.log_answer(bench.world.answer("tn/main", 0, Result.DELIVERED))
    watch(bench)
    assert bench.ask() == 1
    assert bench.states(bulletin) == {"tn/main": "delivered"}


def _own_key(bench: Bench) -> Statement:
    return bench.world.answer("ly/main", 0, Result.DELIVERED)


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (
            lambda bench: bench.world.log_answer(_own_key(bench)),
            "foreign-acknowledgement",
        ),
        (
            lambda bench: bench.world.accept(bench.world.envelope("ly/main", "dz/main")),
            "foreign-envelope",
        ),
    ],
)
def test_what_a_thief_says_in_our_name_is_an_alarm(
    bench: Bench, log: Callable[[Bench], int], kind: str
) -> None:
    """The log shows it, and this node knows what it signed."""
    bench.world.accept(bench.world.envelope("dz/main", "ly/main"))
    watch(bench)
    assert bench.alarms() == {}
    log(bench)
    watch(bench)
    assert list(bench.alarms()) == [kind]


def test_what_this_node_said_is_no_alarm(bench: Bench) -> None:
    """Its own envelopes and acknowledgements are known by their hash."""
    sent(bench, "tn/main")
    watch(bench)
    assert bench.alarms() == {}


def test_an_envelope_whose_status_is_refused_does_not_hold_up_the_others(bench: Bench) -> None:
    """It is asked for again later, with an alarm; the next one's answer is seen now."""
    sent(bench, "tn/main")
    second = sent(bench, "tn/main")
    bench.world.log_answer(bench.world.answer("tn/main", 1, Result.DELIVERED))
    bench.client.refusals = [Problem("not-found")]
    bench.ask()
    assert bench.states(second) == {"tn/main": "delivered"}
    assert "hub-fault" in bench.alarms()
