"""Own bulletins that a quorum of witnesses stands for: their deliveries move from accepted to witnessed.

May import SQLAlchemy, `broker.tlog` and the node's own rooms; `sync` calls it as a quorum cosigns more.
"""

from __future__ import annotations

from sqlalchemy import select

from broker.db import reading, writing
from broker.node import tables
from broker.node.home import Home
from broker.node.outbox.deliveries import DeliveryKey, Step, advance_if_allowed
from broker.node.outbox.state import DeliveryState
from broker.tlog.quorum import Witnessed


def note_witnessed(home: Home, found: Witnessed) -> int:
    """Move what stands in the tree that a quorum cosigned. Returns how many deliveries moved.

    Args:
        home: the node's home.
        found: of the exchange log, proved to be one with the log that is followed.
    """
    delivery, envelope = tables.delivery.c, tables.outgoing_envelope.c
    query = (
        select(delivery.desk, delivery.bulletin_id, delivery.recipient, delivery.envelope_id)
        .join_from(
            tables.delivery,
            tables.outgoing_envelope,
            delivery.envelope_id == envelope.envelope_id,
        )
        .where(
            delivery.state == DeliveryState.ACCEPTED,
            envelope.entry_index < found.checkpoint.size,
        )
    )
    with reading(home.engine) as connection:
        rows = connection.execute(query).all()
    if not rows:
        return 0
    with writing(home.engine) as connection:
        for row in rows:
            key = DeliveryKey(row.desk, row.bulletin_id, row.recipient)
            step = Step(DeliveryState.WITNESSED, found.at, envelope_id=row.envelope_id)
            advance_if_allowed(connection, key, step)
    return len(rows)
