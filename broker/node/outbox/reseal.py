"""Sealing again before acceptance: the hub called a header stale, so that it gets another.

May import `keys` and the node's own rooms; `sending` calls it after it read the directory anew.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, select, update

from broker.db import reading, writing
from broker.node import tables
from broker.node.clock import to_seconds
from broker.node.home import Home
from broker.node.outbox.addressing import (
    Slots,
    created_at,
    keep_header,
    load_outgoing,
    slots_for,
    still_allowed,
    update_envelope,
)
from broker.node.outbox.originals import give_up
from broker.node.outbox.state import OutboxState, move_outbox
from keys.directory import Directory
from keys.envelope import Sealed, address, parse_header
from keys.history import DirectoryState
from schemas.envelope import DirectoryRef, Envelope, Header
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, load_json, parse
from schemas.scalars import member_of

_LIST_BYTES_MAX: Final = 1024 * 1024

_FRESH: Final = timedelta(hours=1)
"""A header that is older, or from the future, is made anew whatever it says: its time may be the trouble."""


def is_needed(home: Home, desk: str) -> bool:
    """Whether an envelope of a desk was called stale and has not been sealed again."""
    column = tables.outgoing_envelope.c
    with reading(home.engine) as connection:
        found = connection.execute(select(column.envelope_id).where(_stale(desk)).limit(1))
        return found.first() is not None


def _stale(desk: str) -> ColumnElement[bool]:
    column = tables.outgoing_envelope.c
    return (column.desk == desk) & (column.state == OutboxState.SEALED) & (column.must_seal == 1)


def seal_again(home: Home, desk: str, state: DirectoryState, now: datetime) -> int:
    """Give new headers and slots to envelopes that the hub called stale; id, key and body stay.

    Where its desks cannot be kept (one has no key any more, or may not get it, or made envelopes of this
    bulletin stale twice), the envelope is given up, and its recipients are sealed to anew.

    Returns:
        How many envelopes were dealt with.
    """
    table = tables.outgoing_envelope
    query = select(table).where(_stale(desk), table.c.expires > to_seconds(now))
    if state.directory is None or state.in_force is None:
        return 0
    with reading(home.engine) as connection:
        rows = connection.execute(query).all()
    for row in rows:
        _seal_again(home, row, state, state.directory, state.in_force, now)
    return len(rows)


def _seal_again(
    home: Home,
    row: Row[Any],
    state: DirectoryState,
    directory: Directory,
    in_force: DirectoryRef,
    now: datetime,
) -> None:
    bulletin = tables.outgoing_bulletin
    mine = (bulletin.c.desk == row.desk) & (bulletin.c.bulletin_id == row.bulletin_id)
    with reading(home.engine) as connection:
        outgoing = load_outgoing(connection.execute(select(bulletin).where(mine)).one())
    old = parse(Envelope, row.sealed, ENVELOPE_BYTES_MAX)
    header = parse_header(old)
    # Their keys are in the body, which stays.
    outgoing = replace(outgoing, attachments=header.attachments)
    allowed = still_allowed(home, outgoing, header.desks, directory, now)
    slots = slots_for(allowed, state, now)
    blamed = _changed(header, slots, state)
    again = blamed & _blamed_before(home, row)
    if (again and len(header.desks) > 1) or tuple(sorted(slots)) != header.desks:
        with writing(home.engine) as connection:
            if _is_sealed(connection, row):
                _note_blamed(connection, row, blamed, again)
                give_up(connection, row)
        return
    if _says_the_same(header, slots, in_force, now):
        with writing(home.engine) as connection:
            if _is_sealed(connection, row):
                update_envelope(connection, row.envelope_id, must_seal=0)
        return
    sealed = Sealed(header.id, header.bulletin.content, header.desks, row.content_key, old.body)
    identity = home.identity(row.desk, directory, now)
    created = created_at(outgoing, now)
    envelope = address(outgoing, sealed, home.exchange, slots, identity, in_force, created)
    with writing(home.engine) as connection:
        if not _is_sealed(connection, row):
            return
        _note_blamed(connection, row, blamed, again)
        keep_header(connection, row.envelope_id, envelope, directory, now)
        update_envelope(
            connection,
            row.envelope_id,
            state=move_outbox(OutboxState(row.state), OutboxState.SEALED),
            sealed=dump_json(envelope),
            must_seal=0,
        )


def _says_the_same(header: Header, slots: Slots, in_force: DirectoryRef, now: datetime) -> bool:
    """Whether a new header would differ by its time alone: a hub that lies must not fill the disk."""
    keyids = {recipient.desk: recipient.keyid for recipient in header.recipients}
    return (
        header.directory == in_force
        and keyids == {desk: keyid for desk, (keyid, _) in slots.items()}
        and abs(now - header.created) <= _FRESH
    )


def _changed(header: Header, slots: Slots, state: DirectoryState) -> frozenset[str]:
    """The desks that made a header stale: their key is another, or their member's file.

    Judged by what this node has verified, whatever the hub says: one that lies splits no envelope.
    """
    named = next((each.directory for each in state.recent if each.ref == header.directory), None)
    directory = state.directory
    keyids = {recipient.desk: recipient.keyid for recipient in header.recipients}
    found = {desk for desk, (keyid, _) in slots.items() if keyid != keyids.get(desk)}
    # Where the council changed, the header would be stale whatever members did.
    if named is not None and directory is not None and named.same_for(directory, ()):
        found |= {
            desk for desk in header.desks if not named.same_for(directory, (member_of(desk),))
        }
    return frozenset(found)


def _blamed_before(home: Home, row: Row[Any]) -> frozenset[str]:
    """The desks that made envelopes of the same bulletin stale before, given up ones too."""
    column = tables.outgoing_envelope.c
    mine = (column.desk == row.desk) & (column.bulletin_id == row.bulletin_id)
    with reading(home.engine) as connection:
        listed = connection.execute(select(column.stale_desks).where(mine)).scalars().all()
    return frozenset(desk for data in listed for desk in load_json(data, _LIST_BYTES_MAX))


def _note_blamed(
    connection: Connection, row: Row[Any], blamed: frozenset[str], again: frozenset[str]
) -> None:
    """Note who made an envelope stale; who did so again gets one of its own, and delays nobody else."""
    known = frozenset(load_json(row.stale_desks, _LIST_BYTES_MAX))
    update_envelope(connection, row.envelope_id, stale_desks=dump_json(sorted(known | blamed)))
    delivery = tables.delivery
    carried = delivery.c.envelope_id == row.envelope_id
    connection.execute(
        update(delivery).where(carried, delivery.c.recipient.in_(again)).values(alone=1)
    )


def _is_sealed(connection: Connection, row: Row[Any]) -> bool:
    """Whether it is still to be sent: its bulletin may have been withdrawn since it was read."""
    column = tables.outgoing_envelope.c
    query = select(column.state).where(column.envelope_id == row.envelope_id)
    return bool(connection.execute(query).scalar_one() == OutboxState.SEALED)
