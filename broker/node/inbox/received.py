"""What an analyst sees: received bulletins listed, found and read, each with its evidence.

May import `broker.db`'s connections and the node's own rooms; `service` calls it. What is quarantined is
never shown here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select, update

from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.inbox.acknowledge import Logged, note_answer
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence


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
    row = find_shown(connection, desk, sender, bulletin_id)
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
    row = find_shown(connection, desk, sender, bulletin_id)
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


def find_shown(connection: Connection, desk: str, sender: str, bulletin_id: str) -> Row[Any] | None:
    """The row of a received bulletin; None if there is none, or only quarantined ones."""
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
