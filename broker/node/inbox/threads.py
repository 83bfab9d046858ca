"""Threads: bulletins that a desk received or sent, joined by what each of them answers.

May import `broker.db`'s connections and the node's tables; the agency interface shows them. What is
quarantined belongs to no thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from broker.node import tables
from broker.node.clock import from_seconds
from schemas.bulletin.vocabularies import Precedence

THREAD_MAX: Final = 100
"""Bulletins of one thread that are shown: more than two desks write to each other about one thing."""

Name = tuple[str, str]
"""A bulletin: the desk that sent it, and its id."""


@dataclass(frozen=True, slots=True)
class Part:
    """One bulletin of a thread, as it stands here."""

    name: Name
    is_sent: bool
    document: bytes = field(repr=False)
    precedence: Precedence
    at: datetime
    """When it arrived, or was queued."""
    in_reply_to: Name | None
    read: datetime | None
    withdrawn: datetime | None

    @property
    def is_hidden(self) -> bool:
        """Whether nothing of its content may be shown: it was withdrawn before anybody read it."""
        return not self.is_sent and self.withdrawn is not None and self.read is None


@dataclass(frozen=True, slots=True)
class Thread:
    """Its parts, the oldest first, and whether these are all."""

    parts: Sequence[Part]
    is_complete: bool


def find_thread(
    connection: Connection, desk: str, start: Name, *, with_sent: bool, limit: int = THREAD_MAX
) -> Thread:
    """The thread of a bulletin: what it answers, what answers it, and so on, each bulletin once.

    A sender chooses what it answers, so that threads may run in circles, and be as long as it likes: each
    bulletin is looked at once, and the search ends at `limit`.

    Args:
        connection: of the caller.
        desk: the own desk.
        start: a bulletin that it received or sent.
        with_sent: whether its own bulletins may be shown; the thread runs through them all the same.
        limit: at most so many parts.

    Returns:
        No parts where the desk has no such bulletin.
    """
    found: dict[Name, Part] = {}
    known, waiting = {start}, deque([start])
    while waiting and len(found) < limit:
        name = waiting.popleft()
        part = _find(connection, desk, name)
        if part is not None:
            found[name] = part
        if part is None and name == start:
            break
        # What is not here may still be answered by several that are.
        near = _answers_to(connection, desk, name, limit)
        near += [part.in_reply_to] if part is not None and part.in_reply_to is not None else []
        for each in near:
            if each not in known:
                known.add(each)
                waiting.append(each)
    shown = [part for part in found.values() if with_sent or not part.is_sent]
    return Thread(sorted(shown, key=lambda part: (part.at, part.name)), not waiting)


def _find(connection: Connection, desk: str, name: Name) -> Part | None:
    sender, bulletin_id = name
    received, sent = tables.incoming_bulletin, tables.outgoing_bulletin
    arrived = select(received).where(
        received.c.desk == desk,
        received.c.sender == sender,
        received.c.bulletin_id == bulletin_id,
        received.c.quarantined == 0,
    )
    row = connection.execute(arrived).one_or_none()
    if row is not None:
        precedence, at = list(Precedence)[row.rank], from_seconds(row.received)
        read = _moment(row.read)
        return Part(
            name,
            False,
            row.document,
            precedence,
            at,
            _reply(row),
            read,
            _moment(row.withdrawn),
        )
    if sender != desk:
        return None
    left = select(sent).where(sent.c.desk == desk, sent.c.bulletin_id == bulletin_id)
    row = connection.execute(left).one_or_none()
    if row is None:
        return None
    precedence, at = Precedence(row.precedence), from_seconds(row.queued)
    return Part(name, True, row.document, precedence, at, _reply(row), None, _moment(row.withdrawn))


def _answers_to(connection: Connection, desk: str, name: Name, limit: int) -> list[Name]:
    """Bulletins here that answer one, at most `limit` of each direction."""
    received, sent = tables.incoming_bulletin.c, tables.outgoing_bulletin.c
    arrived = (
        select(received.sender, received.bulletin_id)
        .where(
            received.reply_desk == name[0],
            received.reply_id == name[1],
            received.desk == desk,
            received.quarantined == 0,
        )
        .order_by(received.number)
        .limit(limit)
    )
    left = (
        select(sent.desk, sent.bulletin_id)
        .where(sent.reply_desk == name[0], sent.reply_id == name[1], sent.desk == desk)
        .order_by(sent.number)
        .limit(limit)
    )
    rows = [*connection.execute(arrived), *connection.execute(left)]
    return [(str(row[0]), str(row[1])) for row in rows]


def _reply(row: Row[Any]) -> Name | None:
    return None if row.reply_id is None else (row.reply_desk, row.reply_id)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else from_seconds(seconds)
