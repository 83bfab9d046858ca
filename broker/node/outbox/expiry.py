"""Expiry: deliveries that nobody answered in time, and sealed bytes that nobody needs any more.

May import `broker.db` and the node's own rooms; `sync` calls it before it submits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select, update

from broker.db import writing
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import to_seconds
from broker.node.home import Home
from broker.node.outbox.deliveries import DeliveryKey, Step, advance
from broker.node.outbox.originals import is_withdrawn
from broker.node.outbox.state import ANSWERED, DELIVERY_TRANSITIONS, DeliveryState, OutboxState
from schemas.scalars import format_time

KEPT_AFTER_EXPIRY: Final = timedelta(days=30)
"""Sealed bytes that nobody answered are kept so long after `expires` (the protocol)."""

_UNANSWERED: Final = tuple(
    state
    for state, following in DELIVERY_TRANSITIONS.items()
    if DeliveryState.EXPIRED in following and state not in ANSWERED
)


def expire(home: Home, desk: str, now: datetime) -> None:
    """Note what came too late: unanswered deliveries past `expires`, bytes 30 days after it.

    An envelope that may have reached the hub is sent until then: its receipt may only have been lost
    on the way, and the hub knows the bytes again.

    Args:
        home: the node's home.
        desk: an own desk.
        now: UTC, whole seconds.
    """
    with writing(home.engine) as connection:
        _expire_deliveries(connection, desk, now)
        _expire_envelopes(connection, desk, now)


def _expire_deliveries(connection: Connection, desk: str, now: datetime) -> None:
    bulletin, delivery = tables.outgoing_bulletin, tables.delivery
    envelope, at = tables.outgoing_envelope, to_seconds(now)
    late = select(bulletin.c.bulletin_id).where(bulletin.c.desk == desk, bulletin.c.expires <= at)
    # What a person sent again may live longer than the envelopes of the others.
    gone = select(envelope.c.envelope_id).where(envelope.c.desk == desk, envelope.c.expires <= at)
    uncarried = delivery.c.envelope_id.is_(None) & delivery.c.bulletin_id.in_(late)
    rows = connection.execute(
        select(delivery).where(
            delivery.c.desk == desk,
            delivery.c.state.in_(_UNANSWERED),
            uncarried | delivery.c.envelope_id.in_(gone),
        )
    ).all()
    for row in rows:
        key = DeliveryKey(row.desk, row.bulletin_id, row.recipient)
        advance(connection, key, Step(DeliveryState.EXPIRED, now))
        if not is_withdrawn(connection, row.desk, row.bulletin_id):
            subject = f"{row.desk} {row.bulletin_id} {row.recipient}"
            text = f"expired {format_time(now)}; state until then {row.state}"
            raise_alarm(connection, AlarmKind.EXPIRED_UNANSWERED, subject, text, now)


def _expire_envelopes(connection: Connection, desk: str, now: datetime) -> None:
    envelope = tables.outgoing_envelope
    mine = envelope.c.desk == desk
    late = envelope.c.expires <= to_seconds(now)
    long_gone = envelope.c.expires <= to_seconds(now - KEPT_AFTER_EXPIRY)
    never_sent = (envelope.c.state == OutboxState.SEALED) & (envelope.c.tries == 0)
    unsettled = envelope.c.state.in_([OutboxState.SEALED, OutboxState.ACCEPTED])
    ended = {"state": OutboxState.EXPIRED, "next_try": None}
    connection.execute(update(envelope).where(mine, late, never_sent).values(ended))
    connection.execute(update(envelope).where(mine, long_gone, unsettled).values(ended))
    kept = envelope.c.sealed.is_not(None)
    connection.execute(update(envelope).where(mine, long_gone, kept).values(sealed=None))
