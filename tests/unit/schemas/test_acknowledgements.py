"""The order and the reasons of acknowledgements: one rule for hub and auditor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schemas.acknowledgements import (
    CANNOT_OPEN,
    REJECTION_REASONS,
    Acknowledgement,
    Result,
    may_follow,
)
from schemas.errors import PROBLEMS, Fault
from schemas.scalars import parse_time

AT = parse_time("2026-11-24T22:00:00Z")
DELIVERED, READ, REJECTED, WITHDRAWN = Result

FOLLOWS = {
    None: {DELIVERED, REJECTED, WITHDRAWN},
    DELIVERED: {DELIVERED, READ, WITHDRAWN},
    READ: {DELIVERED, READ, WITHDRAWN},
    REJECTED: {REJECTED, WITHDRAWN},
    WITHDRAWN: {DELIVERED, WITHDRAWN},
}


def _answer(result: Result, reason: str | None = None) -> Acknowledgement:
    item = {"from": "ly/main", "id": "019a0000-0000-7000-8000-000000000000"}
    named = {**item, "origin": "o", "index": 1, "leaf": "0" * 64}
    fields: dict[str, Any] = {
        "v": 1,
        "exchange": "tripoli-test",
        "desk": "tn/main",
        "items": (named,),
    }
    return Acknowledgement(**fields, at=AT, result=result, reason=reason)


@pytest.mark.parametrize("before", FOLLOWS, ids=str)
def test_what_may_follow(before: Result | None) -> None:
    """The whole table, written a second time by what comes before."""
    assert {then for then in Result if may_follow(before, then)} == FOLLOWS[before]


def test_a_rejection_that_settles_nothing_comes_at_any_time() -> None:
    """Keys may be lost after a bulletin was read."""
    answer = _answer(REJECTED, CANNOT_OPEN)
    assert not answer.settles
    assert answer.order_fault(READ, is_withdrawn=False) is None
    assert _answer(REJECTED, "padding").order_fault(READ, is_withdrawn=False) is not None


def test_only_the_sender_withdraws() -> None:
    """An answer `withdrawn` needs the sender's withdrawal, whatever was answered before."""
    answer = _answer(WITHDRAWN, "unread")
    for before in (None, *Result):
        assert answer.order_fault(before, is_withdrawn=True) is None
        assert answer.order_fault(before, is_withdrawn=False) == "the sender did not withdraw it"


def test_reasons_of_a_rejection() -> None:
    """`cannot_open`, and whatever the sender can be held to: no hub's fault, and no caller's."""
    faults = {PROBLEMS[word].fault for word in REJECTION_REASONS}
    assert faults == {Fault.SENDER, Fault.NOBODY}
    assert {word for word in REJECTION_REASONS if PROBLEMS[word].fault is Fault.NOBODY} == {
        CANNOT_OPEN
    }
    assert _answer(REJECTED, "padding").reason_fault() is None
    assert _answer(REJECTED, "slot-hash").reason_fault() is not None
    assert _answer(WITHDRAWN, "exported").reason_fault() is None
    assert _answer(WITHDRAWN, "padding").reason_fault() is not None
    assert _answer(DELIVERED).reason_fault() is None


def test_an_answer_is_logged_within_a_day() -> None:
    """24 hours in either direction, and not a second more."""
    day = timedelta(hours=24)
    answer = _answer(DELIVERED)
    assert (answer.time_fault(AT + day), answer.time_fault(AT - day)) == (None, None)
    assert answer.time_fault(AT + day + timedelta(seconds=1)) is not None
    assert answer.time_fault(AT - day - timedelta(seconds=1)) is not None
