"""Tombstones: what the hub says of envelopes that expired before this desk had them, proved and noted.

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
from broker.node.places import EXPIRED, note_places
from broker.tlog.checkpoint import Checkpoint
from broker.tlog.receipt import LogVerifier, verify_receipt
from schemas.entries import EnvelopeExpired
from schemas.errors import Problem
from schemas.receipts import InboxItem, Tombstone
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


def note_expired(connection: Connection, expired: Expired, now: datetime) -> bool:
    """Note why a place stays empty, and tell the analyst what was missed, once.

    Args:
        connection: a writing transaction.
        expired: proved to be in the log that is followed.
        now: UTC, whole seconds.

    Returns:
        Whether this was new: neither the envelope nor its tombstone was here.

    Raises:
        Problem: `place`: the hub gave one place twice.
    """
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
