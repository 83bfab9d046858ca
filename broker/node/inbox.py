"""The inbox: every envelope stored once, with its place, its evidence and the answer it is owed.

May import `broker.db`'s connections and the node's tables; `fetching` stores, the routes list and read.
What stands here was verified by `receive`, each function runs within its caller's one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_once

from broker.node import tables
from broker.node.acknowledge import Logged, note_answer
from broker.node.alarms import AlarmKind, raise_alarm
from broker.node.clock import from_seconds, to_seconds
from broker.node.places import note_places
from broker.node.receive import Arrived, Opened
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from schemas.loader import dump_json


class Stored(StrEnum):
    """What storing an envelope came to."""

    NEW = "new"
    """A bulletin that nobody here has seen."""
    AGAIN = "again"
    """A bulletin that came before, in another envelope: answered again, shown once."""
    TWO_CONTENTS = "two_contents"
    """Another content came under this id before: both are kept, this one is quarantined."""
    REJECTED = "rejected"
    """It did not open, or broke a rule: kept as evidence, and answered so."""
    KNOWN = "known"
    """This very envelope was stored before: nothing changed."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A received bulletin as a list shows it; its title stands in the document."""

    number: int
    sender: str
    bulletin_id: str
    document: bytes
    precedence: Precedence
    received: datetime
    read: datetime | None


@dataclass(frozen=True, slots=True)
class Received:
    """A received bulletin with the facts by which it was verified, of its first envelope."""

    summary: Summary
    content: str
    envelope_id: str
    origin: str
    index: int
    leaf: str
    statement: bytes
    receipt: bytes


def is_known(connection: Connection, desk: str, sender: str, envelope_id: str) -> bool:
    """Whether an envelope was stored before."""
    column = tables.incoming_envelope.c
    found = select(column.entry_index).where(
        column.desk == desk, column.sender == sender, column.envelope_id == envelope_id
    )
    return connection.execute(found).first() is not None


def store_opened(
    connection: Connection, arrived: Arrived, opened: Opened, body: bytes, now: datetime
) -> Stored:
    """Store an opened envelope: bulletin, evidence, place and pending answer, all or nothing.

    Args:
        connection: the caller's one transaction.
        arrived: the envelope and its proven entry.
        opened: what was inside, verified to the end.
        body: the ciphertext.
        now: UTC, whole seconds.

    Raises:
        Problem: `place`: the hub gave one place twice.
    """
    header = arrived.header
    if is_known(connection, arrived.desk, header.from_, header.id):
        return Stored.KNOWN
    note_places(
        connection,
        arrived.desk,
        header.from_,
        arrived.origin,
        arrived.index,
        arrived.item.receipt.places,
    )
    shown = _find(connection, arrived.desk, header.from_, header.bulletin.id)
    differs = shown is not None and shown.content != header.bulletin.content
    _store_bulletin(connection, arrived, opened, now, quarantined=differs)
    reason = "bulletin-differs" if differs else None
    _store_envelope(connection, arrived, body, opened.content_key, reason, now)
    _answer(connection, arrived, reason, now)
    if differs:
        raise_alarm(
            connection,
            AlarmKind.TWO_CONTENTS,
            f"{arrived.desk} {header.from_} {header.bulletin.id}",
            f"{header.from_} gave two contents to one bulletin: both headers are kept as evidence",
            now,
        )
        return Stored.TWO_CONTENTS
    if shown is None:
        return Stored.NEW
    if shown.read is not None:
        # Read before its second envelope came, so that it is read in that one too.
        note_answer(connection, arrived.desk, _logged(arrived), Result.READ, None, now)
    return Stored.AGAIN


def store_rejected(
    connection: Connection,
    arrived: Arrived,
    problem: Problem,
    content_key: bytes | None,
    body: bytes,
    now: datetime,
) -> Stored:
    """Store an envelope that is answered with `rejected`, in quarantine, as evidence.

    Args:
        connection: the caller's one transaction.
        arrived: the envelope and its proven entry.
        problem: why; its word is the answer's reason.
        content_key: 32 bytes, which prove a sender's fault; None where the slot did not open.
        body: the ciphertext.
        now: UTC, whole seconds.

    Raises:
        Problem: `place`: the hub gave one place twice.
    """
    header = arrived.header
    if is_known(connection, arrived.desk, header.from_, header.id):
        return Stored.KNOWN
    note_places(
        connection,
        arrived.desk,
        header.from_,
        arrived.origin,
        arrived.index,
        arrived.item.receipt.places,
    )
    _store_envelope(connection, arrived, body, content_key, problem.word, now)
    _answer(connection, arrived, problem.word, now)
    raise_alarm(
        connection,
        AlarmKind.QUARANTINED,
        f"{arrived.desk} {header.from_} {header.id}",
        f"an envelope of {header.from_} was rejected: {problem.word}",
        now,
    )
    return Stored.REJECTED


def _store_bulletin(
    connection: Connection, arrived: Arrived, opened: Opened, now: datetime, *, quarantined: bool
) -> None:
    new = insert_once(tables.incoming_bulletin).values(
        desk=arrived.desk,
        sender=arrived.header.from_,
        bulletin_id=arrived.header.bulletin.id,
        content=arrived.header.bulletin.content,
        document=opened.document,
        envelope_id=arrived.header.id,
        rank=arrived.header.precedence.rank,
        received=to_seconds(now),
        quarantined=int(quarantined),
        retain_until=_seconds_or_none(opened.retain_until),
        review_by=_seconds_or_none(opened.review_by),
    )
    connection.execute(new.on_conflict_do_nothing())


def _seconds_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_seconds(moment)


def _store_envelope(
    connection: Connection,
    arrived: Arrived,
    body: bytes,
    content_key: bytes | None,
    reason: str | None,
    now: datetime,
) -> None:
    header, item = arrived.header, arrived.item
    connection.execute(
        insert(tables.incoming_envelope).values(
            desk=arrived.desk,
            sender=header.from_,
            envelope_id=header.id,
            origin=arrived.origin,
            entry_index=arrived.index,
            leaf=arrived.leaf,
            bulletin_id=header.bulletin.id,
            content=header.bulletin.content,
            statement=dump_json(item.statement),
            slot=item.slot,
            body=body,
            receipt=dump_json(item.receipt),
            content_key=content_key,
            reason=reason,
            received=to_seconds(now),
        )
    )


def _answer(connection: Connection, arrived: Arrived, reason: str | None, now: datetime) -> None:
    result = Result.DELIVERED if reason is None else Result.REJECTED
    note_answer(connection, arrived.desk, _logged(arrived), result, reason, now)


def _logged(arrived: Arrived) -> Logged:
    return Logged(
        arrived.header.from_, arrived.header.id, arrived.origin, arrived.index, arrived.leaf
    )


def list_received(
    connection: Connection,
    desk: str,
    *,
    unread: bool,
    after: tuple[int, int] | None,
    limit: int,
) -> Sequence[Summary]:
    """Received bulletins by precedence, then arrival; what is quarantined is not shown.

    Args:
        connection: of the caller.
        desk: an own desk.
        unread: only what nobody has opened.
        after: (rank of the precedence, number) of the last one seen.
        limit: at most so many.
    """
    table = tables.incoming_bulletin
    query = select(table).where(table.c.desk == desk, table.c.quarantined == 0)
    if unread:
        query = query.where(table.c.read.is_(None))
    if after is not None:
        rank, number = after
        later = and_(table.c.rank == rank, table.c.number > number)
        query = query.where(or_(table.c.rank > rank, later))
    rows = connection.execute(query.order_by(table.c.rank, table.c.number).limit(limit))
    return [_summary(row) for row in rows]


def find_received(
    connection: Connection, desk: str, sender: str, bulletin_id: str
) -> Received | None:
    """A received bulletin, unless it is quarantined."""
    row = _find(connection, desk, sender, bulletin_id)
    if row is None:
        return None
    table = tables.incoming_envelope
    envelope = connection.execute(
        select(table).where(
            table.c.desk == desk, table.c.sender == sender, table.c.envelope_id == row.envelope_id
        )
    ).one()
    return Received(
        _summary(row),
        row.content,
        row.envelope_id,
        envelope.origin,
        envelope.entry_index,
        envelope.leaf,
        envelope.statement,
        envelope.receipt,
    )


def mark_read(
    connection: Connection, desk: str, sender: str, bulletin_id: str, now: datetime
) -> bool:
    """Note that a person opened a bulletin, and owe its sender the answer `read`, once.

    Returns:
        Whether it was unread until now.
    """
    bulletin, envelope = tables.incoming_bulletin, tables.incoming_envelope
    row = _find(connection, desk, sender, bulletin_id)
    if row is None or row.read is not None:
        return False
    mine = bulletin.c.number == row.number
    connection.execute(update(bulletin).where(mine).values(read=to_seconds(now)))
    carried = select(envelope).where(
        envelope.c.desk == desk,
        envelope.c.sender == sender,
        envelope.c.bulletin_id == bulletin_id,
        envelope.c.content == row.content,
        envelope.c.reason.is_(None),
    )
    for each in connection.execute(carried.order_by(envelope.c.entry_index)):
        logged = Logged(sender, each.envelope_id, each.origin, each.entry_index, each.leaf)
        note_answer(connection, desk, logged, Result.READ, None, now)
    return True


def _find(connection: Connection, desk: str, sender: str, bulletin_id: str) -> Row[Any] | None:
    table = tables.incoming_bulletin
    return connection.execute(
        select(table).where(
            table.c.desk == desk,
            table.c.sender == sender,
            table.c.bulletin_id == bulletin_id,
            table.c.quarantined == 0,
        )
    ).one_or_none()


def _summary(row: Row[Any]) -> Summary:
    return Summary(
        row.number,
        row.sender,
        row.bulletin_id,
        row.document,
        list(Precedence)[row.rank],
        from_seconds(row.received),
        None if row.read is None else from_seconds(row.read),
    )
