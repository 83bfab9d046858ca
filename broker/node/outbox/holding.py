"""Holding: what does not leave while the directory is over the grace, and what a person lets leave then.

May import `schemas` and the node's own rooms; `sending` holds before it seals or submits, a route confirms.
Receiving is not touched. When the directory is fresh again, everything leaves by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, insert, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.freshness import Freshness, freshness_of
from broker.node.home import Home
from broker.node.outbox.state import OPEN, DeliveryState, OutboxState
from keys.directory import Directory
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem

URGENT: Final = (Precedence.FLASH, Precedence.IMMEDIATE)
"""What may leave after a person's confirmation (the protocol's Freshness)."""

REASON: Final = "directory-over-grace"
"""The problem's word that says why something waits."""

HELD_AT_ONCE: Final = 500
"""Bulletins held or freed in one transaction."""

UNSENT: Final = (*OPEN, DeliveryState.UNRELEASED)
"""Delivery states of what has not left for good."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A person let a bulletin leave though the directory was over the grace.

    Args:
        by: the person, as the token's holder named them.
        token_id: of the token that the call carried, with
        token_name: its name.
        at: when.
        directory_verified: when the directory had last been found fresh; None: never.
        ended: when the directory was fresh again; this lets nothing leave any more.
    """

    by: str
    token_id: str
    token_name: str
    at: datetime
    directory_verified: datetime | None
    ended: datetime | None = None


def is_not_held() -> ColumnElement[bool]:
    """Of `outgoing_envelope`: whether its bulletin is not held."""
    bulletin, envelope = tables.outgoing_bulletin.c, tables.outgoing_envelope.c
    return ~exists().where(
        bulletin.desk == envelope.desk,
        bulletin.bulletin_id == envelope.bulletin_id,
        bulletin.held.is_not(None),
    )


def is_waiting() -> ColumnElement[bool]:
    """Of `outgoing_bulletin`: whether it is held, and has still somebody to go to."""
    bulletin = tables.outgoing_bulletin.c
    return and_(bulletin.held.is_not(None), bulletin.withdrawn.is_(None), _has_deliveries(OPEN))


def hold(home: Home, desk: str, directory: Directory | None, now: datetime) -> None:
    """Hold what must not leave now, and free what may again.

    1. Over the grace everything that has not been accepted is held, but for flash and immediate that a
       person confirmed. What was withdrawn is not: of it is submitted only what the hub may have already.
    2. Once it is not, nothing is held any more, and the confirmations end.
    3. What is freed and was sealed before is looked at again before it leaves: the directory by which
       it was sealed may not be in force any more.

    A crash in between leaves some of it held or freed; the next pass does the rest.

    Args:
        home: the node's home.
        desk: an own desk.
        directory: in force.
        now: UTC, whole seconds.
    """
    if directory is None:
        return
    while True:
        with reading(home.engine) as connection:
            over = freshness_of(connection, directory, now).over_grace
            held = _to_hold(connection, desk) if over else ()
            freed = _to_free(connection, desk, over=over)
            ended = not over and _has_confirmation(connection, desk)
        if not held and not freed and not ended:
            return
        with writing(home.engine) as connection:
            _set_held(connection, desk, held, to_seconds(now))
            _set_held(connection, desk, freed, None)
            _seal_again(connection, desk, freed)
            if ended:
                _end_confirmations(connection, desk, now)


def confirm(
    home: Home, desk: str, bulletin_id: str, directory: Directory, confirmation: Confirmation
) -> Confirmation:
    """Let an urgent bulletin leave under a directory that is over the grace; asked again, the same.

    Args:
        home: the node's home.
        desk: an own desk.
        bulletin_id: of its bulletin.
        directory: in force.
        confirmation: who and when; its `directory_verified` is filled in here.

    Returns:
        What is kept, or was before.

    Raises:
        Problem: `not-found`; `withdrawn`; `directory-over-grace` where it is not urgent, so that nobody
            can let it leave; `bad-parameter` where it has left, or nothing keeps it from leaving.
    """
    now = confirmation.at
    with writing(home.engine) as connection:
        row = _find(connection, desk, bulletin_id)
        earlier = [
            each for each in confirmations_of(connection, desk, bulletin_id) if not each.ended
        ]
        if earlier:
            return earlier[-1]
        freshness = freshness_of(connection, directory, now)
        _check_confirmable(connection, row, freshness)
        verified = freshness.verified
        connection.execute(
            insert(tables.confirmation).values(
                desk=desk,
                bulletin_id=bulletin_id,
                by=confirmation.by,
                token_id=confirmation.token_id,
                token_name=confirmation.token_name,
                at=to_seconds(now),
                directory_verified=None if verified is None else to_seconds(verified),
            )
        )
        return confirmations_of(connection, desk, bulletin_id)[-1]


def confirmations_of(
    connection: Connection, desk: str, bulletin_id: str
) -> tuple[Confirmation, ...]:
    """Every confirmation of a bulletin, the oldest first."""
    table = tables.confirmation
    query = select(table).where(table.c.desk == desk, table.c.bulletin_id == bulletin_id)
    return tuple(
        Confirmation(
            row.by,
            row.token_id,
            row.token_name,
            from_seconds(row.at),
            None if row.directory_verified is None else from_seconds(row.directory_verified),
            None if row.ended is None else from_seconds(row.ended),
        )
        for row in connection.execute(query.order_by(table.c.number))
    )


def _find(connection: Connection, desk: str, bulletin_id: str) -> Row[Any]:
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & (table.c.bulletin_id == bulletin_id)
    row = connection.execute(select(table).where(mine)).one_or_none()
    if row is None:
        raise Problem("not-found", "this desk has sent no such bulletin")
    if row.withdrawn is not None:
        raise Problem("withdrawn", f"this desk has withdrawn {bulletin_id}")
    return row


def _check_confirmable(connection: Connection, row: Row[Any], freshness: Freshness) -> None:
    delivery = tables.delivery.c
    unsent = select(delivery.recipient).where(
        delivery.desk == row.desk,
        delivery.bulletin_id == row.bulletin_id,
        delivery.state.in_(UNSENT),
    )
    if connection.execute(unsent.limit(1)).first() is None:
        raise Problem("bad-parameter", "nothing of this bulletin waits to leave")
    if not freshness.over_grace:
        raise Problem("bad-parameter", "the directory is within the grace: nothing is to confirm")
    if row.precedence not in URGENT:
        raise Problem(
            REASON, f"a {row.precedence} bulletin waits for a fresh directory, whoever confirms it"
        )


def _has_deliveries(states: Collection[DeliveryState]) -> ColumnElement[bool]:
    bulletin, delivery = tables.outgoing_bulletin.c, tables.delivery.c
    return exists().where(
        delivery.desk == bulletin.desk,
        delivery.bulletin_id == bulletin.bulletin_id,
        delivery.state.in_(states),
    )


def _may_leave() -> ColumnElement[bool]:
    """Of `outgoing_bulletin`: whether it is not held even over the grace."""
    bulletin, confirmation = tables.outgoing_bulletin.c, tables.confirmation.c
    confirmed = bulletin.precedence.in_(URGENT) & exists().where(
        confirmation.desk == bulletin.desk,
        confirmation.bulletin_id == bulletin.bulletin_id,
        confirmation.ended.is_(None),
    )
    return confirmed | bulletin.withdrawn.is_not(None)


def _to_hold(connection: Connection, desk: str) -> Sequence[str]:
    bulletin, delivery = tables.outgoing_bulletin.c, tables.delivery.c
    same = and_(delivery.desk == bulletin.desk, delivery.bulletin_id == bulletin.bulletin_id)
    query = (
        select(bulletin.bulletin_id)
        .join(tables.delivery, same)
        .where(
            delivery.state.in_(OPEN), bulletin.desk == desk, bulletin.held.is_(None), ~_may_leave()
        )
        .distinct()
    )
    return connection.execute(query.limit(HELD_AT_ONCE)).scalars().all()


def _to_free(connection: Connection, desk: str, *, over: bool) -> Sequence[str]:
    bulletin = tables.outgoing_bulletin.c
    query = select(bulletin.bulletin_id).where(bulletin.desk == desk, bulletin.held.is_not(None))
    if over:
        query = query.where(_may_leave())
    return connection.execute(query.limit(HELD_AT_ONCE)).scalars().all()


def _set_held(
    connection: Connection, desk: str, bulletin_ids: Sequence[str], at: int | None
) -> None:
    if not bulletin_ids:
        return
    table = tables.outgoing_bulletin
    mine = (table.c.desk == desk) & table.c.bulletin_id.in_(bulletin_ids)
    connection.execute(update(table).where(mine).values(held=at))


def _seal_again(connection: Connection, desk: str, bulletin_ids: Sequence[str]) -> None:
    if not bulletin_ids:
        return
    table, bulletin = tables.outgoing_envelope, tables.outgoing_bulletin.c
    # Of what was withdrawn the same bytes are submitted until it is known whether the hub has them.
    alive = select(bulletin.bulletin_id).where(
        bulletin.desk == desk,
        bulletin.bulletin_id.in_(bulletin_ids),
        bulletin.withdrawn.is_(None),
    )
    sealed = (table.c.state == OutboxState.SEALED) & table.c.bulletin_id.in_(alive)
    mine = (table.c.desk == desk) & sealed
    connection.execute(update(table).where(mine).values(must_seal=1))


def _has_confirmation(connection: Connection, desk: str) -> bool:
    column = tables.confirmation.c
    query = select(column.number).where(column.desk == desk, column.ended.is_(None))
    return connection.execute(query.limit(1)).first() is not None


def _end_confirmations(connection: Connection, desk: str, now: datetime) -> None:
    table = tables.confirmation
    mine = (table.c.desk == desk) & table.c.ended.is_(None)
    connection.execute(update(table).where(mine).values(ended=to_seconds(now)))
