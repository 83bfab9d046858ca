"""Deadlines: own bulletins that nobody answered in the time of their precedence, or that never left.

May import `keys.directory`, `schemas` and the node's own rooms; `conditions` asks it, and keeps the alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, case, func, select

from broker.node import tables
from broker.node.alarms.kinds import AlarmKind
from broker.node.clock import from_seconds, to_seconds
from broker.node.outbox.state import ANSWERED, DeliveryState
from keys.directory import Directory
from schemas.bulletin.vocabularies import Precedence
from schemas.directory import Deadlines
from schemas.scalars import format_time

ALARMS_PER_PRECEDENCE: Final = 250
"""Deliveries of one precedence that get an alarm of their own, the oldest; the others wait behind them."""

ACCEPTED_WITHIN: Final = 3
"""A bulletin that the hub has not accepted after this part of its deadline has a reason here."""

WITNESSED_WITHIN: Final = timedelta(minutes=10)
"""Witnesses look every few seconds: after so long a quorum of them is away (the protocol's Freshness)."""

_NOT_LEFT: Final = (DeliveryState.UNRELEASED, DeliveryState.QUEUED)

_UNANSWERED: Final = (
    *_NOT_LEFT,
    DeliveryState.WAITING,
    DeliveryState.ACCEPTED,
    DeliveryState.WITNESSED,
)

_URGENT: Final = (Precedence.FLASH, Precedence.IMMEDIATE)


def overdue(
    connection: Connection, directory: Directory, now: datetime
) -> dict[AlarmKind, dict[str, str]]:
    """Find what is late: the alarms that there should be, by kind, each subject with its text.

    1. A delivery that is neither delivered, read, rejected nor withdrawn by its deadline, which is counted
       from when the bulletin was queued: `{desk} {bulletin id} {recipient}`, its deputy named.
    2. A bulletin that the hub has not accepted within a third of that: `{desk} {bulletin id}`.
    3. A bulletin that it accepted, and for which no quorum of the council's witnesses stands in time.

    A bulletin that its desk has withdrawn is not late: the withdrawal may be.

    Args:
        connection: of the caller.
        directory: in force; its council sets the deadlines.
        now: UTC, whole seconds.
    """
    deadlines = directory.council.deadlines_seconds
    found: dict[AlarmKind, dict[str, str]] = {
        AlarmKind.UNANSWERED_URGENT: {},
        AlarmKind.UNANSWERED: {},
        AlarmKind.NOT_ACCEPTED: {},
        AlarmKind.NOT_WITNESSED: {},
    }
    for row in connection.execute(late_query(_UNANSWERED, deadlines, 1, now)):
        urgent = row.precedence in _URGENT
        kind = AlarmKind.UNANSWERED_URGENT if urgent else AlarmKind.UNANSWERED
        subject = f"{row.desk} {row.bulletin_id} {row.recipient}"
        found[kind][subject] = _text(row, deadlines) + _deputy(directory, row.recipient, now)
    for row in connection.execute(late_query(_NOT_LEFT, deadlines, ACCEPTED_WITHIN, now)):
        found[AlarmKind.NOT_ACCEPTED][f"{row.desk} {row.bulletin_id}"] = _text(row, deadlines)
    if directory.council.witnesses != "none":
        for row in connection.execute(_unwitnessed_query(now)):
            text = f"accepted {format_time(from_seconds(row.since))}"
            found[AlarmKind.NOT_WITNESSED][f"{row.desk} {row.bulletin_id}"] = text
    return found


def _unwitnessed_query(now: datetime) -> Select[Any]:
    """Own bulletins that stand as accepted, and have for `WITNESSED_WITHIN`; the oldest."""
    delivery, change = tables.delivery.c, tables.delivery_change.c
    since = func.min(change.at).label("since")
    return (
        select(delivery.desk, delivery.bulletin_id, since)
        .join_from(
            tables.delivery,
            tables.delivery_change,
            (delivery.desk == change.desk)
            & (delivery.bulletin_id == change.bulletin_id)
            & (delivery.recipient == change.recipient)
            & (delivery.envelope_id == change.envelope_id),
        )
        .where(
            delivery.state == DeliveryState.ACCEPTED,
            change.state == DeliveryState.ACCEPTED,
            change.at <= to_seconds(now - WITNESSED_WITHIN),
        )
        .group_by(delivery.desk, delivery.bulletin_id)
        .order_by(since)
        .limit(ALARMS_PER_PRECEDENCE)
    )


def answered_late(connection: Connection) -> tuple[str, ...]:
    """The subjects of alarms of expired deliveries of which an answer was learned after all."""
    alarm, delivery = tables.alarm.c, tables.delivery.c
    kind = alarm.kind == AlarmKind.EXPIRED_UNANSWERED
    subjects = connection.execute(select(alarm.subject).where(kind)).scalars().all()
    found = []
    for subject in subjects:
        desk, _, rest = subject.partition(" ")
        bulletin_id, _, recipient = rest.partition(" ")
        state = connection.execute(
            select(delivery.state).where(
                delivery.desk == desk,
                delivery.bulletin_id == bulletin_id,
                delivery.recipient == recipient,
            )
        ).scalar()
        if state in ANSWERED:
            found.append(subject)
    return tuple(found)


def late_query(
    states: Sequence[DeliveryState], deadlines: Deadlines, part: int, now: datetime
) -> Select[Any]:
    """Deliveries in some state for longer than a part of their deadline, of each precedence the oldest.

    The search begins at the states' index: what was answered long ago is not read.

    Args:
        states: those that are late.
        deadlines: of the council.
        part: 1 for the whole deadline, 3 for a third.
        now: UTC, whole seconds.
    """
    delivery, bulletin = tables.delivery, tables.outgoing_bulletin
    same = (delivery.c.desk == bulletin.c.desk) & (delivery.c.bulletin_id == bulletin.c.bulletin_id)
    limits = {str(each): _seconds(deadlines, each) // part for each in Precedence}
    order = (bulletin.c.number, delivery.c.recipient)
    position = func.row_number().over(partition_by=bulletin.c.precedence, order_by=order)
    late = (
        select(
            bulletin.c.number,
            delivery.c.desk,
            delivery.c.bulletin_id,
            delivery.c.recipient,
            delivery.c.state,
            bulletin.c.precedence,
            bulletin.c.queued,
            position.label("position"),
        )
        .select_from(delivery.join(bulletin, same))
        .where(
            delivery.c.state.in_(states),
            bulletin.c.withdrawn.is_(None),
            bulletin.c.queued <= to_seconds(now) - case(limits, value=bulletin.c.precedence),
        )
        .subquery()
    )
    shown = select(late).where(late.c.position <= ALARMS_PER_PRECEDENCE)
    return shown.order_by(late.c.number, late.c.recipient)


def _seconds(deadlines: Deadlines, precedence: str) -> int:
    seconds: int = getattr(deadlines, precedence)
    return seconds


def _text(row: Row[Any], deadlines: Deadlines) -> str:
    queued = from_seconds(row.queued)
    due = queued + timedelta(seconds=_seconds(deadlines, row.precedence))
    return (
        f"precedence {row.precedence}; queued {format_time(queued)}; due {format_time(due)};"
        f" state {row.state}"
    )


def _deputy(directory: Directory, desk: str, now: datetime) -> str:
    view = directory.desk(desk, now)
    return "" if view is None or view.deputy is None else f"; deputy {view.deputy}"
