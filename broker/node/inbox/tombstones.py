"""Tombstones: what the hub says of envelopes that ended before this desk had them, proved and noted.

May import `broker.tlog` and the node's own rooms; `fetching` calls it with what a page of the inbox holds.
A tombstone explains an empty place: it is believed only so far as the log proves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from broker.db import reading
from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.home import Home
from broker.node.inbox.receive import Arrived, check_entry
from broker.node.inbox.received import find_shown
from broker.node.inbox.storing import missed_subject
from broker.node.places import EXPIRED, PURGED, note_places
from broker.node.purged import Purged, check_purged
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier, place_hash, verify_receipt
from keys.history import DirectoryState
from schemas.entries import EnvelopeExpired
from schemas.errors import Problem
from schemas.receipts import InboxItem, Place, PurgedTombstone, Tombstone
from schemas.scalars import format_time


@dataclass(frozen=True, slots=True)
class Expired:
    """An envelope that the log shows as accepted for this desk, and later as expired."""

    arrived: Arrived
    at: datetime
    index: int
    """Of its `envelope.expired` entry."""
    checkpoint: Checkpoint


def check_tombstone(tombstone: Tombstone, desk: str, log: LogVerifier) -> Expired:
    """Verify a tombstone; the caller proves that both trees are the log that it follows.

    1. The envelope was accepted for this desk, at the place told (the plan of `receive`, 1 to 3).
    2. The other entry is in the log, behind the first, and says that this envelope expired.
    3. It was not written before the header's `expires`: the hub cannot end an envelope early.

    Args:
        tombstone: as the hub served it.
        desk: the own desk that it was served to.
        log: the exchange log's keys.

    Raises:
        Faulty: the hub's fault (1).
        Problem: the hub's fault (2, 3).
    """
    # The entry alone is looked at: no slot and no body is left of it.
    item = InboxItem(statement=tombstone.statement, slot=b"", receipt=tombstone.receipt)
    arrived = check_entry(item, desk, log)
    verified = verify_receipt(tombstone.expired, log)
    entry, header = verified.entry, arrived.header
    if not isinstance(entry, EnvelopeExpired) or (entry.from_, entry.id) != (
        header.from_,
        header.id,
    ):
        raise Problem("entry-invalid", "the entry does not say that this envelope expired")
    if verified.index <= arrived.index or entry.at < header.expires:
        raise Problem("entry-invalid", "the envelope is said to have expired before its time")
    return Expired(arrived, entry.at, verified.index, verified.checkpoint)


@dataclass(frozen=True, slots=True)
class Destroyed:
    """An envelope whose opening was destroyed under an order: who sent it, and at which place."""

    desk: str
    sender: str
    place: Place
    purged: Purged

    @property
    def index(self) -> int:
        """Of its `opening.purged` entry."""
        return self.purged.index

    @property
    def checkpoint(self) -> Checkpoint:
        """Of the tree that holds that entry."""
        return self.purged.checkpoint


def check_destroyed(
    tombstone: PurgedTombstone, desk: str, log: LogVerifier, state: DirectoryState
) -> Destroyed:
    """Verify what is left of a destroyed envelope; the caller proves that its tree is the log it follows.

    Who sent it is the hub's word: where it names another than the sender, that desk's place stays empty here,
    and the sender's own numbers show what this one covers.

    Args:
        tombstone: as the hub served it.
        desk: the own desk that it was served to.
        log: the exchange log's keys.
        state: of the directory log at the entry's `directory_size`.

    Raises:
        Problem: the hub's fault.
    """
    purged = check_purged(tombstone.purged, log, state)
    place = tombstone.place
    is_ours = place.desk == desk and purged.order.origin == log.origin
    if not is_ours or place_hash(place.place_salt, place.n) not in purged.places:
        raise Problem("place", f"entry {purged.order.index} gave {desk} no such place")
    return Destroyed(desk, tombstone.from_, place, purged)


def note_ended(connection: Connection, ended: Expired | Destroyed, now: datetime) -> bool:
    """Note why a place stays empty, and tell the analyst what was missed, once.

    Args:
        connection: a writing transaction.
        ended: proved to be in the log that is followed.
        now: UTC, whole seconds.

    Returns:
        Whether this was new: neither the envelope nor its tombstone was here.

    Raises:
        Problem: `place`: the hub gave one place twice, or one entry two places.
    """
    if isinstance(ended, Destroyed):
        return _note_destroyed(connection, ended, now)
    return _note_expired(connection, ended, now)


def _note_destroyed(connection: Connection, ended: Destroyed, now: datetime) -> bool:
    column, order = tables.place.c, ended.purged.order
    held = connection.execute(
        select(column.sender, column.n).where(
            column.holder == ended.desk,
            column.recipient == ended.desk,
            column.origin == order.origin,
            column.entry_index == order.index,
        )
    ).one_or_none()
    if held is not None and (held.sender, held.n) != (ended.sender, ended.place.n):
        raise Problem("place", f"entry {order.index} is place {held.n} from {held.sender}")
    if held is not None:
        return False
    note_places(
        connection, ended.desk, ended.sender, order.origin, order.index, (ended.place,), PURGED
    )
    raise_alarm(
        connection,
        AlarmKind.MISSED,
        f"{ended.desk} {ended.sender} entry {order.index}",
        f"entry {order.index} of {order.origin}, from {ended.sender}, was destroyed"
        f" {format_time(ended.purged.at)} under an order of the council, before this node had it:"
        f" {order.reason.en}",
        now,
    )
    return True


def _note_expired(connection: Connection, expired: Expired, now: datetime) -> bool:
    arrived, header = expired.arrived, expired.arrived.header
    desk, sender, places = arrived.desk, header.from_, arrived.item.receipt.places
    if _is_accounted_for(connection, arrived):
        return False
    note_places(connection, desk, sender, arrived.origin, arrived.index, places, EXPIRED)
    if find_shown(connection, desk, sender, header.bulletin.id) is None:
        raise_alarm(
            connection,
            AlarmKind.MISSED,
            missed_subject(desk, sender, header.bulletin.id),
            f"{header.precedence} from {sender}, sealed {format_time(header.created)}, expired"
            f" {format_time(header.expires)} before this node had it",
            now,
        )
    return True


def _is_accounted_for(connection: Connection, arrived: Arrived) -> bool:
    """Whether the envelope's place is held, since it is stored, or explained already."""
    column = tables.place.c
    query = select(column.n).where(
        column.holder == arrived.desk,
        column.sender == arrived.header.from_,
        column.recipient == arrived.desk,
        column.origin == arrived.origin,
        column.entry_index == arrived.index,
    )
    return connection.execute(query).first() is not None


def next_tombstone(home: Home, desk: str) -> int:
    """The index of the exchange log from which a desk asks for tombstones."""
    column = tables.watched.c
    with reading(home.engine) as connection:
        found = connection.execute(select(column.tombstones).where(column.desk == desk))
        return found.scalar_one_or_none() or 0


def move_cursor(connection: Connection, desk: str, index: int) -> None:
    """Ask from this index on the next time; what lies before it was noted.

    A desk that has not looked at the log yet has no cursor: it asks from the beginning again.
    """
    mine = tables.watched.c.desk == desk
    connection.execute(update(tables.watched).where(mine).values(tombstones=index))
