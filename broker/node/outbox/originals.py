"""Bulletins about earlier ones: what a withdrawal or a correction may name, where it goes, what it ends.

May import `broker.db`'s connections and the node's own rooms; `queueing` asks before it stores, `sealing`
before it seals. The hub refuses for good what goes to a desk that was not sent the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select, update

from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.outbox.deliveries import DeliveryKey, Step, advance, advance_if_allowed
from broker.node.outbox.state import OPEN, DeliveryState, OutboxState, move_outbox
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem

UNSENT: Final = "unsent"
"""The reason of `withdrawn` where nothing had left yet."""

_ENDED_UNSENT: Final = tuple(set(DeliveryState) - OPEN - {DeliveryState.UNRELEASED})


@dataclass(frozen=True, slots=True)
class Original:
    """The bulletin of the same desk that another one withdraws or supersedes.

    Args:
        bulletin_id: its id.
        precedence: of its delivery.
        separately: whether its recipients must not learn of each other.
        sent: desks that were sent it, or may have been.
        waiting: desks that nothing has left for yet.
        unreleased: nobody has released it to anybody.
    """

    bulletin_id: str
    precedence: Precedence
    separately: bool
    sent: frozenset[str]
    waiting: frozenset[str]
    unreleased: bool


def find_original(connection: Connection, desk: str, bulletin_id: str) -> Original:
    """Find the bulletin that is to be withdrawn or superseded.

    Raises:
        Problem: `original-unknown`, `original-withdrawal` (it is a withdrawal itself), or `withdrawn`.
    """
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    row = connection.execute(select(table).where(mine)).one_or_none()
    if row is None:
        raise Problem("original-unknown", f"this node has sent no bulletin {bulletin_id} of {desk}")
    if row.withdraws is not None:
        raise Problem("original-withdrawal")
    if row.withdrawn is not None:
        raise Problem("withdrawn", f"this desk has withdrawn {bulletin_id}")
    rows = _deliveries(connection, desk, bulletin_id)
    sent = _accepted(connection, desk, bulletin_id) | {
        each.recipient for each in rows if each.unsettled
    }
    states = {each.recipient: DeliveryState(each.state) for each in rows}
    return Original(
        bulletin_id=bulletin_id,
        precedence=Precedence(row.precedence),
        separately=bool(row.separately),
        sent=frozenset(sent),
        waiting=frozenset(
            desk
            for desk, state in states.items()
            if desk not in sent and state not in _ENDED_UNSENT
        ),
        # One release is for all: where one desk waits for it, nothing has left to any.
        unreleased=DeliveryState.UNRELEASED in states.values(),
    )


@dataclass(frozen=True, slots=True)
class Followers:
    """The newest own bulletins that withdraw and that supersede another one."""

    withdrawn_by: str | None
    superseded_by: str | None


def followers_of(connection: Connection, desk: str, bulletin_id: str) -> Followers:
    """What became of an own bulletin: who withdraws it, who supersedes it."""
    column = tables.outgoing_bulletin.c

    def newest(named: ColumnElement[Any]) -> str | None:
        query = select(column.bulletin_id).where(column.desk == desk, named == bulletin_id)
        found: str | None = connection.execute(
            query.order_by(column.number.desc()).limit(1)
        ).scalar()
        return found

    return Followers(newest(column.withdraws), newest(column.supersedes))


def _deliveries(connection: Connection, desk: str, bulletin_id: str) -> list[Row[Any]]:
    delivery, envelope = tables.delivery, tables.outgoing_envelope
    query = (
        select(
            delivery.c.recipient,
            delivery.c.state,
            and_(envelope.c.state == OutboxState.SEALED, ~_not_at_the_hub()).label("unsettled"),
        )
        .outerjoin(envelope, envelope.c.envelope_id == delivery.c.envelope_id)
        .where(delivery.c.desk == desk, delivery.c.bulletin_id == bulletin_id)
    )
    return list(connection.execute(query))


def _not_at_the_hub() -> ColumnElement[bool]:
    """Of an `outgoing_envelope` that is sealed: the hub cannot have accepted it.

    It was never submitted; or the hub called its header stale, or lacks its attachments: it looks whether
    it knows an id before it says either.
    """
    envelope, attachment = tables.outgoing_envelope.c, tables.outgoing_attachment.c
    unstored = exists().where(
        attachment.desk == envelope.desk,
        attachment.bulletin_id == envelope.bulletin_id,
        attachment.stored.is_(None),
    )
    return or_(envelope.tries == 0, envelope.must_seal == 1, unstored)


def _accepted(connection: Connection, desk: str, bulletin_id: str) -> set[str]:
    change = tables.delivery_change.c
    query = select(change.recipient).where(
        change.desk == desk,
        change.bulletin_id == bulletin_id,
        change.state == DeliveryState.ACCEPTED,
    )
    return set(connection.execute(query).scalars())


def withdraw(connection: Connection, desk: str, bulletin_id: str, now: datetime) -> None:
    """Withdraw an own bulletin, within the transaction that takes its withdrawal in for good.

    1. Nothing of it is sealed any more (`may_leave`), nor sent again.
    2. Envelopes that the hub cannot have are given up.
    3. Deliveries that nothing carries end: `withdrawn`, for the reason `unsent`. What the hub may have
       accepted is submitted until that is known; its withdrawal waits so long.

    Args:
        connection: a writing transaction.
        desk: the own desk.
        bulletin_id: of the original.
        now: UTC, whole seconds.
    """
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    connection.execute(update(table).where(mine).values(withdrawn=to_seconds(now)))
    envelope = tables.outgoing_envelope
    unsent = select(envelope).where(
        envelope.c.desk == desk,
        envelope.c.bulletin_id == bulletin_id,
        envelope.c.state == OutboxState.SEALED,
        _not_at_the_hub(),
    )
    for row in connection.execute(unsent).all():
        give_up(connection, row)
    end_unsent(connection, desk, bulletin_id, now)


def give_up(connection: Connection, row: Row[Any]) -> None:
    """Give an envelope up: its recipients are free for others, with other ids."""
    envelope, delivery = tables.outgoing_envelope, tables.delivery
    state = move_outbox(OutboxState(row.state), OutboxState.ABANDONED)
    connection.execute(
        update(envelope)
        .where(envelope.c.envelope_id == row.envelope_id)
        .values(state=state, next_try=None)
    )
    connection.execute(
        update(delivery)
        .where(delivery.c.envelope_id == row.envelope_id, delivery.c.state.in_(OPEN))
        .values(envelope_id=None)
    )


def is_withdrawn(connection: Connection, desk: str, bulletin_id: str) -> bool:
    """Whether this desk has withdrawn a bulletin: nothing of it is sealed or sent again."""
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    return connection.execute(select(table.c.withdrawn).where(mine)).scalar_one() is not None


def end_unsent(connection: Connection, desk: str, bulletin_id: str, now: datetime) -> None:
    """End the deliveries of a withdrawn bulletin that no envelope carries."""
    column = tables.delivery.c
    uncarried = select(column.recipient).where(
        column.desk == desk,
        column.bulletin_id == bulletin_id,
        column.state.in_(OPEN | {DeliveryState.UNRELEASED}),
        column.envelope_id.is_(None),
    )
    for recipient in connection.execute(uncarried).scalars().all():
        key = DeliveryKey(desk, bulletin_id, recipient)
        advance(connection, key, Step(DeliveryState.WITHDRAWN, now, UNSENT))


def may_leave() -> ColumnElement[bool]:
    """Of `delivery` joined with its `outgoing_bulletin`: whether it may be sealed.

    Neither withdrawn nor held; and where it withdraws or supersedes another, its recipient's envelope of
    that one was accepted, since the hub refuses it before.
    """
    bulletin, delivery = tables.outgoing_bulletin, tables.delivery
    free = bulletin.c.withdrawn.is_(None) & bulletin.c.held.is_(None)
    return free & or_(_original().is_(None), _has_original(delivery))


def end_orphans(connection: Connection, desk: str, now: datetime) -> None:
    """End deliveries of withdrawals and corrections whose recipient will never get the original."""
    bulletin, delivery = tables.outgoing_bulletin, tables.delivery
    of_original, carrier = tables.delivery.alias("of_original"), tables.outgoing_envelope
    query = (
        select(delivery.c.bulletin_id, delivery.c.recipient)
        .join(
            bulletin,
            and_(
                bulletin.c.desk == delivery.c.desk,
                bulletin.c.bulletin_id == delivery.c.bulletin_id,
            ),
        )
        .join(
            of_original,
            and_(
                of_original.c.desk == delivery.c.desk,
                of_original.c.bulletin_id == _original(),
                of_original.c.recipient == delivery.c.recipient,
            ),
        )
        .outerjoin(carrier, carrier.c.envelope_id == of_original.c.envelope_id)
        .where(
            delivery.c.desk == desk,
            delivery.c.state.in_(OPEN),
            delivery.c.envelope_id.is_(None),
            of_original.c.state.in_(_ENDED_UNSENT),
            # What may have arrived is still being settled, though its delivery expired.
            or_(carrier.c.state.is_(None), carrier.c.state != OutboxState.SEALED),
            ~_has_original(delivery),
        )
    )
    for row in connection.execute(query).all():
        step = Step(DeliveryState.REFUSED, now, "original-desks")
        advance_if_allowed(connection, DeliveryKey(desk, row.bulletin_id, row.recipient), step)


def _original() -> ColumnElement[Any]:
    column = tables.outgoing_bulletin.c
    return func.coalesce(column.withdraws, column.supersedes)


def _has_original(delivery: Any) -> ColumnElement[bool]:
    change = tables.delivery_change.c
    return exists().where(
        change.desk == delivery.c.desk,
        change.bulletin_id == _original(),
        change.recipient == delivery.c.recipient,
        change.state == DeliveryState.ACCEPTED,
    )
