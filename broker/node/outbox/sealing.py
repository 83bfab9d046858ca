"""The outbox: bulletins sealed into envelopes, the bytes kept until they are answered.

May import `keys`, `broker.policy` and the node's own rooms; `sync` calls it in a loop, `settle` notes
what the hub answered. The outbox states are in `state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import uuid_utils
from sqlalchemy import Row, case, func, insert, select

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.home import Home
from broker.node.outbox.addressing import (
    Slots,
    delivery_key,
    keep_header,
    load_outgoing,
    slots_for,
    still_allowed,
)
from broker.node.outbox.deliveries import Step, advance, carry
from broker.node.outbox.state import OPEN, DeliveryState, OutboxState
from keys.envelope import Outgoing, address, seal_content
from keys.history import DirectoryState
from schemas.bulletin.vocabularies import Precedence
from schemas.envelope import DirectoryRef
from schemas.loader import dump_json

SEALED_AT_ONCE: Final = 100
"""Bulletins sealed in one pass: about a second of work."""


@dataclass(frozen=True, slots=True)
class Due:
    """An envelope to submit now: its id, and the exact bytes."""

    envelope_id: str
    sealed: bytes = field(repr=False)


def seal_queued(home: Home, desk: str, state: DirectoryState, now: datetime) -> int:
    """Seal what is queued, and what waited for a key that is there by now.

    For each bulletin: recipients that may not get it any more are refused, those without a usable key
    wait, the others get one envelope; a desk that made envelopes stale gets one of its own.

    Args:
        home: the node's home.
        desk: an own desk.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Returns:
        How many envelopes were sealed.
    """
    if state.directory is None or state.in_force is None:
        return 0
    sealed = 0
    for row in _bulletins_to_seal(home, desk, state, now):
        outgoing = load_outgoing(row)
        recipients = _unsealed(home, outgoing)
        allowed = still_allowed(home, outgoing, tuple(recipients), state.directory, now)
        slots = slots_for(allowed, state, now)
        _note_waiting(home, outgoing, set(allowed) - set(slots), now)
        for group in _groups(slots, recipients):
            _seal(home, outgoing, group, state.in_force, now)
            sealed += 1
    return sealed


def _bulletins_to_seal(
    home: Home, desk: str, state: DirectoryState, now: datetime
) -> Sequence[Row[Any]]:
    bulletin, delivery = tables.outgoing_bulletin, tables.delivery
    unsealed = (delivery.c.desk == desk) & delivery.c.envelope_id.is_(None)
    waiting = unsealed & (delivery.c.state == DeliveryState.WAITING)
    with reading(home.engine) as connection:
        desks = connection.execute(select(delivery.c.recipient).where(waiting).distinct()).scalars()
        # Who still waits is not looked at: it must not keep what is newer from being sealed.
        keyed = [each for each in desks if state.sealing_key(each, now) is not None]
        ready = (delivery.c.state == DeliveryState.QUEUED) | (
            (delivery.c.state == DeliveryState.WAITING) & delivery.c.recipient.in_(keyed)
        )
        ids = select(delivery.c.bulletin_id).where(unsealed, ready).distinct()
        query = select(bulletin).where(
            bulletin.c.desk == desk,
            bulletin.c.bulletin_id.in_(ids),
            bulletin.c.expires > to_seconds(now),
        )
        in_order = case({word.value: word.rank for word in Precedence}, value=bulletin.c.precedence)
        return connection.execute(
            query.order_by(in_order, bulletin.c.number).limit(SEALED_AT_ONCE)
        ).all()


def _unsealed(home: Home, outgoing: Outgoing) -> Mapping[str, bool]:
    """Recipients that no envelope carries, and whether each must have one of its own."""
    column = tables.delivery.c
    query = select(column.recipient, column.alone).where(
        column.desk == outgoing.sender,
        column.bulletin_id == outgoing.bulletin_id,
        column.state.in_(OPEN),
        column.envelope_id.is_(None),
    )
    with reading(home.engine) as connection:
        rows = connection.execute(query.order_by(column.recipient)).all()
    return {row.recipient: bool(row.alone) for row in rows}


def _note_waiting(home: Home, outgoing: Outgoing, desks: Iterable[str], now: datetime) -> None:
    with writing(home.engine) as connection:
        for desk in sorted(desks):
            advance(connection, delivery_key(outgoing, desk), Step(DeliveryState.WAITING, now))


def _groups(slots: Slots, alone: Mapping[str, bool]) -> list[Slots]:
    together = {desk: slot for desk, slot in slots.items() if not alone[desk]}
    single: list[Slots] = [{desk: slot} for desk, slot in slots.items() if alone[desk]]
    return ([together] if together else []) + single


def _seal(
    home: Home, outgoing: Outgoing, slots: Slots, directory: DirectoryRef, now: datetime
) -> None:
    """Seal a new envelope and store its bytes.

    A crash before the commit leaves nothing: the id and the content key were never used. A crash
    after it leaves bytes that the next pass submits.
    """
    envelope_id = str(uuid_utils.uuid7())
    sealed = seal_content(outgoing, home.exchange, envelope_id, sorted(slots))
    identity = home.desks[outgoing.sender].node
    envelope = address(outgoing, sealed, home.exchange, slots, identity, directory, now)
    with writing(home.engine) as connection:
        connection.execute(
            insert(tables.outgoing_envelope).values(
                envelope_id=envelope_id,
                desk=outgoing.sender,
                bulletin_id=outgoing.bulletin_id,
                state=OutboxState.SEALED,
                desks=dump_json(list(sealed.desks)),
                content_key=sealed.content_key,
                sealed=dump_json(envelope),
                rank=outgoing.precedence.rank,
                created=to_seconds(now),
                expires=to_seconds(outgoing.expires),
                next_try=to_seconds(now),
                tries=0,
                must_seal=0,
                stale_desks=dump_json([]),
            )
        )
        keep_header(connection, envelope_id, envelope, now)
        for recipient in sealed.desks:
            key = delivery_key(outgoing, recipient)
            advance(connection, key, Step(DeliveryState.QUEUED, now))
            carry(connection, key, envelope_id)


def next_due(home: Home, desk: str) -> datetime | None:
    """When an envelope has to be submitted next, or its status asked; None if none has."""
    column = tables.outgoing_envelope.c
    working = column.state.in_([OutboxState.SEALED, OutboxState.ACCEPTED, OutboxState.ANSWERED])
    with reading(home.engine) as connection:
        found = connection.execute(
            select(func.min(column.next_try)).where(column.desk == desk, working)
        ).scalar()
    return None if found is None else from_seconds(found)


def due(home: Home, desk: str, now: datetime, limit: int) -> tuple[Due, ...]:
    """Envelopes to submit now, by precedence, then age."""
    column = tables.outgoing_envelope.c
    query = (
        select(column.envelope_id, column.sealed)
        .where(
            column.desk == desk,
            column.state == OutboxState.SEALED,
            column.must_seal == 0,
            column.next_try <= to_seconds(now),
        )
        .order_by(column.rank, column.created, column.envelope_id)
        .limit(limit)
    )
    with reading(home.engine) as connection:
        rows = connection.execute(query).all()
    return tuple(Due(row.envelope_id, row.sealed) for row in rows)
