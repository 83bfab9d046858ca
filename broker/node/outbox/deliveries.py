"""Deliveries: where each bulletin stands on its way to each recipient, and every step with its time.

May import `broker.db`'s connections and the node's tables; `queueing`, `outbox` and `answers` move
deliveries here and nowhere else, so that the state and its history never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.outbox.state import (
    DELIVERY_TRANSITIONS,
    DeliveryState,
    move_delivery,
    move_to_new_log,
    resend_delivery,
)
from schemas.loader import dump_json, load_json

_POLICIES_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class DeliveryKey:
    """One bulletin to one recipient: the sending desk, the bulletin's id, the receiving desk."""

    desk: str
    bulletin_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to a delivery.

    Args:
        state: where it stands now.
        at: since when: the log's time where the log proves it, else the node's.
        reason: why: a problem's word for `refused` and `rejected`; `unsent` for what was withdrawn
            before it left; `resent` for what a person queued again.
        policies: the ids of the access rules, where they decided.
        envelope_id: the envelope that carries it.
        proof: JSON of the AcknowledgementProof, where a recipient answered.
    """

    state: DeliveryState
    at: datetime
    reason: str | None = None
    policies: tuple[str, ...] = ()
    envelope_id: str | None = None
    proof: bytes | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where one bulletin stands with one recipient, and all steps that led there, oldest first."""

    recipient: str
    state: DeliveryState
    steps: tuple[Step, ...]


def begin(
    connection: Connection,
    key: DeliveryKey,
    at: datetime,
    *,
    alone: bool = False,
    state: DeliveryState = DeliveryState.QUEUED,
) -> None:
    """Note that a bulletin is queued for a recipient; `alone`: in an envelope of its own.

    With `state` unreleased, people have yet to release it.
    """
    connection.execute(
        insert(tables.delivery).values(
            desk=key.desk,
            bulletin_id=key.bulletin_id,
            recipient=key.recipient,
            state=state,
            sealed_again=0,
            alone=int(alone),
        )
    )
    _write_step(connection, key, Step(state, at))


def advance(connection: Connection, key: DeliveryKey, step: Step) -> bool:
    """Move a delivery one step; the state that it has already is left as it is.

    Returns:
        Whether it moved.

    Raises:
        TransitionForbidden: the table of states does not name the step.
    """
    now = state_of(connection, key)
    if step.state is now:
        return False
    values: dict[str, Any] = {"state": move_delivery(now, step.state)}
    if step.envelope_id is not None:
        values["envelope_id"] = step.envelope_id
    connection.execute(update(tables.delivery).where(_is(key)).values(values))
    _write_step(connection, key, step)
    return True


def advance_if_allowed(connection: Connection, key: DeliveryKey, step: Step) -> bool:
    """Move a delivery where the table names the step, else leave it. Returns whether it moved."""
    if step.state not in DELIVERY_TRANSITIONS[state_of(connection, key)]:
        return False
    return advance(connection, key, step)


def queue_again(connection: Connection, key: DeliveryKey, at: datetime) -> None:
    """Queue a delivery again because a person said so; a new envelope will carry it.

    Raises:
        TransitionForbidden: nobody may, from the state in which it is.
    """
    state = resend_delivery(state_of(connection, key))
    values: dict[str, Any] = {"state": state, "envelope_id": None}
    connection.execute(update(tables.delivery).where(_is(key)).values(values))
    _write_step(connection, key, Step(state, at, "resent"))


def queue_for_new_log(connection: Connection, key: DeliveryKey, at: datetime, reason: str) -> None:
    """Queue a delivery again because the log in which it was accepted was closed before its desk answered.

    Raises:
        TransitionForbidden: it was not accepted, or has an answer.
    """
    state = move_to_new_log(state_of(connection, key))
    values: dict[str, Any] = {"state": state, "envelope_id": None}
    connection.execute(update(tables.delivery).where(_is(key)).values(values))
    _write_step(connection, key, Step(state, at, reason))


def carry(connection: Connection, key: DeliveryKey, envelope_id: str) -> None:
    """Note which envelope carries a delivery from now on."""
    connection.execute(update(tables.delivery).where(_is(key)).values(envelope_id=envelope_id))


def state_of(connection: Connection, key: DeliveryKey) -> DeliveryState:
    """Where a delivery stands."""
    found = select(tables.delivery.c.state).where(_is(key))
    return DeliveryState(connection.execute(found).scalar_one())


def carrier_of(connection: Connection, key: DeliveryKey) -> str | None:
    """The newest envelope that carries a delivery; None before it is sealed."""
    found = connection.execute(select(tables.delivery.c.envelope_id).where(_is(key)))
    carrier: str | None = found.scalar_one()
    return carrier


def history_of(connection: Connection, key: DeliveryKey) -> set[DeliveryState]:
    """Every state in which a delivery has ever been."""
    column = tables.delivery_change.c
    rows = connection.execute(
        select(column.state).where(
            column.desk == key.desk,
            column.bulletin_id == key.bulletin_id,
            column.recipient == key.recipient,
        )
    )
    return {DeliveryState(state) for state in rows.scalars()}


def was_noted(
    connection: Connection, key: DeliveryKey, state: DeliveryState, envelope_id: str
) -> bool:
    """Whether this answer to this envelope moved the delivery before."""
    column = tables.delivery_change.c
    query = select(column.change_id).where(
        column.desk == key.desk,
        column.bulletin_id == key.bulletin_id,
        column.recipient == key.recipient,
        column.state == state,
        column.envelope_id == envelope_id,
    )
    return connection.execute(query.limit(1)).first() is not None


def states_of(
    connection: Connection, desk: str, bulletin_ids: Sequence[str]
) -> Mapping[str, dict[str, DeliveryState]]:
    """Bulletin id → recipient → state, for a list of own bulletins."""
    rows = connection.execute(
        select(tables.delivery)
        .where(tables.delivery.c.desk == desk, tables.delivery.c.bulletin_id.in_(bulletin_ids))
        .order_by(tables.delivery.c.recipient)
    )
    found: dict[str, dict[str, DeliveryState]] = {each: {} for each in bulletin_ids}
    for row in rows:
        found[row.bulletin_id][row.recipient] = DeliveryState(row.state)
    return found


def deliveries_of(connection: Connection, desk: str, bulletin_id: str) -> tuple[Delivery, ...]:
    """All deliveries of a bulletin with their steps, by recipient."""
    changes = tables.delivery_change
    rows = connection.execute(
        select(changes)
        .where(changes.c.desk == desk, changes.c.bulletin_id == bulletin_id)
        .order_by(changes.c.change_id)
    )
    steps: dict[str, list[Step]] = {}
    for row in rows:
        steps.setdefault(row.recipient, []).append(_step(row))
    return tuple(
        Delivery(recipient, found[-1].state, tuple(found))
        for recipient, found in sorted(steps.items())
    )


def _is(key: DeliveryKey) -> Any:
    columns = tables.delivery.c
    return (
        (columns.desk == key.desk)
        & (columns.bulletin_id == key.bulletin_id)
        & (columns.recipient == key.recipient)
    )


def _write_step(connection: Connection, key: DeliveryKey, step: Step) -> None:
    connection.execute(
        insert(tables.delivery_change).values(
            desk=key.desk,
            bulletin_id=key.bulletin_id,
            recipient=key.recipient,
            state=step.state,
            at=to_seconds(step.at),
            reason=step.reason,
            policies=dump_json(list(step.policies)) if step.policies else None,
            envelope_id=step.envelope_id,
            proof=step.proof,
        )
    )


def _step(row: Row[Any]) -> Step:
    policies = [] if row.policies is None else load_json(row.policies, _POLICIES_BYTES_MAX)
    return Step(
        DeliveryState(row.state),
        from_seconds(row.at),
        row.reason,
        tuple(policies),
        row.envelope_id,
        row.proof,
    )
