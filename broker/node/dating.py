"""The times that entries claim, held against the quorums that this node saw: a hub that backdates shows.

May import `broker.tlog`, SQLAlchemy and the node's own rooms. `vouching` notes each new quorum; whoever
stores what an entry proves notes its time in the same transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_once

from broker.node import tables
from broker.node.alarms.book import AlarmKind, raise_alarm
from broker.node.clock import from_seconds, to_seconds
from broker.node.follow_store import parse_opening
from broker.tlog.quorum import Witnessed
from broker.tlog.quorum_times import Between, QuorumTime, misdated, recorded
from schemas.entries import parse_directory_entry
from schemas.errors import ParseError
from schemas.limits import ENVELOPE_LIFE_SECONDS_MAX

_KEPT: Final = timedelta(seconds=ENVELOPE_LIFE_SECONDS_MAX)
"""Quorums are kept for as long as something that was logged before them may still come."""


def note_entry(
    connection: Connection, origin: str, index: int, at: datetime, now: datetime
) -> None:
    """Hold the time of an entry against the quorums known; one that none covers waits for the first.

    Args:
        connection: a writing transaction.
        origin: of the log in which the entry is proved to stand.
        index: of the entry.
        at: the time that it claims, UTC.
        now: UTC, whole seconds.
    """
    between = _between(connection, origin, index)
    _judge(connection, origin, index, at, between, now)
    if between.with_ is None:
        new = insert_once(tables.dated_entry).values(
            origin=origin, entry_index=index, at=to_seconds(at)
        )
        connection.execute(new.on_conflict_do_nothing())


def note_quorum(
    connection: Connection, found: Witnessed, generation: int | None, now: datetime
) -> None:
    """Record a quorum, and judge the entries that it is the first to cover.

    Args:
        connection: a writing transaction.
        found: proved to be one with the log that is followed.
        generation: of the directory log, all of whose entries are here; None for the exchange log.
        now: UTC, whole seconds.
    """
    origin, size = found.checkpoint.origin, found.checkpoint.size
    if generation is not None:
        _judge_directory(connection, found, generation, now)
    waiting = tables.dated_entry.c
    is_covered = (waiting.origin == origin) & (waiting.entry_index < size)
    covered = connection.execute(select(tables.dated_entry).where(is_covered)).all()
    for row in covered:
        # The times of this quorum alone: what came before was held against the entry already.
        between = Between(None, found.at)
        _judge(connection, origin, row.entry_index, from_seconds(row.at), between, now)
    connection.execute(delete(tables.dated_entry).where(is_covered))
    _record(connection, origin, size, found.at)


def _judge_directory(
    connection: Connection, found: Witnessed, generation: int, now: datetime
) -> None:
    origin, table = found.checkpoint.origin, tables.follow_opening
    of_log = tables.quorum_time.c.origin == origin
    covered = connection.execute(select(func.max(tables.quorum_time.c.size)).where(of_log)).scalar()
    query = select(table.c.entry_index, table.c.opening).where(
        table.c.generation == generation,
        table.c.entry_index >= (covered or 0),
        table.c.entry_index < found.checkpoint.size,
    )
    for row in connection.execute(query.order_by(table.c.entry_index)).all():
        try:
            at = parse_directory_entry(parse_opening(row.opening).entry).at
        except ParseError:
            # It is told as a finding.
            continue
        without = _between(connection, origin, row.entry_index).without
        _judge(connection, origin, row.entry_index, at, Between(without, found.at), now)


def _record(connection: Connection, origin: str, size: int, at: datetime) -> None:
    table = tables.quorum_time
    of_log = table.c.origin == origin
    newest = select(table).where(of_log).order_by(table.c.size.desc()).limit(2)
    before = [
        QuorumTime(row.size, from_seconds(row.first), from_seconds(row.last))
        for row in reversed(connection.execute(newest).all())
    ]
    rows = [
        {
            "origin": origin,
            "size": each.size,
            "first": to_seconds(each.first),
            "last": to_seconds(each.last),
        }
        for each in recorded(before, size, at)
    ]
    sizes = [each.size for each in before]
    connection.execute(delete(table).where(of_log, table.c.size.in_(sizes)))
    connection.execute(insert(table), rows)
    connection.execute(delete(table).where(table.c.last < to_seconds(at - _KEPT)))


def _between(connection: Connection, origin: str, index: int) -> Between:
    column = tables.quorum_time.c
    without = select(func.max(column.last)).where(column.origin == origin, column.size <= index)
    with_ = select(func.min(column.first)).where(column.origin == origin, column.size > index)
    times = [connection.execute(each).scalar() for each in (without, with_)]
    return Between(*(None if each is None else from_seconds(each) for each in times))


def _judge(
    connection: Connection,
    origin: str,
    index: int,
    at: datetime,
    between: Between,
    now: datetime,
) -> None:
    why = misdated(at, between)
    if why is not None:
        raise_alarm(connection, AlarmKind.ENTRY_TIME, f"{origin} {index}", why, now, once=True)
