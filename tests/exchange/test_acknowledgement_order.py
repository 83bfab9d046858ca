"""Acknowledgements in their order, with their reasons and times."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keys.dsse import sign_statement
from schemas.acknowledgements import AcknowledgedItem
from schemas.errors import Problem
from schemas.loader import dump_json, to_plain
from schemas.scalars import format_time
from schemas.statements import PayloadType
from tests.exchange.acting import acknowledge, item, submit
from tests.exchange.live import EXCHANGE, LiveHub, new_id, now, run
from tests.exchange.raw import rows


def _say_one(hub: LiveHub, named: AcknowledgedItem, at: str, **changes: Any) -> None:
    """One signed answer of tn/main."""
    fields = {"v": 1, "exchange": EXCHANGE, "desk": "tn/main", "at": at, "items": [to_plain(named)]}
    identity = hub.desks["tn/main"].node
    payload = dump_json(fields | changes)
    statement = sign_statement(PayloadType.ACKNOWLEDGEMENT, payload, EXCHANGE, [identity])
    run(acknowledge(hub, "tn/main", statement))


def _fresh(hub: LiveHub, **changes: Any) -> AcknowledgedItem:
    """An envelope of ly/main to tn/main that nobody has answered."""
    envelope = hub.seal(hub.outgoing("ly/main", **changes), "tn/main")
    return item(hub, envelope, run(submit(hub, envelope)))


def _say(hub: LiveHub, named: AcknowledgedItem, *answers: str) -> None:
    """Answer in that order, each a second after the one before; a reason follows its result."""
    began = now() - timedelta(seconds=len(answers))
    for number, said in enumerate(answers):
        result, _, reason = said.partition(" ")
        changes: dict[str, Any] = {"result": result, **({"reason": reason} if reason else {})}
        at = format_time(began + timedelta(seconds=number))
        _say_one(hub, named, at, **changes)


HONEST = [
    ("delivered", "read"),
    ("delivered", "delivered", "read", "read"),
    ("delivered", "read", "delivered", "read"),
    ("rejected padding", "rejected padding"),
    ("rejected cannot_open", "delivered", "rejected cannot_open", "read"),
]


@pytest.mark.parametrize("answers", HONEST, ids=", ".join)
def test_answers_that_follow(hub: LiveHub, answers: tuple[str, ...]) -> None:
    """What an honest node says, restored from its backup or not, is taken."""
    before = rows(hub)["answer"]
    _say(hub, _fresh(hub), *answers)
    assert rows(hub)["answer"] - before == len(answers)


CONTRADICTIONS = [
    ((), "read", "`read` cannot follow no answer"),
    (("rejected cannot_open",), "read", "`read` cannot follow no answer"),
    (("rejected padding",), "delivered", "`delivered` cannot follow `rejected`"),
    (("rejected padding",), "read", "`read` cannot follow `rejected`"),
    (("delivered",), "rejected padding", "`rejected` cannot follow `delivered`"),
    (("delivered", "read"), "rejected padding", "`rejected` cannot follow `read`"),
    (("delivered",), "withdrawn unread", "the sender did not withdraw it"),
    ((), "rejected no-such-word", "`no-such-word` is no fault of the sender's"),
    ((), "rejected slot-hash", "`slot-hash` is no fault of the sender's"),
    ((), "rejected commitment", "`commitment` is no fault of the sender's"),
    (
        ("delivered",),
        "withdrawn padding",
        "`padding` does not say what became of a withdrawn bulletin",
    ),
]


@pytest.mark.parametrize(
    ("before", "then", "why"), CONTRADICTIONS, ids=lambda value: str(value).replace("/", " ")
)
def test_answers_that_contradict(
    hub: LiveHub, before: tuple[str, ...], then: str, why: str
) -> None:
    """What the auditor would find is refused, and said why."""
    named = _fresh(hub)
    _say(hub, named, *before)
    counted = rows(hub)
    with pytest.raises(Problem) as caught:
        _say(hub, named, then)
    assert caught.value.word == "acknowledgement-items"
    assert caught.value.extensions["items"] == [{**to_plain(named), "why": why}]
    assert rows(hub) == counted


def test_withdrawn_follows_a_withdrawal(hub: LiveHub) -> None:
    """A recipient answers `withdrawn` once its sender withdrew the bulletin from this desk, not before."""
    bulletin = new_id()
    envelope = hub.seal(hub.outgoing("ly/main", bulletin_id=bulletin), "ne/main", "tn/main")
    named = item(hub, envelope, run(submit(hub, envelope)))
    run(submit(hub, hub.seal(hub.outgoing("ly/main", withdraws=bulletin), "ne/main")))
    with pytest.raises(Problem, match="did not withdraw"):
        _say(hub, named, "withdrawn unread")
    run(submit(hub, hub.seal(hub.outgoing("ly/main", withdraws=bulletin), "tn/main")))
    _say(hub, named, "delivered", "withdrawn read")


@pytest.mark.parametrize("hours", [-25, 25])
def test_signed_a_day_away_from_now(hub: LiveHub, hours: int) -> None:
    """An answer of another day is refused whole: its items can be signed anew."""
    before = rows(hub)
    at = format_time(now() + timedelta(hours=hours))
    with pytest.raises(Problem) as caught:
        _say_one(hub, _fresh(hub), at, result="delivered")
    assert caught.value.word == "created-skew"
    assert at in caught.value.detail
    assert rows(hub)["acknowledgement"] == before["acknowledgement"]
