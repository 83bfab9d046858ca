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
from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, insert, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.home import Home
from broker.node.outbox.addressing import (
    Slots,
    created_at,
    delivery_key,
    keep_header,
    load_outgoing,
    slots_for,
    still_allowed,
)
from broker.node.outbox.attachments import all_stored, all_whole, with_attachments
from broker.node.outbox.deliveries import Step, advance, advance_if_allowed, carry
from broker.node.outbox.holding import is_not_held
from broker.node.outbox.originals import end_orphans, may_leave
from broker.node.outbox.settle import is_due
from broker.node.outbox.state import OPEN, DeliveryState, OutboxState
from keys.directory_state import Publication
from keys.envelope import Outgoing, address, seal_content
from keys.history import DirectoryState
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import Precedence
from schemas.loader import dump_json

SEALED_AT_ONCE: Final = 100
"""Bulletins sealed in one pass: about a second of work."""


@dataclass(frozen=True, slots=True)
class Due:
    """An envelope to submit now: its id, the rank of its precedence (0 is flash), the exact bytes."""

    envelope_id: str
    rank: int
    sealed: bytes = field(repr=False)


def seal_queued(home: Home, desk: str, state: DirectoryState, now: datetime) -> int:
    """Seal what is queued, and what waited for a key that is there by now.

    For each bulletin: recipients that may not get it any more are refused, those without a usable key
    wait, the others get one envelope; a desk that made envelopes stale, or that must not learn of the
    others, gets one of its own. What is more urgent and came meanwhile is not kept waiting: the pass ends.

    Args:
        home: the node's home.
        desk: an own desk.
        state: the newest verified state of the directory log.
        now: UTC, whole seconds.

    Returns:
        How many envelopes were sealed.
    """
    if state.publication is None or state.directory is None:
        return 0
    with writing(home.engine) as connection:
        end_orphans(connection, desk, now)
    sealed = 0
    for row in _bulletins_to_seal(home, desk, state, now, SEALED_AT_ONCE):
        outgoing = with_attachments(home, load_outgoing(row))
        if sealed and is_overtaken(home, desk, state, outgoing.precedence.rank, now):
            break
        recipients = _unsealed(home, outgoing)
        allowed = still_allowed(home, outgoing, tuple(recipients), state.directory, now)
        slots = slots_for(allowed, state, now)
        _note_waiting(home, outgoing, set(allowed) - set(slots), now)
        identity = home.identity(desk, state.directory, now)
        for group in _groups(slots, recipients):
            sealed += _seal(home, outgoing, group, identity, state.publication, now)
    return sealed


def is_overtaken(home: Home, desk: str, state: DirectoryState, rank: int, now: datetime) -> bool:
    """Whether something more urgent than `rank` has yet to be sealed, and can be."""
    if state.directory is None or state.in_force is None:
        return False
    return any(
        Precedence(row.precedence).rank < rank
        for row in _bulletins_to_seal(home, desk, state, now, 1)
    )


def _bulletins_to_seal(
    home: Home, desk: str, state: DirectoryState, now: datetime, limit: int
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
        ids = (
            select(delivery.c.bulletin_id)
            .join(bulletin, _OF_BULLETIN)
            .where(unsealed, ready, may_leave())
            .distinct()
        )
        query = select(bulletin).where(
            bulletin.c.desk == desk,
            bulletin.c.bulletin_id.in_(ids),
            bulletin.c.expires > to_seconds(now),
            all_whole(),
        )
        in_order = case({word.value: word.rank for word in Precedence}, value=bulletin.c.precedence)
        return connection.execute(query.order_by(in_order, bulletin.c.number).limit(limit)).all()


def _unsealed(home: Home, outgoing: Outgoing) -> Mapping[str, bool]:
    """Recipients that no envelope carries, and whether each must have one of its own."""
    column = tables.delivery.c
    query = (
        select(column.recipient, column.alone)
        .join(tables.outgoing_bulletin, _OF_BULLETIN)
        .where(_uncarried(outgoing), may_leave())
    )
    with reading(home.engine) as connection:
        rows = connection.execute(query.order_by(column.recipient)).all()
    return {row.recipient: bool(row.alone) for row in rows}


_OF_BULLETIN: Final = and_(
    tables.outgoing_bulletin.c.desk == tables.delivery.c.desk,
    tables.outgoing_bulletin.c.bulletin_id == tables.delivery.c.bulletin_id,
)


def _uncarried(outgoing: Outgoing) -> ColumnElement[bool]:
    column = tables.delivery.c
    return and_(
        column.desk == outgoing.sender,
        column.bulletin_id == outgoing.bulletin_id,
        column.state.in_(OPEN),
        column.envelope_id.is_(None),
    )


def _note_waiting(home: Home, outgoing: Outgoing, desks: Iterable[str], now: datetime) -> None:
    with writing(home.engine) as connection:
        for desk in sorted(desks):
            step = Step(DeliveryState.WAITING, now)
            advance_if_allowed(connection, delivery_key(outgoing, desk), step)


def _groups(slots: Slots, alone: Mapping[str, bool]) -> list[Slots]:
    together = {desk: slot for desk, slot in slots.items() if not alone[desk]}
    single: list[Slots] = [{desk: slot} for desk, slot in slots.items() if alone[desk]]
    return ([together] if together else []) + single


def _seal(
    home: Home,
    outgoing: Outgoing,
    slots: Slots,
    identity: SigningIdentity,
    publication: Publication,
    now: datetime,
) -> bool:
    """Seal a new envelope and store its bytes. Returns whether it was, and not withdrawn meanwhile.

    A crash before the commit leaves nothing: the id and the content key were never used. A crash
    after it leaves bytes that the next pass submits.
    """
    envelope_id = str(uuid_utils.uuid7())
    sealed = seal_content(outgoing, home.exchange, envelope_id, sorted(slots))
    created, in_force = created_at(outgoing, now), publication.ref
    envelope = address(outgoing, sealed, home.exchange, slots, identity, in_force, created)
    with writing(home.engine) as connection:
        if not set(sealed.desks) <= set(_still_open(connection, outgoing)):
            return False
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
        keep_header(connection, envelope_id, envelope, publication.directory, now)
        for recipient in sealed.desks:
            key = delivery_key(outgoing, recipient)
            advance(connection, key, Step(DeliveryState.QUEUED, now))
            carry(connection, key, envelope_id)
    return True


def _still_open(connection: Connection, outgoing: Outgoing) -> Iterable[str]:
    query = select(tables.delivery.c.recipient).where(_uncarried(outgoing))
    return connection.execute(query).scalars()


def begin_try(home: Home, envelope_id: str) -> bool:
    """Note that an envelope is about to be submitted: from here on the hub may have it.

    Returns:
        False where it must not be submitted any more, since its bulletin was withdrawn.
    """
    column = tables.outgoing_envelope.c
    waiting = (column.envelope_id == envelope_id) & (column.state == OutboxState.SEALED)
    tried = update(tables.outgoing_envelope).where(waiting).values(tries=column.tries + 1)
    with writing(home.engine) as connection:
        return connection.execute(tried).rowcount == 1


def next_due(home: Home, desk: str) -> datetime | None:
    """When an envelope has to be submitted next, or its status asked; None if none has."""
    column = tables.outgoing_envelope.c
    # Nothing is due of an envelope that is held, or whose attachments are still on their way to the hub.
    working = column.state.in_([OutboxState.ACCEPTED, OutboxState.ANSWERED]) | (
        (column.state == OutboxState.SEALED) & all_stored() & is_not_held()
    )
    with reading(home.engine) as connection:
        found = connection.execute(
            select(func.min(column.next_try)).where(column.desk == desk, working)
        ).scalar()
    return None if found is None else from_seconds(found)


def due(home: Home, desk: str, now: datetime, limit: int) -> tuple[Due, ...]:
    """Envelopes to submit now, by precedence, then age."""
    column = tables.outgoing_envelope.c
    query = (
        select(column.envelope_id, column.rank, column.sealed)
        .where(
            column.desk == desk,
            column.state == OutboxState.SEALED,
            column.must_seal == 0,
            is_due(now),
            all_stored(),
            is_not_held(),
        )
        .order_by(column.rank, column.created, column.envelope_id)
        .limit(limit)
    )
    with reading(home.engine) as connection:
        rows = connection.execute(query).all()
    return tuple(Due(row.envelope_id, row.rank, row.sealed) for row in rows)
