"""Alarms: what a person at the node should look at, raised, told, acknowledged, and over.

May import `broker.db` and the node's tables; every module of this room raises its alarms here, `notices`
tells people, `api` shows them. Texts carry ids, hashes and words, never content or keys.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from sqlalchemy import Connection, Row, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from broker.node import tables
from broker.node.alarms.kinds import LASTING, SEVERITY, Severity
from broker.node.alarms.kinds import AlarmKind as AlarmKind
from broker.node.clock import from_seconds, to_seconds
from schemas.errors import Problem

ALARMS_SHOWN_MAX: Final = 200
"""Alarms of one answer, the most severe first: more than a person reads."""

SUBJECTS_MAX: Final = 500
"""Alarms of one kind that are kept apart: a hub that lies a million times fills no disk."""

MORE: Final = "more"
"""The subject that stands for all beyond `SUBJECTS_MAX`; it is counted."""

HISTORY_MAX: Final = 1000
"""Alarms that are over and still kept, the newest."""

QUIET: Final = timedelta(hours=1)
"""An event that was acknowledged, and did not come again for so long, is over."""

_LOG: Final = logging.getLogger("barid.alarms")

_TEXT_CHARACTERS_MAX: Final = 16 * 1024
"""Characters of an alarm's text: two checkpoints with all their signatures fit in."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: its kind, what it is about, a text, when it was first and last seen, how often.

    Args:
        acknowledged: when a person said that they know; None while it waits for one.
        acknowledged_by: who.
        notified: when people were last told.
        notices: how many notices told them.
        cleared: since when it is over; None while it stands.
    """

    kind: str
    subject: str
    text: str
    first_seen: datetime
    last_seen: datetime
    times: int
    acknowledged: datetime | None = None
    acknowledged_by: str | None = None
    notified: datetime | None = None
    notices: int = 0
    cleared: datetime | None = None


def raise_alarm(
    connection: Connection,
    kind: AlarmKind,
    subject: str,
    text: str,
    now: datetime,
    *,
    once: bool = False,
) -> None:
    """Note an alarm; one of the same kind and subject is counted, its text replaced.

    One that a person has acknowledged is raised anew if it comes with another text: the old one goes to
    the history, the new one waits for a person again.

    Args:
        connection: a writing transaction.
        kind: the cause.
        subject: what it is about: an envelope, a desk, a log. Own desks come first, as `tn/main`.
        text: a sentence for people; never content or keys.
        now: UTC, whole seconds.
        once: for what stays as it is: leave an alarm that is there alone.
    """
    text = text[:_TEXT_CHARACTERS_MAX]
    row = _find(connection, kind, subject)
    if row is None and _count(connection, kind) >= SUBJECTS_MAX:
        subject, text = MORE, f"more than {SUBJECTS_MAX} of this kind"
        row = _find(connection, kind, subject)
    if row is None:
        _begin(connection, kind, subject, text, now)
    elif row.acknowledged is not None and row.text != text and not once:
        _end(connection, [row], now)
        _begin(connection, kind, subject, text, now)
    elif not once:
        values = {"text": text, "last_seen": to_seconds(now), "times": row.times + 1}
        connection.execute(update(tables.alarm).where(_is(kind, subject)).values(values))


def raise_fault(connection: Connection, subject: str, problem: Problem, now: datetime) -> None:
    """Note a fault of the hub, with its checkpoints as evidence where they contradict each other.

    That the hub does not know a desk's request key, as of a suspended member, is none: it says nothing of
    what was asked for, and is noted once for the desk.

    Args:
        connection: a writing transaction.
        subject: what it is about, the desk first: an envelope, a log.
        problem: as verification raised it, or as the hub answered.
        now: UTC, whole seconds.
    """
    text = f"{problem.word}: {problem.detail}"
    if problem.type.status == HTTPStatus.UNAUTHORIZED:
        desk = subject.partition(" ")[0]
        raise_alarm(connection, AlarmKind.REFUSES_US, desk, text, now)
        return
    kind = AlarmKind.HUB_FAULT
    if problem.word == "inconsistent-log":
        kind = AlarmKind.INCONSISTENT_LOG
        checkpoints = problem.extensions.get("checkpoints")
        if isinstance(checkpoints, list):
            text += "".join(f"\n\n{each}" for each in checkpoints)
    elif "shown_elsewhere" in problem.extensions:
        kind = AlarmKind.OTHER_LEAF
    raise_alarm(connection, kind, subject, text, now)


def keep_alarms(
    connection: Connection,
    kind: AlarmKind,
    causes: Mapping[str, str],
    now: datetime,
    *,
    unknown: Collection[str] = (),
) -> None:
    """Make the alarms of a lasting kind those that have a cause now; what has none any more is over.

    Args:
        connection: a writing transaction.
        kind: of `LASTING`.
        causes: subject → text; a text may change without the alarm being a new one.
        now: UTC, whole seconds.
        unknown: subjects of which nothing is known at present: their alarms are left as they are.
    """
    rows = {row.subject: row for row in _rows(connection, kind)}
    _end(connection, [rows[each] for each in rows.keys() - causes.keys() - set(unknown)], now)
    for subject, text in causes.items():
        row = rows.get(subject)
        if row is None:
            _begin(connection, kind, subject, text[:_TEXT_CHARACTERS_MAX], now)
            continue
        values = {"text": text[:_TEXT_CHARACTERS_MAX], "last_seen": to_seconds(now)}
        connection.execute(update(tables.alarm).where(_is(kind, subject)).values(values))


def clear_alarms(
    connection: Connection, kind: AlarmKind, subjects: Iterable[str], now: datetime
) -> None:
    """Note that the cause of some alarms is gone: they go to the history."""
    gone = set(subjects)
    _end(connection, [row for row in _rows(connection, kind) if row.subject in gone], now)


def retire_alarms(connection: Connection, now: datetime) -> None:
    """Move events that were acknowledged, and have been quiet since, to the history; keep it short."""
    column = tables.alarm.c
    rows = connection.execute(
        select(tables.alarm).where(
            column.acknowledged.is_not(None),
            column.kind.not_in([str(kind) for kind in LASTING]),
            column.last_seen <= to_seconds(now - QUIET),
            column.acknowledged <= to_seconds(now - QUIET),
        )
    ).all()
    _end(connection, rows, now)


def acknowledge_alarms(
    connection: Connection, kind: str, subjects: Collection[str], by: str, now: datetime
) -> int:
    """Note that a person knows of some alarms: they are told no more, unless they happen anew.

    Args:
        connection: a writing transaction.
        kind: of the alarms.
        subjects: which of them.
        by: the person's name.
        now: UTC, whole seconds.

    Returns:
        How many were waiting for a person until now.
    """
    column = tables.alarm.c
    waiting = (column.kind == kind) & column.subject.in_(subjects) & column.acknowledged.is_(None)
    notice = tables.alarm_notice.c
    connection.execute(
        delete(tables.alarm_notice).where(notice.kind == kind, notice.subject.in_(subjects))
    )
    values = {"acknowledged": to_seconds(now), "acknowledged_by": by}
    return connection.execute(update(tables.alarm).where(waiting).values(values)).rowcount


def note_sent(
    connection: Connection, alarms: Iterable[Alarm], channel: str, now: datetime
) -> frozenset[tuple[str, str]]:
    """Note that people were told of some alarms by one channel.

    Returns:
        Kind and subject of those that were noted: not of what is over or acknowledged meanwhile.
    """
    noted = set()
    for alarm in alarms:
        values = {"notified": to_seconds(now), "notices": tables.alarm.c.notices + 1}
        mine = _is(alarm.kind, alarm.subject) & tables.alarm.c.acknowledged.is_(None)
        if not connection.execute(update(tables.alarm).where(mine).values(values)).rowcount:
            continue
        new = insert_or(tables.alarm_notice).values(
            kind=alarm.kind, subject=alarm.subject, channel=channel, sent=to_seconds(now)
        )
        connection.execute(
            new.on_conflict_do_update(
                index_elements=["kind", "subject", "channel"], set_={"sent": new.excluded.sent}
            )
        )
        noted.add((alarm.kind, alarm.subject))
    return frozenset(noted)


def sent_by(connection: Connection, channel: str) -> Mapping[tuple[str, str], datetime]:
    """When each alarm was last told by one channel, by kind and subject."""
    column = tables.alarm_notice.c
    rows = connection.execute(select(tables.alarm_notice).where(column.channel == channel))
    return {(row.kind, row.subject): from_seconds(row.sent) for row in rows}


def list_alarms(
    connection: Connection,
    limit: int = ALARMS_SHOWN_MAX,
    *,
    waiting: bool = False,
    desks: Collection[str] = (),
    desk: str | None = None,
) -> tuple[Alarm, ...]:
    """The alarms that stand: those that wait for a person first, then by severity, then the newest.

    Args:
        connection: of the caller.
        limit: at most so many.
        waiting: only those that nobody has acknowledged.
        desks: the node's own desks, and
        desk: the one whose people look: alarms that name other own desks, and not this one, are left
            out. None: all.
    """
    column = tables.alarm.c
    query = select(tables.alarm)
    if waiting:
        query = query.where(column.acknowledged.is_(None))
    if desk is not None:
        query = query.where(_concerns(column.subject, desks, desk))
    order = (column.acknowledged.is_not(None), _severity_rank(column.kind), column.last_seen.desc())
    rows = connection.execute(query.order_by(*order, column.kind, column.subject).limit(limit))
    return tuple(_alarm(row) for row in rows)


def list_history(
    connection: Connection, limit: int = ALARMS_SHOWN_MAX, *, desks: Collection[str], desk: str
) -> tuple[Alarm, ...]:
    """Alarms that are over, the last first; `desks` and `desk` as in `list_alarms`."""
    table = tables.alarm_history
    query = select(table).where(_concerns(table.c.subject, desks, desk))
    rows = connection.execute(query.order_by(table.c.alarm_id.desc()).limit(limit))
    return tuple(_alarm(row, from_seconds(row.cleared)) for row in rows)


def subjects_of(
    connection: Connection, kind: str, *, desks: Collection[str], desk: str
) -> tuple[str, ...]:
    """The subjects of a kind's alarms that a desk's people may see, acknowledged or not."""
    column = tables.alarm.c
    query = select(column.subject).where(
        column.kind == kind, _concerns(column.subject, desks, desk)
    )
    return tuple(connection.execute(query.order_by(column.subject)).scalars())


def _concerns(subject: Any, desks: Collection[str], desk: str) -> Any:
    """Whether an alarm names a desk, or none of the node's own; words are separated by a space."""
    padded = " " + subject + " "

    def names(each: str) -> Any:
        return func.instr(padded, f" {each} ") > 0

    others = [names(each) for each in desks if each != desk]
    return or_(names(desk), ~or_(*others)) if others else names(desk) | True


def _severity_rank(kind: Any) -> Any:
    ranks = list(Severity)
    return case(
        {str(each): ranks.index(severity) for each, severity in SEVERITY.items()},
        value=kind,
        else_=ranks.index(Severity.SERIOUS),
    )


def _is(kind: str, subject: str) -> Any:
    return (tables.alarm.c.kind == kind) & (tables.alarm.c.subject == subject)


def _find(connection: Connection, kind: str, subject: str) -> Row[Any] | None:
    return connection.execute(select(tables.alarm).where(_is(kind, subject))).one_or_none()


def _rows(connection: Connection, kind: str) -> Sequence[Row[Any]]:
    return connection.execute(select(tables.alarm).where(tables.alarm.c.kind == kind)).all()


def _count(connection: Connection, kind: str) -> int:
    mine = tables.alarm.c.kind == kind
    return connection.execute(select(func.count()).where(mine)).scalar_one()


def _begin(connection: Connection, kind: AlarmKind, subject: str, text: str, now: datetime) -> None:
    at = to_seconds(now)
    # Kind and subject alone: a text may quote what the hub said.
    _LOG.warning("an alarm was raised: %s: %s", kind, subject)
    connection.execute(
        insert(tables.alarm).values(
            kind=kind, subject=subject, text=text, first_seen=at, last_seen=at, times=1, notices=0
        )
    )


def _end(connection: Connection, rows: Sequence[Row[Any]], now: datetime) -> None:
    """Move alarms to the history, and forget the oldest there."""
    history, notice = tables.alarm_history, tables.alarm_notice
    for row in rows:
        _LOG.info("an alarm is over: %s: %s", row.kind, row.subject)
        connection.execute(insert(history).values(**_values(row), cleared=to_seconds(now)))
        connection.execute(delete(tables.alarm).where(_is(row.kind, row.subject)))
        connection.execute(
            delete(notice).where(notice.c.kind == row.kind, notice.c.subject == row.subject)
        )
    if rows:
        newest = connection.execute(select(func.max(history.c.alarm_id))).scalar_one()
        connection.execute(delete(history).where(history.c.alarm_id <= newest - HISTORY_MAX))


def _values(row: Row[Any]) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in tables.alarm.columns}


def _alarm(row: Row[Any], cleared: datetime | None = None) -> Alarm:
    return Alarm(
        row.kind,
        row.subject,
        row.text,
        from_seconds(row.first_seen),
        from_seconds(row.last_seen),
        row.times,
        None if row.acknowledged is None else from_seconds(row.acknowledged),
        row.acknowledged_by,
        None if row.notified is None else from_seconds(row.notified),
        row.notices,
        cleared,
    )
