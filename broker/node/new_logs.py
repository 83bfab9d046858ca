"""New logs: what a desk has to do once the council has closed those in which its bulletins were accepted.

May import the node's own rooms; `sending` calls it before the desk goes on. What nobody has answered is sent
again, as new envelopes; a recipient who has it already shows it once, and answers again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, select, update

from broker.db import writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, clear_alarms, raise_alarm
from broker.node.home import Home
from broker.node.inbox.acknowledge import AcknowledgementState
from broker.node.outbox.deliveries import DeliveryKey, Step, advance, queue_for_new_log
from broker.node.outbox.originals import give_up, is_withdrawn
from broker.node.outbox.state import DeliveryState, OutboxState

LOG_CLOSED: Final = "log-closed"
"""The reason of a delivery that is queued again, or ended, because its log was closed."""

_ACCEPTED: Final = (DeliveryState.ACCEPTED, DeliveryState.WITNESSED)


@dataclass(frozen=True, slots=True)
class MovedOn:
    """What a desk sends again: how many deliveries."""

    deliveries: int


def move_on(home: Home, desk: str, origin: str, now: datetime) -> MovedOn:
    """Go on with the exchange log of this origin, in one transaction.

    1. Envelopes that a closed log accepted, and that not all have answered, are given up; what they carried
       to desks that did not answer is queued again. What was withdrawn meanwhile is not: it ends.
    2. Answers of this desk that a closed log did not take are not handed in any more: their senders send
       again.
    3. Places of a closed log are complete by this: what never came is sent again.
    4. The new log is looked at from its first entry on.

    Args:
        home: the node's home.
        desk: an own desk.
        origin: of the exchange log that is followed now.
        now: UTC, whole seconds.
    """
    with writing(home.engine) as connection:
        moved = _send_again(connection, desk, now)
        _give_up_answers(connection, desk)
        _forget_places(connection, desk, origin, now)
        watched = tables.watched
        connection.execute(
            update(watched)
            .where(watched.c.desk == desk)
            .values(origin=origin, size=0, tombstones=0)
        )
        text = f"the log goes on as {origin}; deliveries of {desk} that are sent again: {moved}"
        raise_alarm(connection, AlarmKind.NEW_LOGS, desk, text, now)
    return MovedOn(moved)


def _send_again(connection: Connection, desk: str, now: datetime) -> int:
    envelope, delivery = tables.outgoing_envelope, tables.delivery
    accepted = select(envelope).where(
        envelope.c.desk == desk, envelope.c.state == OutboxState.ACCEPTED
    )
    moved = 0
    for row in connection.execute(accepted).all():
        unanswered = select(delivery.c.recipient).where(
            delivery.c.envelope_id == row.envelope_id, delivery.c.state.in_(_ACCEPTED)
        )
        is_over = is_withdrawn(connection, desk, row.bulletin_id)
        for recipient in connection.execute(unanswered).scalars().all():
            key = DeliveryKey(desk, row.bulletin_id, recipient)
            if is_over:
                advance(connection, key, Step(DeliveryState.WITHDRAWN, now, LOG_CLOSED))
            else:
                queue_for_new_log(connection, key, now, LOG_CLOSED)
                moved += 1
        give_up(connection, row)
    return moved


def _give_up_answers(connection: Connection, desk: str) -> None:
    sent = tables.acknowledgement
    waiting = (sent.c.desk == desk) & (sent.c.state == AcknowledgementState.SIGNED)
    connection.execute(update(sent).where(waiting).values(state=AcknowledgementState.STALE))


def _forget_places(connection: Connection, desk: str, origin: str, now: datetime) -> None:
    place = tables.place
    closed = (place.c.holder == desk) & (place.c.origin != origin)
    pairs = connection.execute(
        select(place.c.sender, place.c.recipient).where(closed).distinct()
    ).all()
    subjects = {f"{row.sender} > {row.recipient}" for row in pairs}
    connection.execute(delete(place).where(closed))
    clear_alarms(connection, AlarmKind.GAP, subjects, now)
