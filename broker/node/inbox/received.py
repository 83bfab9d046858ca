"""What an analyst sees: received bulletins listed, found and read, each with its evidence.

May import `broker.db`'s connections and the node's own rooms; `service` calls it. What is quarantined is
never shown here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, or_, select, update

from broker.node import tables
from broker.node.clock import from_seconds, to_seconds
from broker.node.inbox.acknowledge import Logged, note_answer
from schemas.acknowledgements import Result
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem

_BULLETIN: Final = tables.incoming_bulletin
_WITHDRAWAL: Final = tables.incoming_bulletin.alias("withdrawal")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """That a bulletin's sender has withdrawn it: since when, by which bulletin, whose document says why."""

    at: datetime
    bulletin_id: str
    document: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Summary:
    """A received bulletin as a list shows it; its title stands in the document."""

    number: int
    sender: str
    bulletin_id: str
    document: bytes = field(repr=False)
    precedence: Precedence
    received: datetime
    read: datetime | None
    withdrawn: Withdrawn | None
    supersedes: str | None
    superseded_by: str | None
    exported: datetime | None

    @property
    def is_hidden(self) -> bool:
        """Whether nothing of its content may be shown: it was withdrawn before anybody read it."""
        return self.withdrawn is not None and self.read is None


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
        unread: only what nobody has opened and its sender has not withdrawn.
        after: (rank of the precedence, number) of the last one seen.
        limit: at most so many.
    """
    column = _BULLETIN.c
    query = _summaries(desk)
    if unread:
        query = query.where(column.read.is_(None), column.withdrawn.is_(None))
    if after is not None:
        rank, number = after
        later = and_(column.rank == rank, column.number > number)
        query = query.where(or_(column.rank > rank, later))
    rows = connection.execute(query.order_by(column.rank, column.number).limit(limit))
    return [_summary(row) for row in rows]


def _summaries(desk: str) -> Select[Any]:
    """What is shown of a desk's inbox, each with the document of its withdrawal, if there is one."""
    withdraws = and_(
        _WITHDRAWAL.c.desk == _BULLETIN.c.desk,
        _WITHDRAWAL.c.sender == _BULLETIN.c.sender,
        _WITHDRAWAL.c.bulletin_id == _BULLETIN.c.withdrawn_by,
        _WITHDRAWAL.c.quarantined == 0,
    )
    return (
        select(_BULLETIN, _WITHDRAWAL.c.document.label("withdrawal"))
        .outerjoin(_WITHDRAWAL, withdraws)
        .where(_BULLETIN.c.desk == desk, _BULLETIN.c.quarantined == 0)
    )


def find_received(
    connection: Connection, desk: str, sender: str, bulletin_id: str
) -> Received | None:
    """A received bulletin, unless it is quarantined; of a hidden one nothing inside may be shown."""
    mine = (_BULLETIN.c.sender == sender) & (_BULLETIN.c.bulletin_id == bulletin_id)
    row = connection.execute(_summaries(desk).where(mine)).one_or_none()
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
        Whether it was unread until now; what was withdrawn before is never opened.
    """
    row = find_shown(connection, desk, sender, bulletin_id)
    if row is None or row.read is not None or row.withdrawn is not None:
        return False
    mine = _BULLETIN.c.number == row.number
    connection.execute(update(_BULLETIN).where(mine).values(read=to_seconds(now)))
    for envelope in envelopes_of(connection, row):
        note_answer(connection, desk, envelope, Result.READ, None, now)
    return True


def mark_exported(
    connection: Connection, desk: str, sender: str, bulletin_id: str, now: datetime
) -> None:
    """Note that a bulletin, or an attachment of it, leaves the inbox as a file; this opens it, too.

    Raises:
        Problem: `not-found`: there is none, or it was withdrawn before anybody read it.
    """
    row = find_readable(connection, desk, sender, bulletin_id)
    mark_read(connection, desk, sender, bulletin_id, now)
    if row.exported is None:
        mine = _BULLETIN.c.number == row.number
        connection.execute(update(_BULLETIN).where(mine).values(exported=to_seconds(now)))


def envelopes_of(connection: Connection, row: Row[Any]) -> list[Logged]:
    """The accepted envelopes that carried a bulletin, as acknowledgements name them, in log order."""
    envelope = tables.incoming_envelope
    carried = select(envelope).where(
        envelope.c.desk == row.desk,
        envelope.c.sender == row.sender,
        envelope.c.bulletin_id == row.bulletin_id,
        envelope.c.content == row.content,
        envelope.c.reason.is_(None),
    )
    return [
        Logged(row.sender, each.envelope_id, each.origin, each.entry_index, each.leaf)
        for each in connection.execute(carried.order_by(envelope.c.entry_index))
    ]


def find_shown(connection: Connection, desk: str, sender: str, bulletin_id: str) -> Row[Any] | None:
    """The row of a received bulletin; None if there is none, or only quarantined ones."""
    return connection.execute(
        select(_BULLETIN).where(
            _BULLETIN.c.desk == desk,
            _BULLETIN.c.sender == sender,
            _BULLETIN.c.bulletin_id == bulletin_id,
            _BULLETIN.c.quarantined == 0,
        )
    ).one_or_none()


def find_readable(connection: Connection, desk: str, sender: str, bulletin_id: str) -> Row[Any]:
    """The row of a received bulletin whose content, attachments included, may be shown.

    Raises:
        Problem: `not-found`: there is none, or it was withdrawn before anybody read it.
    """
    row = find_shown(connection, desk, sender, bulletin_id)
    if row is None:
        raise Problem("not-found", "this desk has received no such bulletin")
    if row.withdrawn is not None and row.read is None:
        raise Problem("not-found", f"{sender} withdrew it before it was read: {row.withdrawn_by}")
    return row


def _summary(row: Row[Any]) -> Summary:
    withdrawn = None
    if row.withdrawn is not None:
        withdrawn = Withdrawn(from_seconds(row.withdrawn), row.withdrawn_by, row.withdrawal)
    return Summary(
        row.number,
        row.sender,
        row.bulletin_id,
        row.document,
        list(Precedence)[row.rank],
        from_seconds(row.received),
        _moment(row.read),
        withdrawn,
        row.supersedes,
        row.superseded_by,
        _moment(row.exported),
    )


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else from_seconds(seconds)
