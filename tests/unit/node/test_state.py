"""The tables of states: every step that is named is taken, every other is refused."""

from __future__ import annotations

import itertools

import pytest

from broker.db import writing
from broker.node.home import Home
from broker.node.outbox.deliveries import DeliveryKey, Step, advance, begin
from broker.node.outbox.state import (
    ANSWERED,
    DELIVERY_TRANSITIONS,
    OUTBOX_TRANSITIONS,
    DeliveryState,
    OutboxState,
    TransitionForbidden,
    move_delivery,
    move_outbox,
)
from tests.unit.node.world import at


@pytest.mark.parametrize(("now", "then"), list(itertools.product(OutboxState, OutboxState)))
def test_an_envelope_moves_by_the_table_alone(now: OutboxState, then: OutboxState) -> None:
    """Each pair of states is either named or refused."""
    if then in OUTBOX_TRANSITIONS[now]:
        assert move_outbox(now, then) is then
    else:
        with pytest.raises(TransitionForbidden):
            move_outbox(now, then)


@pytest.mark.parametrize(("now", "then"), list(itertools.product(DeliveryState, DeliveryState)))
def test_a_delivery_moves_by_the_table_alone(now: DeliveryState, then: DeliveryState) -> None:
    """Each pair of states is either named or refused."""
    if then in DELIVERY_TRANSITIONS[now]:
        assert move_delivery(now, then) is then
    else:
        with pytest.raises(TransitionForbidden):
            move_delivery(now, then)


def test_every_state_has_its_row() -> None:
    """A new state without a row would be found here, not in the field."""
    assert set(OUTBOX_TRANSITIONS) == set(OutboxState)
    assert set(DELIVERY_TRANSITIONS) == set(DeliveryState)


def test_no_way_leads_back_from_an_answer_but_one() -> None:
    """Only what could not be opened is queued again."""
    back = {
        state
        for state in ANSWERED
        if DELIVERY_TRANSITIONS[state] & {DeliveryState.QUEUED, DeliveryState.WAITING}
    }
    assert back == {DeliveryState.REJECTED}


def test_a_forbidden_step_writes_nothing(ly: Home) -> None:
    """State and history never disagree."""
    key = DeliveryKey("ly/main", "id", "tn/main")
    with writing(ly.engine) as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        begin(connection, key, at())
        with pytest.raises(TransitionForbidden):
            advance(connection, key, Step(DeliveryState.READ, at()))
        assert not advance(connection, key, Step(DeliveryState.QUEUED, at(days=1)))
        count = connection.exec_driver_sql("SELECT count(*) FROM delivery_change").scalar_one()
        assert count == 1
        connection.exec_driver_sql("DELETE FROM delivery")
