"""Envelopes with a minute to live at a live hub, and what becomes of them.

May import the live hub; the tests of expiry call it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from broker.db import reading
from broker.hub.expiry import Expire
from broker.hub.tables import body, envelope, slot
from schemas.entries import EnvelopeExpired
from schemas.envelope import Envelope
from schemas.receipts import EnvelopeStatus, InboxPage, Receipt
from tests.exchange.acting import envelope_id, verified
from tests.exchange.live import LiveHub

SENDER, DESK, OTHER = "ly/main", "tn/main", "ne/main"
LIFE_SECONDS = 60


def short_lived(hub: LiveHub, *desks: str, **changes: Any) -> Envelope:
    """An envelope with a minute to live by the hub's clock."""
    expires = hub.moment() + timedelta(seconds=LIFE_SECONDS)
    return hub.seal(hub.outgoing(SENDER, **({"expires": expires} | changes)), *desks)


def pass_away(hub: LiveHub) -> int:
    """Let what lives short be over, and expire all of it. Returns how many envelopes that were."""
    hub.clock_offset_seconds += LIFE_SECONDS + 1
    counts = [-1]
    while counts[-1] != 0:
        counts += hub.ledger.commit([Expire()])
    return sum(counts) + 1


async def inbox(hub: LiveHub, desk: str = DESK, limit: int = 100, **query: Any) -> InboxPage:
    """One page of an inbox."""
    async with hub.client(desk) as client:
        return await client.inbox(desk, limit=limit, **query)


async def status(hub: LiveHub, sent: Envelope) -> EnvelopeStatus:
    """What its sender is told of an envelope."""
    async with hub.client(SENDER) as client:
        return await client.status(SENDER, envelope_id(sent))


async def body_of(hub: LiveHub, sent: Envelope, desk: str) -> bytes:
    """The ciphertext, as a desk fetches it."""
    async with hub.client(desk) as client:
        return await client.body(SENDER, envelope_id(sent))


def expired_entry(hub: LiveHub, receipt: Receipt | None) -> EnvelopeExpired:
    """The entry of a receipt that must verify."""
    assert receipt is not None
    entry = verified(hub, receipt).entry
    assert isinstance(entry, EnvelopeExpired)
    return entry


def stored(hub: LiveHub, index: int) -> tuple[list[tuple[str, bytes, int]], list[bytes]]:
    """Slots (desk, bytes, answered) and bodies that the database has of an envelope."""
    with reading(hub.ledger.engine) as connection:
        slots = connection.execute(
            select(slot.c.desk, slot.c.slot, slot.c.answered)
            .where(slot.c.entry_index == index)
            .order_by(slot.c.desk)
        ).all()
        bodies = select(body.c.ciphertext).where(body.c.entry_index == index)
        return [(r.desk, r.slot, r.answered) for r in slots], list(
            connection.execute(bodies).scalars()
        )


def end_of(hub: LiveHub, receipt: Receipt) -> int:
    """When an envelope ends, in seconds since 1970."""
    with reading(hub.ledger.engine) as connection:
        query = select(envelope.c.expires).where(envelope.c.entry_index == receipt.index)
        return int(connection.execute(query).scalar_one())
